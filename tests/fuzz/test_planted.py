"""The oracles of the fuzzers on the wire: each finds the fault that is planted for it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any

import pytest

from sidecar.http.headers import status_line
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from sidecar.listen.downstream import DownstreamConnection
from sidecar.proxy import client_sink, serve
from sidecar.proxy.client_sink import ClientSink
from sidecar.proxy.exchange import wire
from tests.fuzz import fuzz_replies, fuzz_requests, world
from tests.fuzz.cases import Case, Fault
from tests.fuzz.fuzz_replies import ReplyFuzzer
from tests.fuzz.fuzz_requests import RequestFuzzer
from tests.fuzz.planting import found
from tests.fuzz.strict import read_request
from tests.fuzz.world import World, check_line

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /v1/chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
Patch = pytest.MonkeyPatch


@pytest.fixture(autouse=True)
def impatient(monkeypatch: Patch) -> None:
    """What never happens need not be waited for."""
    monkeypatch.setattr(world, "PATIENCE", 0.2)


def asks(data: bytes, listener: str = "plain") -> Case:
    return Case(data, {"listener": listener})


def answered(data: bytes, route: str = "plain", closes: str = "", version: str = "1.1") -> Case:
    return Case(data, {"method": "GET", "version": version, "route": route, "closes": closes})


# -- without a fault --


@pytest.mark.parametrize("data", [GET, POST, GET + POST, GET[:-1], b"\x00", GET + b"\x00"])
@pytest.mark.parametrize("listener", ["plain", "trusting", "tight"])
async def test_all_is_well_with_requests(data: bytes, listener: str) -> None:
    async with RequestFuzzer() as fuzzer:
        await fuzzer.check(asks(data, listener))
        await fuzzer.audit()


@pytest.mark.parametrize("data", [OK, OK[:-1], CHUNKED + b"2\r\nok\r\n", b"", b"HTTP", OK + OK])
@pytest.mark.parametrize("route", ["plain", "retry", "hedge", "mirror"])
@pytest.mark.parametrize("closes", ["", "yes"])
async def test_all_is_well_with_replies(data: bytes, route: str, closes: str) -> None:
    async with ReplyFuzzer() as fuzzer:
        await fuzzer.check(answered(data, route, closes))
        await fuzzer.audit()


# -- requests --


async def test_a_request_that_is_never_answered(monkeypatch: Patch) -> None:
    monkeypatch.setattr(DownstreamConnection, "_begin", lambda self, call: None)
    async with found(RequestFuzzer(), "whole requests are not answered") as fuzzer:
        await fuzzer.check(asks(GET))


async def test_a_bug_of_ours(monkeypatch: Patch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(serve, "_route", fails)
    async with found(RequestFuzzer(), "a bug of ours was answered with 500") as fuzzer:
        await fuzzer.check(asks(GET))


@pytest.mark.parametrize(
    "line", [b"\r\nA : b", b"\r\nA: b\nc", b"\r\nContent-Length: 0", b"\nA: b"]
)
async def test_a_head_that_is_not_strict(monkeypatch: Patch, line: bytes) -> None:
    right = wire._lines
    monkeypatch.setattr(wire, "_lines", lambda *of: right(*of) + line)
    async with found(RequestFuzzer(), "what is forwarded is no strict HTTP") as fuzzer:
        await fuzzer.check(asks(POST))


def test_a_request_that_can_be_read_in_two_ways() -> None:
    strict = read_request(POST)
    assert strict is not None
    fuzz_requests.check_forwarded(strict)
    two = POST.replace(b"Host", b"X: y\n\nHost")
    with pytest.raises(Fault, match="a careless server reads another request"):
        fuzz_requests.check_forwarded(strict._replace(raw=two))


async def test_a_request_that_does_not_wait_for_its_turn() -> None:
    async with RequestFuzzer() as fuzzer:
        port = fuzzer.origin_port
        _, end = await asyncio.get_running_loop().create_connection(
            lambda: world.End(fuzzer.world), "127.0.0.1", port
        )
        end.send(GET + GET)
        await fuzzer.world.rests()
        assert [fault.kind for fault in fuzzer.faults] == ["bytes came before a reply"]
        end.reset()


async def test_a_reply_to_another_request(monkeypatch: Patch) -> None:
    right = fuzz_requests.reply_to
    monkeypatch.setattr(fuzz_requests, "reply_to", lambda asked, number: right(asked, number + 1))
    kind = "replies are not those to the caller's requests"
    async with found(RequestFuzzer(), kind) as fuzzer:
        await fuzzer.check(asks(GET))


async def test_a_reply_with_anothers_body(monkeypatch: Patch) -> None:
    right = fuzz_requests.reply_to
    monkeypatch.setattr(
        fuzz_requests, "reply_to", lambda *of: right(*of).replace(b"request 0", b"request 7")
    )
    async with found(RequestFuzzer(), "a reply's body is another's") as fuzzer:
        await fuzzer.check(asks(GET))


async def test_a_reply_that_is_no_http(monkeypatch: Patch) -> None:
    monkeypatch.setattr(client_sink, "status_line", lambda head: b"HTTP/1.1 200 O\x00K")
    async with found(RequestFuzzer(), "a reply is no HTTP") as fuzzer:
        await fuzzer.check(asks(GET))


async def test_requests_that_depend_on_how_they_are_split(monkeypatch: Patch) -> None:
    right = RequestParser._check_unfinished

    def wrong(parser: RequestParser, before: int) -> None:
        right(parser, before)
        parser._held += b"x"

    monkeypatch.setattr(RequestParser, "_check_unfinished", wrong)
    async with found(RequestFuzzer(), "segmentation changes the outcome") as fuzzer:
        await fuzzer.check(asks(GET))


async def test_a_task_that_is_left_behind(monkeypatch: Patch) -> None:
    tasks: list[asyncio.Task[Any]] = []
    right = serve.identify

    def leaves(call: Any, *rest: Any) -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(60)))
        right(call, *rest)

    monkeypatch.setattr(serve, "identify", leaves)
    async with found(RequestFuzzer(), "something is held for callers that left") as fuzzer:
        await fuzzer.check(asks(GET))
    for task in tasks:
        task.cancel()


@pytest.mark.parametrize(
    "fails",
    [
        lambda call: logging.getLogger("sidecar.x").error("planted"),
        lambda call: asyncio.get_running_loop().call_soon(lambda: 1 // 0),
    ],
)
async def test_an_error_that_is_logged(
    monkeypatch: Patch, fails: Callable[[object], object]
) -> None:
    right = serve.identify
    monkeypatch.setattr(serve, "identify", lambda call, *rest: (fails(call), right(call, *rest)))
    async with found(RequestFuzzer(), "an error was logged") as fuzzer:
        await fuzzer.check(asks(GET))


async def test_a_connection_that_is_not_closed(monkeypatch: Patch) -> None:
    async with RequestFuzzer() as fuzzer:
        left = await fuzzer.world.caller()
        with pytest.raises(Fault, match="something is held for callers that left"):
            await fuzzer.check(asks(GET))
        left.reset()
        await fuzzer.check(asks(GET))


async def test_descriptors_that_are_lost() -> None:
    async with RequestFuzzer() as fuzzer:
        await fuzzer.audit()
        lost = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
        with pytest.raises(Fault, match="descriptors are lost"):
            await fuzzer.audit()
        for each in lost:
            os.close(each)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"request_id":"a"}', "a control byte in the access log"),  # no line end
        (b'{"request_id":"\x1b"}\n', "a control byte in the access log"),
        (b'{"request_id":"\n"}\n', "a control byte in the access log"),
        (b'{"request_id":"\xc2\x9b"}\n', "a C1 control in the access log"),
        (b'{"request_id":"a}\n', "a line of the access log is no JSON"),
        (b"[]\n", "a line of the access log is no record"),
        (b'{"x":1}\n', "a line of the access log is no record"),
    ],
)
def test_lines_of_the_access_log(line: bytes, kind: str) -> None:
    check_line('{"request_id":"é"}\n'.encode())
    with pytest.raises(Fault) as raised:
        check_line(line)
    assert raised.value.kind == kind


async def test_a_line_that_is_logged_is_looked_at(monkeypatch: Patch) -> None:
    monkeypatch.setattr(world, "line", lambda record: b"\x1b\n")
    async with found(RequestFuzzer(), "a control byte in the access log") as fuzzer:
        await fuzzer.check(asks(GET))


# -- replies --


async def test_a_broken_reply_that_looks_whole(monkeypatch: Patch) -> None:
    def pretends(self: Any, error: object) -> None:
        self._call.close = True
        self._connection.transport.write(b"0\r\n\r\n")

    monkeypatch.setattr(ClientSink, "break_off", pretends)
    async with found(ReplyFuzzer(), "a broken reply looks whole") as fuzzer:
        await fuzzer.check(answered(CHUNKED + b"2\r\nok\r\n", closes="yes"))


async def test_a_broken_reply_that_http_1_0_takes_for_whole(monkeypatch: Patch) -> None:
    monkeypatch.setattr(DownstreamConnection, "reset", DownstreamConnection._close)
    async with found(ReplyFuzzer(), "a broken reply looks whole") as fuzzer:
        await fuzzer.check(answered(CHUNKED + b"2\r\nok\r\n", closes="yes", version="1.0"))


async def test_a_reply_that_was_changed(monkeypatch: Patch) -> None:
    monkeypatch.setattr(client_sink, "status_line", lambda head: b"HTTP/1.1 299 X")
    async with found(ReplyFuzzer(), "a reply is not what the origin sent") as fuzzer:
        await fuzzer.check(answered(OK))


async def test_a_caller_that_is_left_waiting(monkeypatch: Patch) -> None:
    monkeypatch.setattr(ClientSink, "begin", lambda self, *of: None)
    async with found(ReplyFuzzer(), "a caller is left waiting") as fuzzer:
        await fuzzer.check(answered(OK))


async def test_an_interim_reply_of_nobody(monkeypatch: Patch) -> None:
    interim = b"HTTP/1.1 103 X\r\n\r\n"
    monkeypatch.setattr(client_sink, "status_line", lambda head: interim + status_line(head))
    async with found(ReplyFuzzer(), "an interim reply of nobody") as fuzzer:
        await fuzzer.check(answered(OK))


async def test_what_a_caller_gets_that_is_no_http(monkeypatch: Patch) -> None:
    monkeypatch.setattr(client_sink, "status_line", lambda head: b"HTTP/1.1 20 X")
    async with found(ReplyFuzzer(), "what the caller gets is no HTTP") as fuzzer:
        await fuzzer.check(answered(OK))


async def test_a_good_reply_of_another_attempt(monkeypatch: Patch) -> None:
    right = fuzz_replies.good_reply
    monkeypatch.setattr(fuzz_replies, "good_reply", lambda asked, number: right(asked, number + 1))
    async with found(ReplyFuzzer(), "a caller gets a reply that is another's") as fuzzer:
        await fuzzer.check(answered(b"x", "retry"))


async def test_the_reply_to_the_call_after_it(monkeypatch: Patch) -> None:
    right = fuzz_replies.good_reply
    monkeypatch.setattr(fuzz_replies, "good_reply", lambda asked, number: right(asked, number + 1))
    async with found(ReplyFuzzer(), "the call after it gets another's reply") as fuzzer:
        await fuzzer.check(answered(OK))
        await fuzzer._next()


async def test_replies_that_depend_on_how_they_are_split(monkeypatch: Patch) -> None:
    right = ResponseParser._take_head

    def wrong(parser: ResponseParser, raw: bytes, data: bytes, at: int) -> int:
        whole = data.startswith(raw) and len(data) > len(raw) + 4
        return right(parser, raw, data[:at] + b"KO" if whole else data, at)

    monkeypatch.setattr(ResponseParser, "_take_head", wrong)
    monkeypatch.setattr(fuzz_replies, "_check_whole", lambda *of: None)
    async with found(ReplyFuzzer(), "segmentation changes the outcome") as fuzzer:
        await fuzzer.check(answered(OK))


async def test_a_call_that_never_reaches_the_origin(monkeypatch: Patch) -> None:
    monkeypatch.setattr(DownstreamConnection, "_begin", lambda self, call: None)
    async with found(ReplyFuzzer(), "the origin got no request") as fuzzer:
        await fuzzer.check(answered(OK))


async def test_a_world_that_was_well_before() -> None:
    """What is told once is not told again."""
    async with World(
        {
            "listeners": [{"address": "127.0.0.1:0"}],
            "upstreams": {"u": {"endpoints": [{"url": "http://127.0.0.1:1"}]}},
            "routes": [{"upstream": "u"}],
        }
    ) as each:
        each.is_well()
        logging.getLogger("sidecar").error("planted")
        with pytest.raises(Fault):
            each.is_well()
        each.is_well()
