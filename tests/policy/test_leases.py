"""Limits that sidecars share by leases: they never pass them together, whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.policy.leases import Batch, Link, SharedMinute
from sidecar.policy.meter import Bounds
from sidecar.policy.shared_meter import Message, SharedMeter
from tests.policy.lease_model import Leases

KIND = 3
LIMIT = 100
Reply = Callable[[], None]


class Sidecar:
    """One of those that share a limit, with a clock of its own."""

    def __init__(self, name: str, skew: float, world: World) -> None:
        self.name = name
        self.skew = skew
        self.world = world
        self.by_leases = False
        """Whether it goes by nothing else."""
        self.link = Link()
        self.begin()

    def begin(self) -> None:
        """Start, maybe after it was killed: nothing is known."""
        self.world.starts += 1
        member = f"{self.name}.{self.world.starts}"
        self.meter = SharedMeter(Bounds(total=LIMIT), self.link, member, lambda *_: None)
        minute = self.meter.minutes[KIND]
        assert isinstance(minute, SharedMinute)
        self.minute = minute
        self.calls: list[tuple[Batch, int, list[float]]] = []
        """Those in flight: their place, what they reserved, and their entry in the history."""
        self.under_way: Message | None = None

    @property
    def now(self) -> float:
        return self.world.now + self.skew

    def call(self, amount: int) -> bool:
        """Begin a call if there is room for it. Return whether it began."""
        if not self.minute.fits(amount, self.now):
            return False
        if self.by_leases and self.minute.room(self.now) < amount:
            return False
        entry = [self.world.now, float(amount)]
        self.world.history.append(entry)
        self.calls.append((self.minute.add(amount, self.now), amount, entry))
        return True

    def settle(self, share: float) -> None:
        """End the oldest call, that used a part of what it reserved, or more."""
        if self.calls:
            batch, amount, entry = self.calls.pop(0)
            used = int(amount * share)
            self.minute.amend(batch, used - amount, self.now)
            entry[1] = float(used)

    def send(self) -> None:
        if self.under_way is None:
            self.under_way = self.meter.message(self.now)

    def arrives(self) -> Reply:
        """The store takes what was sent. Returns what its reply does."""
        message, member = self.under_way, self.meter
        if message is None:
            return lambda: None
        second, known, peers, answers = self.world.store.take(
            self.meter.member, message, int(self.world.now)
        )

        def told() -> None:
            if self.meter is member and self.under_way is message:
                self.under_way = None
                self.meter.answered(answers, second, peers, self.now, known=known)

        return told

    def round(self) -> None:
        """Ask, and be told."""
        self.send()
        self.arrives()()


@dataclass
class World:
    """The true time, the store, and all that was ever let in: `[time, amount]`."""

    now: float = 1000.0
    store: Leases = field(default_factory=Leases)
    history: list[list[float]] = field(default_factory=list)
    starts: int = 0

    def last_minute(self) -> float:
        """What the calls use that began in the last 60 seconds."""
        return sum(amount for begun, amount in self.history if begun > self.now - 60)


def sharing(count: int = 2) -> tuple[World, list[Sidecar]]:
    world = World()
    return world, [
        Sidecar(str(number), 1e6 * number + 0.3 * number, world) for number in range(count)
    ]


STEPS = ("call",) * 12 + ("settle",) * 4 + ("round",) * 8 + ("pass",) * 6
ODD = ("send", "take", "untold", "untold", "untold", "crash", "wait")


@settings(max_examples=100)
@given(st.integers(0, 10**9), st.sampled_from((0.0, 0.05, 0.2)))
def test_leases_never_grant_more_than_there_is(seed: int, odd: float) -> None:
    """Calls use at most what they reserved; sidecars die, replies are lost, clocks differ."""
    world, sidecars = sharing(3)
    choice = Random(seed)
    for sidecar in sidecars:  # what they do without a store is another test
        sidecar.by_leases = True
    for _ in range(400):
        step = choice.choice(ODD if choice.random() < odd else STEPS)
        act(step, choice.choice(sidecars), choice.randint(1, 30), choice.random())
        assert world.last_minute() <= LIMIT
        for window in world.store.windows.values():
            assert odd or sum(window.values()) <= LIMIT  # what is told late counts from then on
    assert odd or len(world.history) > 10


def act(step: str, sidecar: Sidecar, number: int, share: float) -> None:
    world = sidecar.world
    if step == "call":
        sidecar.call(number)
    elif step == "settle":
        sidecar.settle(share)
    elif step == "pass":
        world.now += share
    elif step == "wait":
        world.now += number
    elif step == "crash":
        sidecar.begin()
    elif step in ("take", "untold"):
        told = sidecar.arrives()
        if step == "take":
            told()
    else:
        getattr(sidecar, step)()


def test_a_store_that_has_lost_everything_is_told_the_last_minute() -> None:
    world, (one, other) = sharing()
    for _ in range(8):
        assert one.call(5)
        assert other.call(3)
        one.round()
        other.round()
        world.now += 0.9
    one.round()
    other.round()
    assert world.last_minute() == 64
    world.store = Leases()
    for _ in range(2):
        for sidecar in (one, other):
            sidecar.round()
    told = {second: a for second, a in world.store.windows[KIND].items() if second <= world.now}
    assert sum(told.values()) == 64
    assert max(told.values()) <= 16  # each in its own second
    assert one.minute._careful > one.now
    assert one.minute.share() + other.minute.share() <= LIMIT  # they go by what was left before
    world.now += 3
    one.round()
    assert one.minute._careful < one.now


def test_a_round_and_all_rounds_may_tell_of_the_loss() -> None:
    world, (one, _) = sharing()
    assert one.call(20)
    one.round()
    world.store = Leases()
    one.meter.restore(one.now)  # the exchange has noticed it
    one.round()
    assert sum(a for s, a in world.store.windows[KIND].items() if s <= world.now) == 20


@given(
    st.lists(st.integers(0, 30), min_size=2, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 20)), max_size=60),
)
def test_without_a_store_all_together_use_no_more_than_the_limit(
    before: list[int], calls: list[tuple[int, int]]
) -> None:
    world, sidecars = sharing(len(before))
    for sidecar, amount in zip(sidecars, before, strict=True):
        for _ in range(2):  # the second time all of it is told
            if amount and sidecar.minute.room(sidecar.now) >= amount:
                assert sidecar.call(amount)
            sidecar.minute.seek(amount)
            sidecar.round()
    for sidecar in sidecars * 4:  # all hear what is left
        sidecar.minute.seek(1)
        sidecar.round()
    assert sum(sidecar.minute.share() for sidecar in sidecars) <= LIMIT + 1e-9
    world.now += 2.0  # no answer is fresh now
    for which, amount in calls:
        sidecars[which % len(sidecars)].call(amount)
    assert world.last_minute() <= LIMIT


def test_what_was_used_without_a_store_is_told_when_it_is_back() -> None:
    world, (one, other) = sharing()
    other.call(1)
    for sidecar in (one, other):
        sidecar.round()
    one.call(10)
    one.send()
    one.arrives()  # its reply is lost
    for _ in range(4):
        world.now += 10
        assert one.call(5)
    one.settle(0.5)
    for _ in range(2):
        one.round()
        other.round()
    window = world.store.windows[KIND]
    assert sum(a for s, a in window.items() if s <= world.now) == world.last_minute() == 26
    assert len([s for s in window if s <= world.now]) > 4  # when it was used, not now


def test_an_outage_of_an_hour_is_not_told_at_once() -> None:
    world, (one, _) = sharing()
    one.round()
    for _ in range(360):
        world.now += 10
        one.call(10)
    one.round()
    assert sum(world.store.windows[KIND].values()) <= 10 * 7 + 20


def test_what_a_long_outage_leaves_is_bounded() -> None:
    world, (one, _) = sharing()
    one.round()
    one.call(1)
    assert one.meter.message(one.now) is not None  # which is not answered
    for _ in range(1000):
        world.now += 1
        one.call(1)
        one.settle(0.5)
    assert len(one.minute._batches) <= 62


def test_who_waits_is_let_in_where_others_give_their_leases_back() -> None:
    world, (one, other) = sharing()
    for sidecar in (one, other):
        sidecar.minute.seek(1)
        sidecar.round()
    one.minute.seek(60)
    one.round()
    assert not other.call(50)
    other.round()
    assert 0 < other.minute.wait(50, other.now) <= 1.0  # it is only leased
    one.round()
    assert one.minute.room(one.now) >= 60  # who asked for it may not have gone on yet
    world.now += 0.6
    one.round()  # nothing was used: the lease goes back
    assert one.minute.room(one.now) == 0
    other.round()
    assert other.call(50)


def test_where_it_is_used_up_the_wait_is_until_it_is_over() -> None:
    world, (one, other) = sharing()
    one.minute.seek(100)
    one.round()
    assert one.call(100)
    one.round()
    other.minute.seek(10)
    other.round()
    assert not other.call(10)
    assert not other.minute.asks(10, other.now)  # it is known
    assert 59 <= other.minute.wait(10, other.now) <= 61
    assert other.minute.wait(101, other.now) == float("inf")
    world.now += 0.5
    assert other.minute.asks(10, other.now)
    assert not other.call(10)  # if that is not answered in time


def test_an_answer_that_is_late_is_not_waited_for() -> None:
    world, (one, _) = sharing()
    one.link.peers = 4
    assert one.minute.asks(20, one.now)
    assert one.call(20)  # nothing is known: a quarter of the limit
    assert not one.call(20)
    one.round()
    assert one.call(20) is (one.minute.room(one.now) >= 0)
    one.link.alone = True
    assert one.call(30)  # there was more
    one.link.alone = False
    assert not one.call(30)
    world.now += 1.5
    assert one.minute.wait(99, one.now) == 5.0


def test_a_lease_is_given_back_when_it_is_not_used() -> None:
    world, (one, _) = sharing()
    assert one.call(10)
    for _ in range(2):
        one.round()
        world.now += 0.5
    assert one.minute._granted
    for _ in range(8):
        one.round()
        world.now += 0.5
    assert one.minute.quiet(one.now)
    assert one.meter.message(one.now) is None
    assert sum(world.store.windows[KIND].values()) == 10


def test_nothing_is_kept_at_the_end() -> None:
    world, (one, _) = sharing()
    one.call(10)
    one.round()
    assert one.minute.room(one.now) > 0
    message = one.meter.message(one.now, last=True)
    assert message is not None
    world.store.take(one.meter.member, message, int(world.now))
    assert sum(world.store.windows[KIND].values()) == 10
