"""Streams as the openai SDK for Python sees them: prompt, broken, abandoned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import openai
import pytest
from lockstep import EVENTS, TEXTS, Lockstep, token
from peers import Play, Sidecar
from scripted import Exchange
from sdk import ask, async_openai, sync_openai


def test_each_event_arrives_before_the_next_is_sent(play: Play) -> None:
    steps = Lockstep()
    scene = play(steps.script)
    texts = []
    with sync_openai(scene.url) as client:
        for chunk in client.chat.completions.create(model="m", messages=ask("x"), stream=True):
            texts.append(chunk.choices[0].delta.content)
            steps.got()
    assert texts == TEXTS


def test_each_event_arrives_before_the_next_is_sent_async(play: Play) -> None:
    steps = Lockstep()
    scene = play(steps.script)
    texts = []

    async def run() -> None:
        async with async_openai(scene.url) as client:
            stream = await client.chat.completions.create(model="m", messages=ask("x"), stream=True)
            async for chunk in stream:
                texts.append(chunk.choices[0].delta.content)
                steps.got()

    asyncio.run(run())
    assert texts == TEXTS


def _broken_by(end: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    def script(exchange: Exchange) -> None:
        exchange.sse_head()
        for n in range(EVENTS):
            exchange.event(token(f"t{n} "))
        end(exchange)

    return script


@pytest.mark.parametrize("end", [Exchange.reset, Exchange.cut])
def test_broken_stream_never_ends_cleanly(play: Play, end: Callable[[Exchange], None]) -> None:
    with (
        sync_openai(play(_broken_by(end)).url) as client,
        pytest.raises(openai.APIError),
    ):
        list(client.chat.completions.create(model="m", messages=ask("x"), stream=True))


@pytest.mark.parametrize("end", [Exchange.reset, Exchange.cut])
def test_broken_stream_never_ends_cleanly_async(
    play: Play, end: Callable[[Exchange], None]
) -> None:
    scene = play(_broken_by(end))

    async def run() -> None:
        async with async_openai(scene.url) as client:
            stream = await client.chat.completions.create(model="m", messages=ask("x"), stream=True)
            with pytest.raises(openai.APIError):
                [chunk async for chunk in stream]

    asyncio.run(run())


def test_broken_stream_delivers_what_came_and_says_why(sidecar: Sidecar, play: Play) -> None:
    with sync_openai(play(_broken_by(Exchange.cut)).url) as client:
        stream = client.chat.completions.create(model="m", messages=ask("x"), stream=True)
        texts = [next(stream).choices[0].delta.content for _ in TEXTS]
        with pytest.raises(openai.APIError) as caught:
            next(stream)
    assert texts == TEXTS
    # An error event of the dialect, not merely a connection that broke.
    assert not isinstance(caught.value, openai.APIConnectionError)
    assert caught.value.code == "upstream_truncated"


def test_stalled_stream_is_broken_off(sidecar: Sidecar, play: Play) -> None:
    scene = play(_broken_by(Exchange.await_close), "openai-tight")
    with sync_openai(scene.url) as client:
        stream = client.chat.completions.create(model="m", messages=ask("x"), stream=True)
        with pytest.raises(openai.APIError):
            list(stream)
    assert scene.only.closed.wait(10)


def test_truncated_whole_reply_is_an_error(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.head(200, [("content-type", "application/json")], length=1000)
        exchange.chunk(b'{"object": "chat.completion"')
        exchange.cut()

    with (
        sync_openai(play(script).url) as client,
        pytest.raises(openai.APIError),
    ):
        client.chat.completions.create(model="m", messages=ask("x"))


def test_leaving_a_stream_frees_the_server(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.sse_head()
        exchange.event(token("x"))
        exchange.await_close()

    scene = play(script)
    with (
        sync_openai(scene.url) as client,
        client.chat.completions.create(model="m", messages=ask("x"), stream=True) as stream,
    ):
        next(iter(stream))
    assert scene.only.closed.wait(10)


def test_leaving_a_stream_frees_the_server_async(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.sse_head()
        exchange.event(token("x"))
        exchange.await_close()

    scene = play(script)

    async def run() -> None:
        async with async_openai(scene.url) as client:
            stream = await client.chat.completions.create(model="m", messages=ask("x"), stream=True)
            await anext(aiter(stream))
            await stream.close()
            assert await asyncio.to_thread(scene.only.closed.wait, 10)

    asyncio.run(run())


def test_connection_serves_again_after_a_stream(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.sse_head()
        exchange.event(token("x"))
        exchange.event("[DONE]")
        exchange.end()

    scene = play(script)
    with sync_openai(scene.url) as client:
        for _ in range(5):
            stream = client.chat.completions.create(model="m", messages=ask("x"), stream=True)
            assert [chunk.choices[0].delta.content for chunk in stream] == ["x"]
    assert len(scene.exchanges) == 5
