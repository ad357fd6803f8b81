"""What an attempt comes to is known to the endpoint's breaker and load, however the reply comes."""

from __future__ import annotations

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
        (status(429), 1),
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
