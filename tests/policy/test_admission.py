from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sidecar.policy.admission import Admission, AdmissionSettings, Refused, Ticket

ONE = AdmissionSettings(1, 10, 1000, 0.8, 30.0)
HIGH, NORMAL, LOW = 0, 1, 2


def entered(admission: Admission, priority: int = NORMAL, now: float = 0, size: int = 1) -> Ticket:
    ticket = admission.enter(now, priority, size, None)
    assert isinstance(ticket, Ticket)
    return ticket


def refused(
    admission: Admission, priority: int = NORMAL, size: int = 1, deadline: float | None = None
) -> Refused:
    answer = admission.enter(0, priority, size, deadline)
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


def test_who_can_not_be_served_in_time_is_told_at_once() -> None:
    admission = Admission(ONE._replace(max_in_flight=2))
    admission.leave(entered(admission, now=-8), 0)
    assert admission.service_time == 8
    for _ in range(2 + 2):
        entered(admission)
    assert refused(admission, deadline=7.9) == Refused("deadline", 8)
    assert isinstance(admission.enter(0, HIGH, 1, 7.9), Ticket)
    assert isinstance(admission.enter(0, NORMAL, 1, 12), Ticket)
    admission.settings = admission.settings._replace(max_wait=15)
    assert refused(admission) == Refused("deadline", 16)


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
            ticket = min(self.line, key=lambda ticket: ticket.priority)  # the first of the least
            self.line.remove(ticket)
            self.flying.append(ticket)
            assert ticket.granted
            assert self.woken.count(ticket) == 1

    @property
    def held(self) -> int:
        return sum(ticket.size for ticket in self.line)

    def reason(self, priority: int, size: int) -> str | None:
        """Why the model lets a call not even wait."""
        settings, queued = self.settings, len(self.line)
        if queued >= settings.max_queued:
            return "full"
        if priority and queued >= settings.shed_at * settings.max_queued:
            return "shed"
        return "bytes" if self.held + size > settings.max_queued_bytes else None

    @rule(priority=st.integers(0, 2), size=st.integers(0, 5))
    def enter(self, priority: int, size: int) -> None:
        settings = self.settings
        answer = self.admission.enter(self.now, priority, size, None)
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
        assert admission.queued == len(self.line) == sum(map(len, admission._lines))
        assert admission.queued_bytes == self.held
        assert not any(ticket.granted for ticket in self.line)
        assert not self.line or len(self.flying) >= self.settings.max_in_flight
        assert len(set(self.woken)) == len(self.woken)


TestLine = Line.TestCase
