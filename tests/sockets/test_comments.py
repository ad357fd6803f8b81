"""Comments while a stream says nothing: the call goes on behind them, whatever happens to it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sockets.peers import EVENTS, chunk
from tests.sockets.scripted import chat
from tests.sockets.test_reading import (
    DONE,
    END,
    LAST,
    OVERLOADED,
    RETRY,
    ROLE,
    STREAM,
    TEXT,
    called,
    reply,
)

COMMENT = b": keep-alive\n\n"
SPOKEN = EVENTS + chunk(TEXT) + chunk(LAST) + chunk(DONE) + END
COMMENTS: dict[str, Any] = {**RETRY, "comments": "30ms"}


async def test_a_silent_stream_gets_comments_and_then_its_answer() -> None:
    async with called(policy=COMMENTS) as (stage, client, server):
        head = await client.until(chunk(COMMENT) * 2)
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: text/event-stream" in head
        await server.sends(SPOKEN)
        rest = await client.until(END)
        assert b"HTTP/1.1" not in rest
        assert TEXT in rest
        record = await stage.record()
        assert (record.status, record.verdict) == (200, "complete")
        assert record.endpoint == stage.server.url
        await client.sends(STREAM)  # the connection goes on
        await server.head()
        await server.sends(SPOKEN)
        await client.until(END)


async def test_a_stream_that_speaks_in_time_gets_none() -> None:
    async with called(policy={**RETRY, "comments": "20s"}) as (_, client, server):
        await server.sends(SPOKEN)
        assert (await client.reply()).body == TEXT + LAST + DONE


async def test_attempts_go_on_behind_comments() -> None:
    async with called(policy=COMMENTS) as (stage, client, server):
        await client.until(COMMENT)
        await server.sends(EVENTS + chunk(OVERLOADED) + END)
        again = await stage.accepts()
        await again.head()
        await again.sends(b"HTTP/1.1 103 X\r\nLink: </a>\r\n\r\n" + SPOKEN)
        told = await client.until(END)
        assert b"103" not in told
        assert b"try later" not in told
        assert TEXT in told
        assert [each.error for each in (await stage.record()).tries] == ["stream_error", ""]


@pytest.mark.parametrize(
    ("last", "says"),
    [
        (EVENTS + chunk(OVERLOADED) + END, "try later"),
        (reply(b'{"error": {"message": "too busy"}}', 503), "too busy"),
        (reply(b'{"error": {"message": "no such model"}}', 404), "no such model"),
        (reply(b'{"object": "chat.completion"}'), "no stream of events"),
    ],
)
async def test_what_fails_behind_comments_is_told_in_an_event(last: bytes, says: str) -> None:
    retry = {"max": 1, "backoff": {"base": "1ms", "cap": "1ms"}}
    async with called(policy={**COMMENTS, "retry": retry}) as (stage, client, server):
        await client.until(COMMENT)
        await server.sends(EVENTS + chunk(OVERLOADED) + END)
        again = await stage.accepts()
        await again.head()
        await again.sends(last)
        told = await client.rest()
        assert not told.endswith(END)
        events = [line for line in told.split(b"\n") if line.startswith(b"data: ")]
        assert says in json.loads(events[-1][6:])["error"]["message"]


async def test_comments_stop_at_the_first_piece_of_the_body() -> None:
    async with called(policy={"comments": "30ms", "gate": None}) as (_, client, server):
        await server.sends(EVENTS + chunk(ROLE))
        await client.until(chunk(ROLE))
        assert await client.silent(0.2)
        await server.sends(chunk(TEXT) + END)
        await client.until(END)


async def test_a_caller_that_leaves_behind_comments_cancels_the_attempt() -> None:
    async with called(policy=COMMENTS) as (stage, client, server):
        await client.until(COMMENT)
        client.closes()
        await server.is_cut()
        assert (await stage.record()).error == "caller_left"


async def test_who_asks_for_no_stream_gets_no_comments() -> None:
    async with called(chat("gpt-x"), policy=COMMENTS) as (_, client, server):
        assert await client.silent(0.1)
        await server.sends(reply(b"{}"))
        assert (await client.reply()).body == b"{}"
