"""The judges of what is forwarded: each must be able to say no."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz import request_inputs
from tests.fuzz.judge import read_reply, read_requests
from tests.fuzz.lenient import ends
from tests.fuzz.mutate import bytewise, cut, cut_at, mutated
from tests.fuzz.strict import NotStrict, read_request

GOOD = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a:80\r\nx-a: \x80\tb\r\nEmpty:\r\n\r\n",
    b"POST /a?b HTTP/1.1\r\nHost: [::1]:1\r\nContent-Length: 2\r\n\r\nhi",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n",
]
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("data", GOOD)
def test_a_strict_request_is_read_when_it_is_complete(data: bytes) -> None:
    assert all(read_request(data[:end]) is None for end in range(len(data)))
    request = read_request(data + b"GET")
    assert request is not None
    assert request.raw == data


@pytest.mark.parametrize(
    "data",
    [
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n",
        b"GET / HTTP/1.1\r\nA: \x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: A\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: \x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTE: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Sidecar-A: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nhi",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        CHUNKED + b"2;a\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"02 \r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n",
        CHUNKED + b"2\r\nhi0\r\n\r\n",
        CHUNKED + b"2\nhi",
        CHUNKED + b"0\r\nA : b\r\n\r\n",
    ],
)
def test_what_is_not_strict_is_refused(data: bytes) -> None:
    with pytest.raises(NotStrict):
        read_request(data)


def other_readings(data: bytes) -> dict[int | None, str]:
    found = ends(data)
    found.pop(len(data), None)
    return found


@pytest.mark.parametrize("data", GOOD)
def test_nobody_reads_a_strict_request_otherwise(data: bytes) -> None:
    assert not other_readings(data)


HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
LURE = b"GET /lure HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Content-Length: 35\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 5\r\nContent-Length: 35\r\n\r\n0\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 5, 35\r\n\r\n0\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 3_0\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 30\r\nTransfer-Encoding : chunked\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 30\r\nTransfer-Encoding: xchunked\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 30\r\nTransfer-Encoding: chunked, identity\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 30\r\nTransfer-Encoding: \x0bchunked\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 30\r\nTransfer-Encoding:\r\n chunked\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 30\r\n\x0bTransfer-Encoding: chunked\r\n\r\n" + LURE,
        HEAD + b"X: y\nContent-Length: 30\r\n\r\n" + LURE,
        HEAD + b"X: y\rContent-Length: 30\r\n\r\n" + LURE,
        HEAD + b"X: y\n\nGET /lure HTTP/1.1\r\n\r\n",
        HEAD + b"X: y\r\rGET /lure HTTP/1.1\r\n\r\n",
        HEAD + b"X: y\x00Content-Length: 30\r\n\r\n" + LURE,
        HEAD + b"Content-Length: 30\x00, 0\r\n\r\n" + LURE,
        CHUNKED + b"2;\nxx\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n",
        CHUNKED + b"2\nhi\r\n0\r\n\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_is_found(data: bytes) -> None:
    assert len(ends(data)) > 1


@pytest.mark.parametrize(
    ("data", "closed", "complete"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", False, True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", False, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", True, False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", False, False),
        (b"HTTP/1.1 200 OK\r\n\r\nok", True, True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", True, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", False, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False, False),
        (b"HTTP/1.1 2000 OK\r\n\r\n", True, False),
        (b"", True, False),
    ],
)
def test_the_judge_of_replies(data: bytes, closed: bool, complete: bool) -> None:
    assert read_reply(data, closed=closed).complete == complete


def test_the_judge_knows_what_a_reply_answers() -> None:
    reply = read_reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHTTP", b"HEAD", closed=False)
    assert (reply.complete, reply.body, reply.rest) == (True, b"", b"HTTP")
    assert read_reply(b"HTTP/1.1 101 X\r\nUpgrade: a\r\n\r\n", closed=False).complete


def test_the_judge_of_requests() -> None:
    found = read_requests(GOOD[2] + GOOD[3] + b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET")
    assert (found.methods, found.complete) == ([b"POST", b"POST", b"HEAD"], 3)
    assert not found.refused
    assert read_requests(b"\x00").refused
    assert read_requests(CHUNKED + b"2\r\nh").complete == 0
    assert read_requests(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n" + LURE).complete == 1


def test_mutations_come_from_their_seed() -> None:
    def made(seed: int) -> list[bytes]:
        random = Random(seed)
        data = [request_inputs.connection(random) for _ in range(50)]
        return [mutated(random, each, request_inputs.WORDS) for each in data]

    assert made(1) == made(1)
    assert made(1) != made(2)


def test_cuts_lose_nothing() -> None:
    random = Random(1)
    for _ in range(200):
        data = request_inputs.connection(random)
        pieces = cut(random, data)
        assert b"".join(pieces) == data == b"".join(bytewise(data))
        assert all(pieces)
    assert cut_at(b"abc", [0, 1, 1, 3, 9]) == [b"a", b"bc"]
    assert cut_at(b"", [0]) == []


def test_most_inputs_are_nearly_valid() -> None:
    random = Random(1)
    found = [read_requests(request_inputs.connection(random)) for _ in range(300)]
    assert sum(each.complete > 0 for each in found) > 100
    assert sum(each.refused for each in found) > 30
