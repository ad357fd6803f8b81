"""The openai SDK for Python against a real LLM server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from peers import Ways
from process import await_text
from sdk import ask, async_openai, sync_openai

LONG = 3000
"""Tokens that take the server seconds."""


def test_chat_completion_is_the_servers_own(llama: str, ways: Ways) -> None:
    texts = []
    for url in (llama, ways.direct("llama", "/v1")):
        with sync_openai(url) as client:
            reply = client.chat.completions.create(
                model="tiny", messages=ask("a tale"), max_tokens=40, temperature=0
            )
        assert reply.usage is not None
        assert reply.usage.completion_tokens > 0
        texts.append(reply.choices[0].message.content)
    assert texts[0]
    assert texts[0] == texts[1]


def test_stream_has_the_text_of_the_whole_reply(llama: str) -> None:
    with sync_openai(llama) as client:
        whole = client.chat.completions.create(
            model="tiny", messages=ask("a song"), max_tokens=200, temperature=0
        )
        stream = client.chat.completions.create(
            model="tiny", messages=ask("a song"), max_tokens=200, temperature=0, stream=True
        )
        chunks = [chunk.choices[0] for chunk in stream]
    assert "".join(c.delta.content or "" for c in chunks) == whole.choices[0].message.content
    assert chunks[-1].finish_reason == whole.choices[0].finish_reason
    assert len(chunks) > 10


def test_completion_streaming_and_not(llama: str) -> None:
    with sync_openai(llama) as client:
        whole = client.completions.create(model="tiny", prompt="once", max_tokens=30, temperature=0)
        stream = client.completions.create(
            model="tiny", prompt="once", max_tokens=30, temperature=0, stream=True
        )
        assert "".join(c.choices[0].text for c in stream) == whole.choices[0].text != ""


def test_embeddings(llama: str, ways: Ways) -> None:
    vectors = []
    for url in (llama, ways.direct("llama", "/v1")):
        with sync_openai(url) as client:
            reply = client.embeddings.create(
                model="tiny", input=["one", "two"], encoding_format="float"
            )
        vectors.append([item.embedding for item in reply.data])
    assert len(vectors[0]) == 2
    for through, direct in zip(*vectors, strict=True):
        assert through == pytest.approx(direct, abs=1e-5)


def test_models(llama: str) -> None:
    with sync_openai(llama) as client:
        assert [model.id for model in client.models.list()] == ["tiny"]


def test_raw_response_keeps_the_servers_headers(llama: str) -> None:
    with sync_openai(llama) as client:
        raw = client.models.with_raw_response.list()
    assert raw.headers["server"] == "uvicorn"
    assert raw.headers["x-request-id"]


def test_parallel_calls_get_their_own_replies(llama: str) -> None:
    async def run() -> None:
        async with async_openai(llama) as client:

            async def call(n: int, stream: bool) -> str:
                prompt = f"number {n}"
                if not stream:
                    reply = await client.completions.create(
                        model="tiny", prompt=prompt, max_tokens=20, temperature=0, echo=True
                    )
                    return reply.choices[0].text
                chunks = await client.completions.create(
                    model="tiny", prompt=prompt, max_tokens=20, temperature=0, stream=True
                )
                return prompt + "".join([c.choices[0].text async for c in chunks])

            whole = await asyncio.gather(*(call(n, False) for n in range(24)))
            streamed = await asyncio.gather(*(call(n, True) for n in range(24)))
        assert all(text.startswith(f"number {n}") for n, text in enumerate(whole))
        assert streamed == whole

    asyncio.run(run())


def test_leaving_a_stream_stops_the_server(llama: str, llama_log: Path) -> None:
    before = llama_log.read_text().count("Disconnected")
    with (
        sync_openai(llama) as client,
        client.completions.create(
            model="tiny", prompt="x", max_tokens=LONG, temperature=0, stream=True
        ) as stream,
    ):
        next(iter(stream))
    assert await_text(llama_log, "Disconnected", more_than=before)
