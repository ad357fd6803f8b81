"""The openai SDK's stored responses over three servers, each of which knows only its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import DIRECT, SIDECAR
from keeper import Keeper
from process import free_port, serving
from sdk import async_openai

CONVERSATIONS = int(os.environ.get("REAL_CONVERSATIONS", "100"))
TURNS = 3


@pytest.fixture
def keepers() -> Iterator[list[Keeper]]:
    servers = [Keeper() for _ in range(3)]
    yield servers
    for server in servers:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def sidecar(folder: Path, keepers: list[Keeper], policy: dict[str, Any]) -> Iterator[str]:
    """Run one in front of *keepers*; yield its base URL."""
    port = free_port()
    config = folder / "sidecar.yaml"
    endpoints = [{"url": f"http://127.0.0.1:{each.port}"} for each in keepers]
    content = {
        "listeners": [{"address": f"127.0.0.1:{port}"}],
        "upstreams": {"own": {"endpoints": endpoints}},
        "routes": [{"upstream": "own"}],
        "policies": {"default": policy},
        "admin": {"address": None},
        "access_log": {"path": None},
    }
    config.write_text(json.dumps(content))
    with serving("stateful", [str(SIDECAR), "run", "-c", str(config)], port):
        yield f"http://127.0.0.1:{port}/v1"


async def talk(client: Any, number: int) -> None:
    """One conversation; every other one is streamed."""
    last: str | None = None
    for turn in range(TURNS):
        asked = {"model": "m", "input": "tell me", "previous_response_id": last}
        if number % 2:
            async with client.responses.stream(**{k: v for k, v in asked.items() if v}) as stream:
                reply = await stream.get_final_response()
        else:
            reply = await client.responses.create(**asked)
        assert reply.output_text == f"turn {turn + 1}"
        last = reply.id
    assert (await client.responses.retrieve(last)).id == last
    if number % 4 == 0:
        await client.responses.delete(last)


async def all_of(url: str) -> list[Any]:
    """Twenty conversations at a time; what each ended with, None if it went well."""
    places = asyncio.Semaphore(20)
    async with async_openai(url) as client:

        async def one(number: int) -> None:
            async with places:
                await talk(client, number)

        ends = (one(number) for number in range(CONVERSATIONS))
        return await asyncio.gather(*ends, return_exceptions=True)


@pytest.mark.skipif(DIRECT, reason="it is about three servers behind one address")
def test_conversations_are_never_misrouted(tmp_path: Path, keepers: list[Keeper]) -> None:
    with sidecar(tmp_path, keepers, {"state": "home"}) as url:
        assert [end for end in asyncio.run(all_of(url)) if end is not None] == []
    assert [keeper.misrouted for keeper in keepers] == [[], [], []]
    assert min(len(keeper.kept) for keeper in keepers) > CONVERSATIONS * TURNS / 10


@pytest.mark.skipif(DIRECT, reason="it is about three servers behind one address")
def test_without_the_setting_most_are(tmp_path: Path, keepers: list[Keeper]) -> None:
    with sidecar(tmp_path, keepers, {}) as url:
        failed = [end for end in asyncio.run(all_of(url)) if end is not None]
    assert len(failed) > CONVERSATIONS / 2
    assert all(getattr(end, "status_code", None) == 404 for end in failed)


@pytest.mark.skipif(DIRECT, reason="it is about what the sidecar takes up")
def test_background_streams_break_anywhere_and_go_on(tmp_path: Path, keepers: list[Keeper]) -> None:
    """Each stream breaks once or more, at a random byte behind its first event."""
    dice = random.Random(15)

    def cut(size: int) -> int | None:
        return None if size < 700 or dice.random() < 0.3 else dice.randrange(400, size)

    for keeper in keepers:
        keeper.cuts = cut

    async def one(client: Any) -> None:
        stream = await client.responses.create(model="m", input="x", background=True, stream=True)
        events = [event async for event in stream]
        assert [event.sequence_number for event in events] == list(range(6))
        assert events[3].delta == "turn 1"
        assert events[-1].type == "response.completed"

    async def all_at_once(url: str) -> None:
        async with async_openai(url) as client:
            await asyncio.gather(*(one(client) for _ in range(30)))

    policy = {"state": "home", "resume": {"tries": 50}}
    with sidecar(tmp_path, keepers, policy) as url:
        asyncio.run(all_at_once(url))
    assert [keeper.misrouted for keeper in keepers] == [[], [], []]
    assert sum(keeper.streams for keeper in keepers) > 40
