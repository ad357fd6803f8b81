from __future__ import annotations

from math import inf

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.policy.admission import Admission, AdmissionSettings, Refused, Ticket, Wanted

ONE = AdmissionSettings(1, 10, 1000, 0.8, 30.0)
HIGH, NORMAL, LOW = 0, 1, 2


def entered(
    admission: Admission,
    priority: int = NORMAL,
    now: float = 0,
    size: int = 1,
    deadline: float = inf,
    client: str = "",
) -> Ticket:
    ticket = admission.enter(now, Wanted(priority, size, deadline, client=client))
    assert isinstance(ticket, Ticket)
    return ticket


def refused(
    admission: Admission,
    priority: int = NORMAL,
    size: int = 1,
    deadline: float = inf,
    client: str = "",
    begin_by: float = inf,
) -> Refused:
    answer = admission.enter(0, Wanted(priority, size, deadline, begin_by, client))
    assert isinstance(answer, Refused)
    return answer


def test_a_place_goes_to_the_next_in_line() -> None:
    admission = Admission(ONE)
    first, second, third = (entered(admission, now=now) for now in (0, 1, 2))
    assert [first.granted, second.granted, third.granted] == [True, False, False]
    assert second.queued_at == 1
    woken: list[str] = []
    second.wake = lambda: woken.append("second")
    third.wake = lambda: woken.append("third")
    admission.leave(first, 3)
    assert (second.granted, third.granted, woken) == (True, False, ["second"])
    admission.leave(second, 4)
    assert woken == ["second", "third"]
    admission.leave(third, 5)
    assert (admission.in_flight, admission.queued, admission.queued_bytes) == (0, 0, 0)


def test_high_priority_first_then_by_arrival() -> None:
    admission = Admission(ONE)
    ticket = entered(admission)
    waiting = {
        name: entered(admission, "hnl".index(name[0]))
        for name in ["l1", "n1", "h1", "l2", "h2", "n2"]
    }
    order = []
    while waiting:
        admission.leave(ticket, 1)
        name = next(name for name, ticket in waiting.items() if ticket.granted)
        order.append(name)
        ticket = waiting.pop(name)
    assert order == ["h1", "h2", "n1", "n2", "l1", "l2"]


def test_the_last_fifth_is_for_high_priority() -> None:
    admission = Admission(ONE)
    for _ in range(1 + 8):
        entered(admission, LOW)
    assert refused(admission, NORMAL).reason == "shed"
    assert refused(admission, LOW).reason == "shed"
    entered(admission, HIGH)
    entered(admission, HIGH)
    assert refused(admission, HIGH).reason == "full"


def test_bodies_that_wait_are_bounded() -> None:
    admission = Admission(ONE)
    entered(admission, size=5000)
    waiting = entered(admission, size=600)
    assert refused(admission, size=401).reason == "bytes"
    entered(admission, size=400)
    admission.abandon(waiting, 0)
    entered(admission, size=600)


def busy(seconds: float, places: int, waiting: int) -> Admission:
    """Each call takes so long; all *places* are taken, and so many wait."""
    admission = Admission(ONE._replace(max_in_flight=places, max_queued=1000))
    admission.leave(entered(admission, now=-seconds), 0)
    assert admission.service_time == seconds
    for _ in range(places + waiting):
        entered(admission)
    return admission


def test_who_can_not_be_served_in_time_is_told_at_once() -> None:
    admission = busy(8, 2, 2)  # two before it: 8 s to wait, and 8 s to be served
    assert refused(admission, deadline=15.9) == Refused("deadline", 8)
    entered(admission, HIGH, deadline=8.1)
    entered(admission, deadline=20)
    admission.settings = admission.settings._replace(max_wait=15)
    assert refused(admission) == Refused("deadline", 16)


def test_whose_caller_waits_no_longer_for_a_reply_to_begin() -> None:
    admission = busy(8, 2, 2)
    assert refused(admission, begin_by=7.9) == Refused("deadline", 8)
    assert isinstance(admission.enter(0, Wanted(begin_by=8.1)), Ticket)


def test_a_place_that_is_free_is_for_whoever_comes() -> None:
    """It may be quicker than others were."""
    admission = busy(8, 1, 0)
    admission.settings = admission.settings._replace(max_in_flight=2)
    assert entered(admission, deadline=0.1).granted


def test_a_call_that_is_to_be_granted_is_looked_at_again() -> None:
    admission = busy(8, 1, 0)
    first = entered(admission, deadline=17.5)
    second = entered(admission, deadline=100)
    woken = []
    for ticket in (first, second):
        ticket.wake = lambda ticket=ticket: woken.append(ticket)
    holder = Ticket(0, Wanted())
    holder._since = 0.0
    admission.leave(holder, 8.9)  # it took longer than they do
    assert woken == [first]
    admission.abandon(first, 9.2)
    assert (first.granted, second.granted) == (True, True)
    assert first.refused is None


def test_who_has_waited_too_long_makes_room_for_the_next() -> None:
    admission = busy(8, 1, 0)
    late, next_ = entered(admission, deadline=17), entered(admission, deadline=100)
    late.wake = lambda: admission.abandon(late, 10)  # as its waiter does
    holder = Ticket(0, Wanted())
    holder._since = 1.9
    admission.leave(holder, 9.9)
    assert late.refused is not None
    assert late.refused.reason == "deadline"
    assert (late.granted, next_.granted) == (False, True)
    assert (admission.in_flight, admission.queued, admission.queued_bytes) == (1, 0, 0)


@pytest.mark.parametrize(("others", "remaining", "goes"), [(1, 13.0, False), (0, 13.0, True)])
def test_while_others_wait_a_place_is_for_who_most_likely_makes_it(
    others: int, remaining: float, goes: bool
) -> None:
    """Calls take 10 s, give or take 4."""
    admission = busy(10, 1, 0)
    admission.service_time, admission.deviation = 10.0, 4.0
    ticket = entered(admission, deadline=100 + remaining)
    for _ in range(others):
        entered(admission)
    holder = Ticket(0, Wanted())
    holder._since = 90.0
    admission.leave(holder, 100)
    assert ticket.granted == goes


def test_how_long_a_call_may_wait() -> None:
    admission = busy(8, 1, 0)
    assert admission.patience(entered(admission)) == 30
    assert admission.patience(entered(admission, deadline=100)) == 30
    assert admission.patience(entered(admission, deadline=26)) == 18
    admission.deviation = 3.0
    assert admission.patience(Ticket(0, Wanted(deadline=26))) == 21
    assert admission.patience(Ticket(0, Wanted(begin_by=2))) == 2
    assert admission.patience(Ticket(9, Wanted(begin_by=2))) == 0


def test_a_hedge_gets_a_place_that_nobody_wants() -> None:
    admission = Admission(ONE._replace(max_in_flight=2))
    first = entered(admission)
    hedge = admission.spare(0)
    assert hedge is not None
    assert admission.spare(0) is None
    waiting = entered(admission)
    states = [waiting.granted]
    admission.abandon(hedge, 50)
    assert [*states, waiting.granted] == [False, True]
    assert admission.service_time == 0  # it told nothing
    admission.settings = ONE._replace(max_in_flight=3)
    entered(admission, now=50)
    entered(admission, now=50)
    assert admission.spare(50) is None
    admission.leave(first, 51)
    assert admission.spare(51) is None  # somebody waited, and has it


# -- clients --


def test_clients_take_turns() -> None:
    admission = Admission(ONE._replace(max_queued=100))
    ticket = entered(admission)
    waiting = {
        name: entered(admission, client=name[0])
        for name in ["a1", "a2", "a3", "b1", "a4", "c1", "b2", "a5"]
    }
    order = []
    while waiting:
        admission.leave(ticket, 1)
        name = next(name for name, ticket in waiting.items() if ticket.granted)
        order.append(name)
        ticket = waiting.pop(name)
    assert order == ["a1", "b1", "c1", "a2", "b2", "a3", "a4", "a5"]


def test_who_has_most_makes_room_for_who_has_few() -> None:
    admission = Admission(ONE._replace(shed_at=1.0))
    entered(admission)
    hog = [entered(admission, client="hog", now=number) for number in range(10)]
    assert refused(admission, client="hog").reason == "full"
    meek = [entered(admission, client="meek") for _ in range(5)]
    assert [ticket.refused is not None for ticket in hog] == [False] * 5 + [True] * 5
    assert {ticket.refused.reason for ticket in hog if ticket.refused} == {"full"}
    assert refused(admission, client="meek").reason == "full"  # each has half
    assert (admission.queued, admission.queued_bytes) == (10, 10)
    assert not any(ticket.refused for ticket in meek)


def test_room_is_made_within_a_priority_only() -> None:
    admission = Admission(ONE._replace(shed_at=1.0))
    entered(admission)
    for _ in range(10):
        entered(admission, LOW, client="hog")
    assert refused(admission, NORMAL, client="meek").reason == "full"
    entered(admission, LOW, client="meek")


def test_shedding_is_fair_too() -> None:
    admission = Admission(ONE)
    entered(admission)
    hog = [entered(admission, client="hog") for _ in range(8)]
    assert refused(admission, client="hog").reason == "shed"
    entered(admission, client="meek")
    assert hog[-1].refused == Refused("shed", 1)


def test_how_long_a_client_waits_depends_on_what_it_has_waiting() -> None:
    admission = busy(1, 1, 0)
    for _ in range(20):
        entered(admission, client="hog")
    assert admission.estimate(Wanted(client="hog")) == 20
    assert admission.estimate(Wanted(client="meek")) == 1
    entered(admission, client="meek")
    assert admission.estimate(Wanted(client="meek")) == 3
    assert admission.estimate(Wanted(LOW, client="meek")) == 21
    assert refused(admission, client="hog", deadline=15).reason == "deadline"
    entered(admission, client="meek", deadline=15)


def test_without_a_queue_it_is_full() -> None:
    admission = Admission(ONE._replace(max_queued=0))
    entered(admission)
    assert refused(admission, HIGH) == Refused("full", 1)


def test_the_average_follows_the_calls() -> None:
    admission = Admission(ONE)
    admission.leave(entered(admission, now=0), 2)
    assert admission.service_time == 2
    admission.leave(entered(admission, now=2), 5)
    assert admission.service_time == pytest.approx(2.1)
    admission.abandon(entered(admission, now=5), 500)
    assert admission.service_time == pytest.approx(2.1)


def test_waiting_is_not_service() -> None:
    admission = Admission(ONE)
    first, second = entered(admission, now=0), entered(admission, now=0)
    admission.leave(first, 10)
    admission.leave(second, 20)
    assert admission.service_time == 10


def test_more_places_are_given_out_at_the_next_step() -> None:
    admission = Admission(ONE)
    first, second, third = (entered(admission) for _ in range(3))
    admission.settings = ONE._replace(max_in_flight=2)
    admission.adjust(0)
    assert (second.granted, third.granted) == (True, False)
    admission.settings = ONE._replace(max_in_flight=3)
    fourth = entered(admission, HIGH)
    assert (third.granted, fourth.granted) == (True, False)
    admission.settings = ONE._replace(max_in_flight=1)
    for ticket in (first, second):
        admission.leave(ticket, 1)
    assert not fourth.granted
    admission.leave(third, 1)
    assert fourth.granted


def test_one_that_is_woken_may_go_at_once() -> None:
    admission = Admission(ONE)
    first = entered(admission)
    waiting = [entered(admission) for _ in range(5)]
    for ticket in waiting[:4]:
        ticket.wake = lambda ticket=ticket: admission.abandon(ticket, 1)
    admission.leave(first, 1)
    assert (admission.in_flight, admission.queued, waiting[4].granted) == (1, 0, True)


class Line(RuleBasedStateMachine):
    """Against a plain model: a list of those in line, and a set of those in flight."""

    @initialize(places=st.integers(1, 3), queued=st.integers(0, 6), size=st.integers(0, 12))
    def begin(self, places: int, queued: int, size: int) -> None:
        self.settings = AdmissionSettings(places, queued, size, 0.5, 1e9)
        self.admission = Admission(self.settings)
        self.now = 0.0
        self.flying: list[Ticket] = []
        self.line: list[Ticket] = []
        self.ended: list[Ticket] = []
        self.woken: list[Ticket] = []

    def grant(self) -> None:
        """What the model gives out when a place may be free."""
        while self.line and len(self.flying) < self.settings.max_in_flight:
            ticket = min(
                self.line, key=lambda ticket: ticket.wanted.priority
            )  # the first of the least
            self.line.remove(ticket)
            self.flying.append(ticket)
            assert ticket.granted
            assert self.woken.count(ticket) == 1

    @property
    def held(self) -> int:
        return sum(ticket.wanted.size for ticket in self.line)

    def reason(self, priority: int, size: int) -> str | None:
        """Why the model lets a call not even wait."""
        settings, queued = self.settings, len(self.line)
        if self.held + size > settings.max_queued_bytes:
            return "bytes"
        if queued >= settings.max_queued:
            return "full"
        return "shed" if priority and queued >= settings.shed_at * settings.max_queued else None

    @rule(priority=st.integers(0, 2), size=st.integers(0, 5))
    def enter(self, priority: int, size: int) -> None:
        settings = self.settings
        answer = self.admission.enter(self.now, Wanted(priority, size))
        self.grant()
        if len(self.flying) < settings.max_in_flight:
            assert isinstance(answer, Ticket)
            assert answer.granted
            self.flying.append(answer)
        elif reason := self.reason(priority, size):
            assert isinstance(answer, Refused)
            assert answer.reason == reason
        else:
            assert isinstance(answer, Ticket)
            assert not answer.granted
            answer.wake = lambda: self.woken.append(answer)
            self.line.append(answer)
            assert len(self.line) <= settings.max_queued
            assert self.held <= settings.max_queued_bytes

    @rule(data=st.data(), step=st.floats(0, 10), leave=st.booleans())
    def end(self, data: st.DataObject, step: float, leave: bool) -> None:
        """Anyone may leave or abandon at any time, once more too."""
        self.now += step
        everyone = self.flying + self.line + self.ended[-3:]
        if not everyone:
            return
        ticket = data.draw(st.sampled_from(everyone))
        (self.admission.leave if leave else self.admission.abandon)(ticket, self.now)
        for group in (self.flying, self.line, self.ended):
            if ticket in group:
                group.remove(ticket)
        self.ended.append(ticket)
        self.grant()

    @rule(places=st.integers(1, 5), queued=st.integers(0, 6), size=st.integers(0, 12))
    def reload(self, places: int, queued: int, size: int) -> None:
        self.settings = AdmissionSettings(places, queued, size, 0.5, 1e9)
        self.admission.settings = self.settings
        self.admission.adjust(self.now)
        self.grant()

    @invariant()
    def as_the_model(self) -> None:
        admission = self.admission
        assert admission.in_flight == len(self.flying)
        assert admission.queued == len(self.line) == sum(map(len, admission._queues))
        assert admission.queued_bytes == self.held
        assert not any(ticket.granted for ticket in self.line)
        assert not self.line or len(self.flying) >= self.settings.max_in_flight
        assert len(set(self.woken)) == len(self.woken)


TestLine = Line.TestCase
