"""What is learnt of an attempt that nobody waits for any more."""

from __future__ import annotations

import time

import pytest

from sidecar.http.message import ResponseHead
from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.policy.load import Total
from sidecar.upstream.lease import Lease
from tests.upstream.test_load_balancer import BREAKER, A, B, Clock, Fleet, clock

__all__ = ["clock"]

PATIENT: BreakerSettings = BREAKER._replace(min_calls=100)


def granted(usual: float, asked: bool = True) -> tuple[Lease, Fleet]:
    fleet = Fleet(A, B, breaker=PATIENT)
    lease = fleet.hold(A)
    if asked:
        lease.sent(time.monotonic())
    lease.endpoint.load.total.usual = usual
    lease.endpoint.load.latency = usual
    return lease, fleet


def seen(fleet: Fleet) -> tuple[int, int, int]:
    """Results, failures and slow ones in the window of A's breaker."""
    window = fleet.endpoint(A).breakers["default"].window
    return len(window), window.failures, window.slow


@pytest.mark.parametrize(
    ("usual", "seconds", "outrun", "expected"),
    [
        (0.4, 1.1, False, (0, 0, 0)),  # not three times what is usual
        (0.4, 1.3, False, (1, 1, 0)),
        (0.1, 0.4, False, (0, 0, 0)),  # who leaves within half a second is in a hurry
        (0.1, 0.6, False, (1, 1, 0)),
        (0.0, 99.0, False, (0, 0, 0)),  # nobody knows what is usual
        (0.4, 0.5, True, (1, 0, 1)),
        (0.4, 0.9, True, (1, 1, 0)),  # twice what is usual, and outrun
        (0.0, 99.0, True, (1, 0, 1)),
    ],
)
async def test_what_is_told(
    clock: Clock, usual: float, seconds: float, outrun: bool, expected: tuple[int, int, int]
) -> None:
    lease, fleet = granted(usual)
    clock.now += seconds
    lease.give_up(clock.now, outrun=outrun)
    lease.release()
    assert seen(fleet) == expected
    load = fleet.endpoint(A).load
    assert load.latency == pytest.approx(usual + max(0, (seconds - usual) / 2) * (usual > 0))
    assert (load.errors > 0) == (expected[0] > 0)
    assert (load.in_flight, load.unanswered) == (0, 0)


@pytest.mark.parametrize("outrun", [True, False])
async def test_what_was_never_asked_can_not_be_slow(clock: Clock, outrun: bool) -> None:
    """It waited for a connection, which may have been our own line."""
    lease, fleet = granted(0.1, asked=False)
    clock.now += 99.0
    lease.give_up(clock.now, outrun=outrun)
    lease.release()
    assert seen(fleet) == (0, 0, 0)
    assert fleet.endpoint(A).load.latency == 0.1


async def test_what_has_answered_is_judged_by_its_answer(clock: Clock) -> None:
    lease, fleet = granted(0.1)
    head = ResponseHead()
    head.status = 200
    lease.answered(head, clock.now)
    clock.now += 99.0
    lease.give_up(clock.now, outrun=False)
    lease.give_up(clock.now, outrun=True)
    assert seen(fleet) == (1, 0, 0)


async def test_it_is_told_once(clock: Clock) -> None:
    lease, fleet = granted(0.1)
    lease.sent(clock.now)
    assert fleet.endpoint(A).load.unanswered == 1
    clock.now += 99.0
    for _ in range(2):
        lease.give_up(clock.now, outrun=False)
        lease.release()
    assert seen(fleet) == (1, 1, 0)


async def test_a_trial_that_is_given_up_soon_gives_its_place_back(clock: Clock) -> None:
    fleet = Fleet(A, B)
    fleet.fail(A)
    clock.now += 1.0
    for _ in range(5):
        lease = fleet.hold(A)
        lease.sent(time.monotonic())
        lease.give_up(clock.now, outrun=False)
        lease.release()
    assert fleet.endpoint(A).breakers["default"].status == "half_open"


@pytest.mark.parametrize("end", ["tell", "limited", "give_up", "outrun", "release"])
async def test_an_answer_is_owed_until_it_is_known_or_not_wanted(clock: Clock, end: str) -> None:
    lease, fleet = granted(0.1)
    clock.now += 0.2
    if end == "tell":
        lease.report(False, clock.now)
    elif end == "limited":
        head = ResponseHead()
        head.status = 429
        lease.answered(head, clock.now)
    elif end != "release":
        lease.give_up(clock.now, outrun=end == "outrun")
    lease.release()
    load = fleet.endpoint(A).load
    assert (load.unanswered, load.silent_since) == (0, clock.now)


def test_nothing_is_usual_at_first() -> None:
    assert Total().usual == 0.0
