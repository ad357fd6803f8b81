"""Embeddings that travel together are the ones that the server gives to each caller alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

import openai
import pytest
from openai.types import CreateEmbeddingResponse
from peers import Sidecar, Ways
from programs import run
from sdk import async_openai, sync_openai
from test_node import node_command

CALLERS = 8
"""As many items as the route's policy lets travel together."""
Ask = Callable[[openai.AsyncOpenAI, int], Awaitable[Any]]


async def _at_once(url: str, ask: Ask) -> list[Any]:
    """The replies to callers who ask at once, some of whom travelled together."""
    async with async_openai(url) as client:
        for _ in range(20):  # on a busy machine they may come one by one
            raw = await asyncio.gather(*(ask(client, number) for number in range(CALLERS)))
            if any(int(reply.headers.get("x-sidecar-batch", 0)) > 1 for reply in raw):
                return [reply.parse() for reply in raw]
    raise AssertionError("no calls travelled together")


def _vectors(reply: CreateEmbeddingResponse) -> list[list[float]]:
    assert reply.object == "list"
    assert [row.index for row in reply.data] == list(range(len(reply.data)))
    assert reply.usage.total_tokens > 0
    return [row.embedding for row in reply.data]


def _input(number: int, kind: str) -> str | list[str] | list[int] | list[list[int]]:
    if kind == "text":
        return f"call number {number}"
    if kind == "texts":
        return [f"call {number}, text {text}" for text in range(1 + number % 2)]
    if kind == "tokens":
        return [number + 1, number + 2]
    return [[number + 1], [number + 2, 3]]


@pytest.mark.parametrize("kind", ["text", "texts", "tokens", "lists"])
@pytest.mark.parametrize("encoding", ["float", None])
def test_simulated(
    sidecar: Sidecar,
    ways: Ways,
    simulator: None,
    kind: str,
    encoding: Literal["float"] | None,
) -> None:
    """Without an encoding, the SDK asks for base64."""
    options: dict[str, Any] = {"model": "m", "dimensions": 16}
    if encoding is not None:
        options["encoding_format"] = encoding

    async def ask(client: openai.AsyncOpenAI, number: int) -> Any:
        return await client.embeddings.with_raw_response.create(
            input=_input(number, kind), **options
        )

    replies = asyncio.run(_at_once(sidecar.url("/simulated-batch/v1"), ask))
    with sync_openai(ways.direct("simulated", "/v1")) as direct:
        for number, reply in enumerate(replies):
            alone = direct.embeddings.create(input=_input(number, kind), **options)
            assert _vectors(reply) == _vectors(alone)
            assert reply.model == alone.model


def test_llama(sidecar: Sidecar, ways: Ways, llama: str) -> None:
    async def ask(client: openai.AsyncOpenAI, number: int) -> Any:
        return await client.embeddings.with_raw_response.create(
            model="tiny", input=_input(number, "texts")
        )

    replies = asyncio.run(_at_once(sidecar.url("/llama-batch/v1"), ask))
    with sync_openai(ways.direct("llama", "/v1")) as direct:
        for number, reply in enumerate(replies):
            alone = direct.embeddings.create(model="tiny", input=_input(number, "texts"))
            _are_close(_vectors(reply), _vectors(alone))


def _are_close(some: Sequence[Sequence[float]], others: Sequence[Sequence[float]]) -> None:
    for one, other in zip(some, others, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_node(sidecar: Sidecar, ways: Ways, simulator: None) -> None:
    def vectors(url: str) -> Any:
        return json.loads(run(node_command(url, "embeddings")).stdout)

    direct = vectors(ways.direct("simulated", "/v1"))
    assert len(direct) == CALLERS
    assert vectors(sidecar.url("/simulated-batch/v1")) == direct
