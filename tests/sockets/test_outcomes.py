"""What an attempt comes to is known to the endpoint's breaker and load, however the reply comes."""

from __future__ import annotations

import time

import pytest

from tests.sockets.peers import CHUNKED_OK, EVENTS, OK, chunk, until
from tests.sockets.scripted import Act, Fleet, Scripted, chat, status
from tests.sockets.stage import Stage

END = b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("act", "failures"),
    [
        (OK, 0),
        (CHUNKED_OK + chunk(b"some") + END, 0),
        (EVENTS + chunk(b"data: 1\n\n") + END, 0),
        (status(404), 0),
        (status(500), 1),
        (b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"no") + END, 1),
        ("reset", 1),
        ("hang", 1),
        (b"what?\r\n\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nsome", 1),  # breaks after its head
    ],
)
async def test_it_is_counted_once(act: Act, failures: int) -> None:
    one = Scripted("one", act)
    timeouts = {"first_byte": "50ms", "idle": "50ms"}
    async with Fleet(one, timeouts=timeouts, policy={"retry": {"max": 0}}) as fleet:
        client = await fleet.client()
        await client.sends(chat())
        await until(lambda: sum(fleet.endpoint.attempts.values()) == 1)
        await fleet.is_at_rest()
        endpoint = fleet.endpoints[0]
        window = endpoint.breakers["default"].window
        assert (len(window), window.failures) == (1, failures)
        assert endpoint.load.latency > 0 or failures  # a failure tells no latency
        assert (endpoint.load.errors > 0) == bool(failures)
        assert endpoint.load.in_flight == endpoint.load.total.in_flight == 0


@pytest.mark.parametrize("said", [b"Retry-After: 9", b"X: y"])
async def test_a_rate_limit_is_no_verdict(said: bytes) -> None:
    """The endpoint is well. It is avoided for as long as it says."""
    one = Scripted("one", status(429, said))
    async with Fleet(one, policy={"retry": {"max": 0}}) as fleet:
        assert (await fleet.gets(chat()))[0] == 429
        endpoint = fleet.endpoints[0]
        assert len(endpoint.breakers["default"].window) == 0
        assert endpoint.load.latency == 0
        assert endpoint.load.errors > 0
        assert 0 < endpoint.load.cool_until - time.monotonic() <= 9
        assert (endpoint.load.cool_until - time.monotonic() > 1) == (b"9" in said)


async def test_a_head_is_counted_before_its_body() -> None:
    async with Stage() as stage:
        client, server = await stage.call()
        await server.sends(b"HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n")
        await client.until(b"\r\n\r\n")
        window = stage.endpoints[0].breakers["default"].window
        assert (len(window), window.failures) == (1, 1)
        await server.sends(b"no")
        await stage.is_at_rest()
        assert (len(window), window.failures) == (1, 1)
