"""What an attempt tells of its endpoint, in however many reads its reply comes."""

import time
from typing import Any

import pytest

from tests.sockets.peers import GET
from tests.sockets.stage import Stage

WHOLE = [b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\nab"]
TWO_READS = [b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n", b"ab"]
CHUNKED = [b"HTTP/1.1 %d X\r\nTransfer-Encoding: chunked\r\n\r\n", b"2\r\nab\r\n0\r\n\r\n"]


def breaker(stage: Stage) -> dict[str, Any]:
    """What the only breaker of the first endpoint shows."""
    (found,) = stage.endpoints[0].breakers.values()
    return found.snapshot(time.monotonic())


@pytest.mark.parametrize("reply", [WHOLE, TWO_READS, CHUNKED])
@pytest.mark.parametrize(("status", "rate"), [(200, 0.0), (404, 0.0), (429, 1.0), (500, 1.0)])
async def test_a_reply_is_one_result(reply: list[bytes], status: int, rate: float) -> None:
    async with Stage() as stage:
        client, server = await stage.call(GET)
        await server.sends(reply[0] % status)
        for rest in reply[1:]:
            await client.until(b"\r\n\r\n")
            assert breaker(stage)["calls"] == 1  # with the head alone
            await server.sends(rest)
        await stage.is_at_rest()
        assert (breaker(stage)["calls"], breaker(stage)["failure_rate"]) == (1, rate)
        assert (stage.endpoints[0].load.errors > 0) == bool(rate)
        assert stage.endpoints[0].load.latency > 0


async def test_a_reply_that_breaks_is_one_failure() -> None:
    async with Stage() as stage:
        client, server = await stage.call(GET)
        await server.sends(TWO_READS[0] % 200)
        await client.until(b"\r\n\r\n")
        server.closes()
        await stage.is_at_rest()
        assert (breaker(stage)["calls"], breaker(stage)["failure_rate"]) == (1, 1.0)


async def test_whole_replies_open_the_breaker() -> None:
    async with Stage(policy={"breaker": {"min_calls": 3}}) as stage:
        client, server = await stage.call(GET)
        for calls in (1, 2, 3):
            await server.sends(WHOLE[0] % 500)
            assert (await client.reply()).status == 500
            assert breaker(stage)["state"] == ("open" if calls == 3 else "closed")
            if calls < 3:
                await client.sends(GET)
                await server.head()
