"""Limits on tokens: tables, and callers with aborts against a plain model."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.policy.meter import Amounts, Bounds
from sidecar.policy.token_limits import Refused, Ticket, TokenLimits, TokenSettings, Wanted


def used(input_: int, output: int, requests: int = 1) -> Amounts:
    return Amounts(requests, input_, output, input_ + output)


def enters(limits: TokenLimits, now: float, *wanted: Any, **more: Any) -> Ticket:
    ticket = limits.enter(now, Wanted(*wanted, **more))
    assert isinstance(ticket, Ticket)
    return ticket


def test_a_call_that_was_cheaper_makes_room_and_a_dearer_one_takes_it() -> None:
    limits = TokenLimits(TokenSettings(Bounds(total=100)))
    first = enters(limits, 0.0, 10, 80)
    assert limits.enter(1.0, Wanted(5, 10)) == Refused("route", "total", 100, 60.0)
    limits.settle(first, 2.0, used(10, 20))
    second = enters(limits, 3.0, 10, 60)
    limits.settle(second, 4.0, used(10, 100))
    assert limits.enter(5.0, Wanted(0, 1)) == Refused("route", "total", 100, 59.0)
    assert limits.used == {"requests": 2, "input": 20, "output": 120, "total": 140}
    assert limits.reserved == {"requests": 0, "input": 0, "output": 0, "total": 0}
    assert limits.refused == {"requests": 0, "input": 0, "output": 0, "total": 2}
    enters(limits, 64.0, 0, 1)


@pytest.mark.parametrize(
    ("bounds", "wanted", "refused"),
    [
        (Bounds(requests=1), Wanted(0, 0), ("requests", 1)),
        (Bounds(input=9), Wanted(5, 0), ("input", 9)),
        (Bounds(output=9), Wanted(0, 5), ("output", 9)),
        (Bounds(total=19), Wanted(5, 5), ("total", 19)),
        (Bounds(total=20), Wanted(5, 5), None),
        (Bounds(), Wanted(10**9, 10**9), None),
    ],
)
def test_each_kind_has_its_limit(
    bounds: Bounds, wanted: Wanted, refused: tuple[str, int] | None
) -> None:
    limits = TokenLimits(TokenSettings(bounds))
    enters(limits, 0.0, 5, 5)
    answer = limits.enter(0.0, wanted)
    if refused is None:
        assert isinstance(answer, Ticket)
    else:
        assert answer == Refused("route", *refused, retry_after=61.0)  # type: ignore[arg-type]


def test_a_call_that_is_larger_than_a_limit_never_fits_unless_its_output_is_a_guess() -> None:
    limits = TokenLimits(TokenSettings(Bounds(output=50, total=100), max_waiting=9, max_wait=1e9))
    assert limits.enter(0.0, Wanted(10, 60)) == Refused("route", "output", 50, inf)
    assert limits.enter(0.0, Wanted(101, 0, guessed=True)) == Refused("route", "total", 100, inf)
    assert enters(limits, 0.0, 70, 60, guessed=True).amounts == used(70, 30)
    later = enters(limits, 70.0, 10, 60, guessed=True)
    assert later.amounts == used(10, 50)


def test_models_and_clients_count_for_themselves() -> None:
    limits = TokenLimits(
        TokenSettings(Bounds(requests=4), model=Bounds(input=10), client=Bounds(requests=2))
    )
    enters(limits, 0.0, 10, 0, model="a", client="x")
    refused = limits.enter(0.0, Wanted(1, 0, model="a", client="y"))
    assert refused == Refused("model", "input", 10, 61.0)
    enters(limits, 0.0, 10, 0, model="b", client="x")
    refused = limits.enter(0.0, Wanted(1, 0, model="c", client="x"))
    assert refused == Refused("client", "requests", 2, 61.0)
    enters(limits, 0.0, 0, 0, model="a", client="y")  # what uses no input does not wait for it
    enters(limits, 0.0, 0, 0, model="a", client="z")
    refused = limits.enter(0.0, Wanted(1, 0, model="c", client="z"))
    assert refused == Refused("route", "requests", 4, 61.0)


WAITS = TokenSettings(Bounds(total=100), client=Bounds(total=60), max_waiting=3, max_wait=100.0)


def test_a_large_call_is_not_overtaken_but_a_client_over_its_limit_holds_up_nobody() -> None:
    limits = TokenLimits(WAITS)
    first = enters(limits, 0.0, 60, 0, client="a")
    again = enters(limits, 1.0, 10, 0, client="a")  # waits for its client's limit
    other = enters(limits, 2.0, 20, 0, client="b")
    large = enters(limits, 3.0, 50, 0, client="c")  # waits for the route's
    small = enters(limits, 4.0, 5, 0, client="d")
    assert [t.granted for t in (first, again, other, large, small)] == [True, False, True] + [
        False
    ] * 2
    assert limits.waiting == 3
    assert isinstance(limits.enter(5.0, Wanted(5, 0, client="e")), Refused)  # the queue is full
    woken: list[str] = []
    for name, ticket in (("again", again), ("large", large), ("small", small)):
        ticket.wake = lambda name=name: woken.append(name)
    limits.settle(first, 6.0, used(30, 0))
    assert woken == ["again"]
    assert limits.advance(7.0) == 54.0
    limits.advance(61.0)
    assert woken == ["again", "large", "small"]


def test_who_can_not_be_served_in_time_does_not_wait() -> None:
    limits = TokenLimits(WAITS._replace(max_wait=30.0))
    enters(limits, 0.5, 60, 0, client="a")
    assert isinstance(limits.enter(1.0, Wanted(60, 0, client="a")), Refused)  # 60 s is too long
    enters(limits, 40.0, 60, 0, client="a")
    assert isinstance(limits.enter(40.0, Wanted(60, 0, client="a", latest=50.0)), Refused)


def test_who_waits_no_longer_lets_the_next_go() -> None:
    limits = TokenLimits(WAITS)
    enters(limits, 0.0, 60, 0, client="a")
    large = enters(limits, 1.0, 50, 0, client="b")
    small = enters(limits, 1.0, 10, 0, client="c")
    assert limits.patience(large) == 100.0
    assert limits.turn_away(large, 2.0) == Refused("route", "total", 100, 59.0)
    assert small.granted
    assert limits.turn_away(small, 2.0) is None
    assert not limits.give_up(small, 2.0)
    limits.settle(small, 2.0, used(0, 0, 0))
    limits.settle(small, 2.0, used(50, 0))  # once is enough
    assert limits.used["total"] == 0


def test_other_settings_hold_for_what_was_used_and_for_who_waits() -> None:
    limits = TokenLimits(WAITS)
    enters(limits, 0.0, 60, 0, client="a")
    ticket = enters(limits, 0.0, 60, 0, client="a")
    limits.configure(WAITS._replace(client=Bounds(total=120)), 1.0)
    assert not ticket.granted  # the route's limit holds
    limits.configure(WAITS._replace(route=Bounds(total=119), client=None), 1.0)
    assert not ticket.granted
    limits.configure(WAITS._replace(route=None, client=None), 1.0)
    assert ticket.granted


def test_a_client_with_a_call_in_flight_is_not_forgotten_for_others() -> None:
    limits = TokenLimits(TokenSettings(client=Bounds(total=10), max_clients=2))
    ticket = enters(limits, 0.0, 10, 0, client="a")
    for number in range(5):
        limits.settle(enters(limits, 1.0, 1, 0, client=str(number)), 1.0, used(0, 0, 0))
    assert isinstance(limits.enter(2.0, Wanted(1, 0, client="a")), Refused)
    limits.settle(ticket, 100.0, used(30, 0))  # its minute is over: 20 more count from now on
    assert isinstance(limits.enter(101.0, Wanted(1, 0, client="a")), Refused)


# -- against a plain model --

KINDS = range(4)


@dataclass(eq=False)
class Asked:
    """A call in the model."""

    wanted: Wanted
    amounts: Amounts
    ticket: Ticket
    entries: dict[tuple[str, str, int], list[float]] = field(default_factory=dict)


class Callers(RuleBasedStateMachine):
    """The model keeps every amount with its time for ever, and adds them up anew each time."""

    @initialize(
        route=st.tuples(*[st.none() | st.integers(1, 30)] * 4),
        client=st.none() | st.tuples(*[st.none() | st.integers(1, 20)] * 4),
        waiting=st.integers(0, 3),
    )
    def begin(self, route: Any, client: Any, waiting: int) -> None:
        self.bounds = {"route": Bounds(*route), "client": Bounds(*(client or ()))}
        self.settings = TokenSettings(
            Bounds(*route), None, client and Bounds(*client), 5, 100, waiting, 90.0
        )
        self.limits = TokenLimits(self.settings)
        self.now = 5.0
        self.entries: dict[tuple[str, str, int], list[list[float]]] = {}
        self.flying: list[Asked] = []
        self.line: list[Asked] = []
        self.total = [0, 0, 0, 0]

    def places(self, asked: Asked) -> list[tuple[tuple[str, str, int], int]]:
        """The limits that a call counts in."""
        found = []
        for scope, name in (("client", asked.wanted.client), ("route", "")):
            for kind, bound in enumerate(self.bounds[scope]):
                if bound is not None:
                    found.append(((scope, name, kind), bound))
        return found

    def level(self, place: tuple[str, str, int]) -> float:
        entries = self.entries.get(place, [])
        return sum(amount for second, amount in entries if self.now < second + 61)

    def lacks(self, asked: Asked, taken: set[Any]) -> set[Any]:
        return {
            place
            for place, bound in self.places(asked)
            if asked.amounts[place[2]]
            and (place in taken or self.level(place) + asked.amounts[place[2]] > bound)
        }

    def grant(self, asked: Asked) -> None:
        assert asked.ticket.granted
        for place, bound in self.places(asked):
            entry = [float(int(self.now)), asked.amounts[place[2]]]
            self.entries.setdefault(place, []).append(entry)
            asked.entries[place] = entry
            assert not asked.amounts[place[2]] or self.level(place) <= bound
        self.flying.append(asked)

    def in_turn(self) -> set[Any]:
        taken: set[Any] = set()
        for asked in list(self.line):
            lacks = self.lacks(asked, taken)
            taken |= lacks
            if not lacks:
                self.line.remove(asked)
                self.grant(asked)
        return taken

    @rule(
        input_=st.integers(0, 20),
        output=st.integers(0, 20),
        guessed=st.booleans(),
        client=st.sampled_from("ab"),
    )
    def enter(self, input_: int, output: int, guessed: bool, client: str) -> None:
        wanted = Wanted(input_, output, guessed, "m", client)
        answer = self.limits.enter(self.now, wanted)
        if guessed:
            for bounds in self.bounds.values():
                if bounds.output is not None:
                    output = min(output, bounds.output)
                if bounds.total is not None:
                    output = min(output, max(0, bounds.total - input_))
        amounts = used(input_, output)
        taken = self.in_turn() if self.line else set()
        ticket = answer if isinstance(answer, Ticket) else Ticket(0.0, wanted, amounts, [])
        asked = Asked(wanted, amounts, ticket)
        if not self.lacks(asked, taken):
            assert ticket.amounts == amounts
            self.grant(asked)
        elif isinstance(answer, Ticket):
            assert not answer.granted
            assert len(self.line) < self.settings.max_waiting
            self.line.append(asked)
        else:
            never = any(amounts[place[2]] > bound for place, bound in self.places(asked))
            assert (answer.retry_after == inf) == never
            assert never or len(self.line) >= self.settings.max_waiting

    @rule(
        data=st.data(),
        requests=st.integers(0, 3),
        input_=st.integers(0, 40),
        out=st.integers(0, 40),
    )
    def settle(self, data: st.DataObject, requests: int, input_: int, out: int) -> None:
        """A call ends, having used more or less than it reserved; or it is aborted (nothing)."""
        if not self.flying:
            return
        asked = data.draw(st.sampled_from(self.flying))
        self.flying.remove(asked)
        true = used(input_, out, requests)
        self.limits.settle(asked.ticket, self.now, true)
        for place, entry in asked.entries.items():
            if self.now < entry[0] + 61:
                entry[1] = true[place[2]]
            elif true[place[2]] > entry[1]:
                more = [float(int(self.now)), true[place[2]] - entry[1]]
                self.entries[place].append(more)
        self.total = [a + b for a, b in zip(self.total, true, strict=True)]
        self.in_turn()

    @rule(data=st.data(), refused=st.booleans())
    def leave(self, data: st.DataObject, refused: bool) -> None:
        """Who waits leaves, or has waited too long."""
        if not self.line:
            return
        asked = data.draw(st.sampled_from(self.line))
        self.line.remove(asked)
        if refused:
            assert self.limits.turn_away(asked.ticket, self.now) is not None
        else:
            assert self.limits.give_up(asked.ticket, self.now)
        self.in_turn()

    @rule(step=st.one_of(st.floats(0, 2), st.floats(0, 70)))
    def pass_time(self, step: float) -> None:
        self.now += step
        after = self.limits.advance(self.now)
        self.in_turn()
        assert (after is None) == (not self.line)
        if after is not None and step > 2:
            self.now += after + 1e-6
            before = len(self.line)
            self.limits.advance(self.now)
            self.in_turn()
            assert len(self.line) <= before

    @invariant()
    def as_the_model(self) -> None:
        limits = self.limits
        assert limits.waiting == len(self.line)
        assert not any(asked.ticket.granted for asked in self.line)
        assert list(limits.used.values()) == self.total
        assert list(limits.reserved.values()) == [
            sum(asked.amounts[kind] for asked in self.flying) for kind in KINDS
        ]


TestCallers = Callers.TestCase
