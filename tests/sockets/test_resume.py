"""Streams of background responses that break, anywhere, and go on for the caller."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from sidecar.policy.token_limits import TokenLimits
from sidecar.proxy.layers import resumed
from tests.sockets.peers import EVENTS, Peer, chunk, ok, until
from tests.sockets.scripted import Act, Fleet, Scripted, status
from tests.sockets.test_homing import JSON, asks

RESUME: dict[str, Any] = {"state": "home", "resume": {}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumed, "_FIRST_WAIT", 1e-6)


def events(name: str, count: int = 5) -> list[bytes]:
    """Of one response, in two ways of ending lines."""
    usage = {"input_tokens": 7, "output_tokens": count, "total_tokens": 7 + count}
    told: list[dict[str, Any]] = [
        {"type": "response.created", "response": {"id": name, "background": True}},
        *({"type": "response.output_text.delta", "delta": f"{n}\n\n"} for n in range(count)),
        {"type": "response.completed", "response": {"id": name, "usage": usage}},
    ]
    return [
        b"event: %b\ndata: %b\n\n".replace(b"\n", b"\r\n" if n % 2 else b"\n")
        % (each["type"].encode(), json.dumps({**each, "sequence_number": n}).encode())
        for n, each in enumerate(told)
    ]


class Background(Scripted):
    """Makes one response, whose streams break as it is told."""

    def __init__(self, name: str, *cuts: int, clean: bool = False) -> None:
        """*cuts*: bytes of each stream; then they are whole. *clean*: they end in order."""
        super().__init__(name)
        self.cuts = list(cuts)
        self.clean = clean
        self.events = events(f"resp_{name}")
        self.asked: list[int | None] = []
        """What streams were to begin behind."""
        self.later: list[Act] = []
        """What comes instead of the streams that are to go on."""

    async def _act(self, peer: Peer) -> bool:
        if self.later and self.requests[-1].startswith(b"GET"):
            self.acts = [self.later.pop(0)]
            return await super()._act(peer)
        target = self.requests[-1].split(b" ")[1]
        after = re.search(rb"starting_after=(\d+)", target)
        begin = 0 if after is None else int(after[1]) + 1
        self.asked.append(begin - 1 if after else None)
        stream = b"".join(self.events[begin:])
        cut = self.cuts.pop(0) if self.cuts else len(stream) + 1
        sent = EVENTS + (chunk(stream[:cut]) if stream[:cut] else b"")
        breaks = cut <= len(stream) and not self.clean
        await peer.sends(sent if breaks else sent + b"0\r\n\r\n")
        if breaks:
            peer.closes()
        return not breaks


POST = asks("responses", model="m", input="hi", background=True, stream=True)
WHOLE = b"".join(events("resp_a"))


@pytest.mark.parametrize("clean", [False, True])
async def test_it_goes_on_wherever_it_breaks(clean: bool) -> None:
    server = Background("a", clean=clean)
    async with Fleet(server, policy=RESUME) as stage:
        client = await stage.client()
        first = len(events("resp_a")[0])
        for cut in range(first, len(WHOLE), 3):
            server.cuts = [cut]
            code, body, reply = await stage.gets(POST, client)
            assert (code, body) == (200, WHOLE), cut
            assert not reply["content-length"]
        calls = range(first, len(WHOLE), 3)
        assert stage.route.resumes == {"resumed": len(calls)}
        get, head = server.requests[1].split(b"\r\n", 1)
        assert get == b"GET /v1/responses/resp_a?stream=true&starting_after=0 HTTP/1.1"
        assert b"content-" not in head.lower()
        assert b"hi" not in head.partition(b"\r\n\r\n")[2]


async def test_it_breaks_again_and_again_while_it_brings_events() -> None:
    lengths = [len(each) for each in events("resp_a")]
    server = Background("a", *(length + 3 for length in lengths))
    async with Fleet(server, policy={**RESUME, "resume": {"tries": 1}}) as stage:
        assert (await stage.gets(POST))[:2] == (200, WHOLE)
        assert server.asked == [None, *range(len(lengths) - 1)]
        (call,) = stage.serving.calls
        assert [each.why for each in call.tries] == ["first", *["resume"] * (len(lengths) - 1)]
        assert call.verdict in ("", "complete")
        assert (call.input_tokens, call.output_tokens) == (7, 5)  # once


async def test_the_callers_own_stream_of_a_response_goes_on_too() -> None:
    server = Background("a", 40)
    async with Fleet(server, policy=RESUME) as stage:
        get = asks("responses/resp_a?include=x&stream=true&starting_after=2", "GET")
        code, body, _ = await stage.gets(get)
        assert (code, body) == (200, b"".join(server.events[3:]))
        asked = [request.split(b" ")[1] for request in server.requests]
        assert asked[1] == b"/v1/responses/resp_a?include=x&stream=true&starting_after=2"


async def test_it_goes_on_at_its_endpoint_with_its_key() -> None:
    servers = [Background(name, 150, 0, 60) for name in "abc"]
    keys = [
        {"name": name, "header": "authorization", "value": f"Bearer {name}"}
        for name in ("k1", "k2")
    ]
    async with Fleet(*servers, policy=RESUME, upstream={"credentials": keys}) as stage:
        for _ in range(9):
            assert (await stage.gets(POST))[0] == 200
        for server in servers:
            assert server.calls == 3 + 3
            bearers = {re.findall(rb"Bearer (\w+)", request)[0] for request in server.requests[:4]}
            assert len(bearers) == 1


GONE = json.dumps({"error": {"message": "no such response", "code": "not_found"}}).encode()


async def test_errors_on_the_way_back_are_tried_again() -> None:
    server = Background("a", 300)
    server.later = [status(503), "reset", "close", status(429, b"Retry-After: 0")]
    async with Fleet(server, policy=RESUME) as stage:
        assert (await stage.gets(POST))[:2] == (200, WHOLE)
        assert server.calls == 6
        assert stage.route.resumes == {"resumed": 1}


@pytest.mark.parametrize(
    ("later", "calls", "told"),
    [
        ([status(404, JSON, body=GONE)], 2, "the endpoint answers 404: no such response"),
        ([status(500)] * 5, 4, "the endpoint answers 500"),
        ([status(200, JSON, body=b"{}")], 2, "the endpoint answers 200"),
        (["close"] * 5, 4, "the server closed the connection"),
    ],
)
async def test_what_can_not_go_on_ends_in_an_error_of_the_api(
    later: list[Act], calls: int, told: str
) -> None:
    server = Background("a", 300)
    server.later = later
    async with Fleet(server, policy={**RESUME, "resume": {"tries": 3}}) as stage:
        client = await stage.client()
        await client.sends(POST)
        reply = await client.until(b"upstream_truncated")
        await client.is_cut()
        assert told.encode() in reply
        assert b"can't be taken up" in reply
        begun = b"".join(server.events[:2])
        assert len(begun) < 300 < len(begun + server.events[2])
        assert re.sub(rb"\r\n[0-9a-f]+\r\n", b"", reply).endswith(b"upstream_truncated")
        assert b'"sequence_number": 1' in reply
        assert b'"sequence_number": 2' not in reply
        assert server.calls == calls
        assert stage.route.resumes == {"given_up": 1}


async def test_a_stream_that_skips_events_is_not_taken_for_the_rest() -> None:
    server = Background("a", 300)
    server.later = [ok(b"".join(server.events[4:]), b"Content-Type: text/event-stream")]
    async with Fleet(server, policy=RESUME) as stage:
        client = await stage.client()
        await client.sends(POST)
        assert b"lacks events" in await client.until(b"upstream_truncated")
        await client.is_cut()


async def test_comments_alone_bring_it_no_further() -> None:
    server = Background("a", 300)
    server.later = [ok(b": alive\n\n", b"Content-Type: text/event-stream")] * 9
    async with Fleet(server, policy={**RESUME, "resume": {"tries": 3}}) as stage:
        client = await stage.client()
        await client.sends(POST)
        assert b"no try is left" in await client.until(b"upstream_truncated")
        await client.is_cut()
        assert server.calls == 4


async def test_events_that_come_twice_are_given_once() -> None:
    server = Background("a", 300)
    server.later = [ok(WHOLE, b"Content-Type: text/event-stream")]
    async with Fleet(server, policy=RESUME) as stage:
        assert (await stage.gets(POST))[:2] == (200, WHOLE)


async def test_interim_replies_of_what_continues_it_are_dropped() -> None:
    server = Background("a", 300)
    rest = ok(b"".join(server.events[2:]), b"Content-Type: text/event-stream")
    server.later = [b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + rest]
    async with Fleet(server, policy=RESUME) as stage:
        assert (await stage.gets(POST))[:2] == (200, WHOLE)


async def test_a_caller_that_leaves_ends_it() -> None:
    server = Background("a", 300)
    server.later = ["hang"]
    async with Fleet(server, policy=RESUME) as stage:
        client = await stage.client()
        await client.sends(POST)
        await until(lambda: server.calls == 2)
        client.closes()
        await stage.is_at_rest()
        assert server.broken == 1


async def test_its_time_is_that_of_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumed, "_FIRST_WAIT", 3600)
    monkeypatch.setattr(resumed, "_LONGEST_WAIT", 3600)
    server = Background("a", 300)
    async with Fleet(server, policy={**RESUME, "timeouts": {"total": "60s"}}) as stage:
        client = await stage.client()
        await client.sends(POST)
        assert b"its time is over" in await client.until(b"upstream_truncated")
        await client.is_cut()


async def test_tokens_are_counted_once() -> None:
    server = Background("a", 300)
    tokens = {"total": 10_000}
    async with Fleet(server, policy={**RESUME, "limits": {"tokens": tokens}}) as stage:
        assert (await stage.gets(POST))[0] == 200
        (limits,) = stage.stats.token_limits.values()
        assert isinstance(limits, TokenLimits)
        assert limits.used == {"requests": 2, "input": 7, "output": 5, "total": 12}


async def test_tries_that_bring_nothing_use_nothing() -> None:
    server = Background("a", 300)
    server.later = ["reset", status(200, JSON, body=b"{}")]
    async with Fleet(server, policy={**RESUME, "limits": {"tokens": {"total": 10_000}}}) as stage:
        client = await stage.client()
        await client.sends(POST)
        await client.until(b"upstream_truncated")
        await client.is_cut()
        await stage.is_at_rest()
        (limits,) = stage.stats.token_limits.values()
        assert isinstance(limits, TokenLimits)
        assert limits.used["requests"] == server.calls == 3
        assert limits.used["output"] == 1  # as far as the stream came


async def test_a_caller_that_leaves_meanwhile_uses_nothing_more() -> None:
    server = Background("a", 300)
    server.later = ["hang"]
    async with Fleet(server, policy={**RESUME, "limits": {"tokens": {"total": 10_000}}}) as stage:
        client = await stage.client()
        await client.sends(POST)
        await until(lambda: server.calls == 2)
        client.closes()
        await stage.is_at_rest()
        (limits,) = stage.stats.token_limits.values()
        assert isinstance(limits, TokenLimits)
        assert limits.used["output"] == 1
        assert not any(limits.reserved.values())


async def test_what_is_not_in_the_background_breaks() -> None:
    server = Background("a")
    server.events = [
        each.replace(b'"background": true', b'"background": false') for each in server.events
    ]
    async with Fleet(server, policy=RESUME) as stage:
        for request in (POST, asks("responses", model="m", stream=True)):
            server.cuts = [300]
            client = await stage.client()
            await client.sends(request)
            assert WHOLE[:20] in await client.until(b"created")
            await client.is_cut()
        assert server.calls == 2
