"""langchain-openai against a real LLM server."""

from __future__ import annotations

import asyncio

import openai
import pytest
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from peers import Play, Ways
from pydantic import SecretStr
from sdk import KEY


def _model(url: str) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=url,
        api_key=SecretStr(KEY),
        model="tiny",
        temperature=0,
        extra_body={"max_tokens": 30},  # What it sends by itself is `max_completion_tokens`.
        max_retries=0,
        timeout=20,
    )


@pytest.fixture
def model(llama: str) -> ChatOpenAI:
    return _model(llama)


def test_invoke_is_the_servers_own(model: ChatOpenAI, ways: Ways) -> None:
    direct = _model(ways.direct("llama", "/v1")).invoke("a riddle").content
    assert model.invoke("a riddle").content == direct != ""


def test_stream_has_the_text_of_the_whole_reply(model: ChatOpenAI) -> None:
    pieces = [chunk.content for chunk in model.stream("a riddle")]
    assert len(pieces) > 10
    assert "".join(map(str, pieces)) == model.invoke("a riddle").content


def test_async_stream(model: ChatOpenAI) -> None:
    async def run() -> str:
        return "".join([str(chunk.content) async for chunk in model.astream("a riddle")])

    assert asyncio.run(run()) == model.invoke("a riddle").content


def test_batch_keeps_order(model: ChatOpenAI) -> None:
    questions = [f"riddle {n}" for n in range(8)]
    replies = model.batch(questions)  # type: ignore[arg-type]
    assert [r.content for r in replies] == [model.invoke(q).content for q in questions]


def test_embeddings(llama: str) -> None:
    embeddings = OpenAIEmbeddings(
        base_url=llama, api_key=SecretStr(KEY), model="tiny", check_embedding_ctx_length=False
    )
    vectors = embeddings.embed_documents(["one", "two", "one"])
    assert vectors[0] == pytest.approx(vectors[2], abs=1e-5)
    assert vectors[0] != pytest.approx(vectors[1], abs=1e-2)


def test_error_is_the_sdks_own_kind(play: Play) -> None:
    error = {"error": {"message": "slow down"}}
    scene = play(lambda exchange: exchange.json(429, error, [("retry-after", "3600")]))
    with pytest.raises(openai.RateLimitError, match="slow down"):
        _model(scene.url).invoke("x")
