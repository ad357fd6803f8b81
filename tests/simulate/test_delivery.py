from random import Random

import pytest

from sidecar.simulate.delivery import Pace


class FakeTime:
    """A clock that only sleeping moves, and that wakes up late."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 100.0
        self.slept: list[float] = []
        self._late = late

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + (self._late if seconds else 0.0)

    def clock(self) -> float:
        return self.now


async def wait(time: FakeTime, count: int, per_second: float, jitter: float = 0.0) -> None:
    pace = Pace(per_second, jitter, Random(7), time.sleep, time.clock)
    for _ in range(count):
        await pace.wait()


async def test_the_first_token_is_due_at_once_and_others_evenly() -> None:
    time = FakeTime()
    await wait(time, 4, per_second=10)
    assert time.slept == pytest.approx([0.0, 0.1, 0.1, 0.1])


async def test_late_wake_ups_do_not_add_up() -> None:
    time = FakeTime(late=0.05)
    await wait(time, 101, per_second=10)
    assert time.now == pytest.approx(100 + 10 + 0.05)


async def test_jitter_strays_around_the_mean() -> None:
    time = FakeTime()
    await wait(time, 2001, per_second=10, jitter=0.5)
    gaps = time.slept[1:]
    assert 0.05 <= min(gaps) < 0.06
    assert 0.14 < max(gaps) <= 0.15
    assert sum(gaps) / len(gaps) == pytest.approx(0.1, rel=0.02)


async def test_without_a_speed_every_token_still_gives_others_a_turn() -> None:
    time = FakeTime()
    await wait(time, 5, per_second=0)
    assert time.slept == [0.0] * 5
