"""Official SDKs can't tell a kept or a shared reply from the server's own, but by its headers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from peers import Sidecar
from sdk import async_anthropic, async_openai, sync_anthropic, sync_openai

pytestmark = pytest.mark.usefixtures("simulated")


def chat(text: str) -> dict[str, Any]:
    return {
        "model": "simulated",
        "max_tokens": 20,
        "messages": [{"role": "user", "content": text}],
        # Anthropic's newest SDK has no argument for it.
        "extra_body": {"temperature": 0},
    }


def how(headers: Mapping[str, str]) -> str:
    """Where a reply came from: another's call, memory, or an upstream call of its own."""
    if headers.get("x-sidecar-shared"):
        return "shared"
    return "kept" if headers["x-sidecar-cache"] == "hit" else "asked"


def test_openai_gets_a_kept_reply(sidecar: Sidecar) -> None:
    with sync_openai(sidecar.url("/openai-cached/v1")) as client:
        create = client.chat.completions.with_raw_response.create
        first, again = (create(**chat("kept, openai")) for _ in range(2))
        assert [r.headers["x-sidecar-cache"] for r in (first, again)] == ["miss", "hit"]
        assert again.parse() == first.parse()
        assert again.parse().usage is not None
        assert first.headers["x-request-id"] != again.headers["x-request-id"]


def test_openai_gets_a_kept_stream(sidecar: Sidecar) -> None:
    with sync_openai(sidecar.url("/openai-cached/v1")) as client:
        create = client.chat.completions.with_raw_response.create
        asked = {**chat("kept stream, openai"), "stream_options": {"include_usage": True}}
        chunks, results = [], []
        for _ in range(2):
            raw = create(**asked, stream=True)
            results.append(raw.headers["x-sidecar-cache"])
            chunks.append(list(raw.parse()))
        assert results == ["miss", "hit"]
        assert chunks[0] == chunks[1]
        assert len(chunks[1]) > 10
        assert chunks[1][-1].usage is not None


def test_openai_gets_kept_embeddings(sidecar: Sidecar) -> None:
    with sync_openai(sidecar.url("/openai-cached/v1")) as client:
        create = client.embeddings.with_raw_response.create
        first, again = (create(model="e", input=["kept"]) for _ in range(2))
        assert again.headers["x-sidecar-cache"] == "hit"
        assert again.parse() == first.parse()


def test_anthropic_gets_a_kept_message(sidecar: Sidecar) -> None:
    with sync_anthropic(sidecar.url("/anthropic-cached")) as client:
        create = client.messages.with_raw_response.create
        first, again = (create(**chat("kept, anthropic")) for _ in range(2))
        assert [r.headers["x-sidecar-cache"] for r in (first, again)] == ["miss", "hit"]
        assert again.parse() == first.parse()


def test_anthropic_gets_a_kept_stream(sidecar: Sidecar) -> None:
    with sync_anthropic(sidecar.url("/anthropic-cached")) as client:
        finals, events = [], []
        for _ in range(2):
            with client.messages.stream(**chat("kept stream, anthropic")) as stream:
                events.append([event.type for event in stream])
                finals.append(stream.get_final_message())
                last = stream.response.headers["x-sidecar-cache"]
        assert last == "hit"
        assert finals[0] == finals[1]
        assert events[0] == events[1]
        assert events[1][0] == "message_start"
        assert events[1][-1] == "message_stop"


def test_openai_shares_a_stream(sidecar: Sidecar) -> None:
    async def run() -> None:
        async with async_openai(sidecar.url("/openai-cached/v1")) as client:

            async def streamed() -> tuple[str, list[Any]]:
                raw = await client.chat.completions.with_raw_response.create(
                    **chat("shared stream, openai"), stream=True
                )
                chunks = [chunk async for chunk in raw.parse()]
                return how(raw.headers), chunks

            found = await asyncio.gather(*(streamed() for _ in range(8)))
        assert [said for said, _ in found].count("asked") == 1
        assert all(chunks == found[0][1] for _, chunks in found)
        assert found[0][1][-1].choices[0].finish_reason is not None

    asyncio.run(run())


def test_anthropic_shares_a_message(sidecar: Sidecar) -> None:
    async def run() -> None:
        async with async_anthropic(sidecar.url("/anthropic-cached")) as client:

            async def asked() -> tuple[str, Any]:
                raw = await client.messages.with_raw_response.create(**chat("shared, anthropic"))
                return how(raw.headers), await raw.parse()

            found = await asyncio.gather(*(asked() for _ in range(8)))
        assert [said for said, _ in found].count("asked") == 1
        assert all(message == found[0][1] for _, message in found)

    asyncio.run(run())
