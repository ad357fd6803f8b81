"""Models that think for long, and servers that are silent for ever."""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulated.callers import Outcome
from tests.simulated.clock import run
from tests.simulated.fleet import Fleet, Summary
from tests.simulated.servers import Server, constant, lognormal

STREAM = b'{"stream":true}'


async def one(server: Server, body: bytes, policy: dict[str, Any]) -> Outcome:
    return await Fleet(server, policy=policy).call(body=body, patience=1e9)


@pytest.mark.parametrize("head_first", [None, 0.02])
@pytest.mark.parametrize("body", [STREAM, b"{}"])
@pytest.mark.parametrize("seconds", [150.0, 599.0])
def test_a_model_that_thinks_for_long_is_asked_once(
    head_first: float | None, body: bytes, seconds: float
) -> None:
    server = Server(latency=constant(seconds), head_first=head_first)
    outcome = run(one(server, body, {}))
    assert (outcome.status, len(server.arrivals)) == (200, 1)
    assert outcome.seconds == pytest.approx(seconds, abs=0.1)


@pytest.mark.parametrize("head_first", [None, 0.02])
@pytest.mark.parametrize("body", [STREAM, b"{}"])
@pytest.mark.parametrize(
    ("first_byte", "seconds", "attempts"), [(None, 600, 1), ("600s", 1800, 3), ("1s", 3, 3)]
)
def test_one_that_never_answers(
    head_first: float | None, body: bytes, first_byte: str | None, seconds: float, attempts: int
) -> None:
    """A limit that was set is meant: only the one that nobody has set is not tried again."""
    server = Server(latency=constant(1e6), head_first=head_first)
    timeouts = {} if first_byte is None else {"first_byte": first_byte}
    outcome = run(one(server, body, {"timeouts": timeouts}))
    if head_first is not None and body != STREAM:  # its head was passed on
        attempts, seconds = 1, seconds / attempts
    else:
        assert outcome.status == 504
    assert len(server.arrivals) == attempts
    assert outcome.seconds == pytest.approx(seconds, abs=2.0)


@pytest.mark.parametrize("head_first", [None, 0.02])
def test_hedges_and_balance_go_by_the_first_token(head_first: float | None) -> None:
    """One in fifty streams hangs: a second attempt brings its first token."""

    async def load() -> Summary:
        servers = [
            Server(number, latency=lognormal(0.2, 0.3), head_first=head_first, stall=0.02)
            for number in range(4)
        ]
        fleet = Fleet(*servers, policy={"hedge": {"quantile": "95%"}})
        return Summary(await fleet.open_load(30, 60, lambda _: fleet.call(body=STREAM, patience=9)))

    summary = run(load())
    assert summary.ok > 0.998  # both attempts may hang
    assert summary.p99 < 1.0
