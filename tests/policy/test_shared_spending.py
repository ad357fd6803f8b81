"""Sums that several ledgers tell each other, whatever is late, lost or told twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.shared_spending import SharedSpending, Sum
from sidecar.policy.spending import Row

ROW = Row("b", "tokens", "", "2026-11-27")
NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z
AMOUNT = 100.0


class Member:
    """A ledger, and what its sidecar knows of the others."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.own = 0.0
        self.restart()

    def restart(self) -> None:
        """The sidecar was killed; its ledger is there."""
        self.shared = SharedSpending(lambda _: self.own, ())
        self.shared.added(ROW)
        self.sent: list[float] = []
        """Own sums that are on their way."""

    def spend(self, amount: float) -> None:
        self.own += amount
        self.shared.added(ROW)

    def send(self) -> None:
        self.sent += [own for _, own in self.shared.to_ask(10, 0.0, NOON)]


class Model:
    """What the store does: the script of `SharedBook`."""

    def __init__(self) -> None:
        self.sums: dict[int, float] = {}

    def loses_all(self, members: list[Member]) -> None:
        """It begins anew, and all notice it."""
        self.sums = {}
        for member in members:
            member.shared.lost()

    def take(self, member: Member, *, told: bool) -> None:
        """Take what *member* has sent first; *told*: the reply arrives."""
        if member.sent:
            own = member.sent.pop(0)
            known = self.sums[member.name] = max(self.sums.get(member.name, 0.0), own)
            if told:
                reply = Sum(known, sum(self.sums.values()))
                member.shared.answered(ROW, reply, 0.0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("spend", "send", "take", "untold", "lost", "restart")),
        st.integers(0, 2),
        st.integers(1, 9),
    ),
    max_size=80,
)


@given(STEPS)
def test_each_sum_counts_once(steps: list[tuple[str, int, int]]) -> None:
    model, members = Model(), [Member(number) for number in range(3)]
    for step, which, number in steps:
        member = members[which]
        if step == "spend":
            member.spend(float(number))
        elif step == "send":
            member.send()
        elif step == "lost":
            model.loses_all(members)
        elif step == "restart":
            member.restart()
        else:
            model.take(member, told=step == "take")
        spent = sum(each.own for each in members)
        assert sum(model.sums.values()) <= spent
        for each in members:  # never more than there was
            assert each.own + each.shared.others(ROW) <= spent
    for each in (*members, *members):
        each.shared.use(ROW, 0.0)
        each.send()
        while each.sent:
            model.take(each, told=True)
    spent = sum(each.own for each in members)
    for each in members:
        assert each.own + each.shared.others(ROW) == spent
        assert each.shared.left(ROW, AMOUNT, 3, answers=True) == AMOUNT - spent


@given(st.lists(st.floats(0.0, 40.0), min_size=2, max_size=5), st.data())
def test_shares_of_what_was_left_are_no_more_than_that(
    spent: list[float], data: st.DataObject
) -> None:
    members = [Member(number) for number in range(len(spent))]
    for member, amount in zip(members, spent, strict=True):
        member.spend(amount)
    for member in members:
        member.shared.answered(ROW, Sum(member.own, sum(spent)), 0.0)
    peers = len(members)
    for member in members:  # the store is away: each spends what it may
        for amount in data.draw(st.lists(st.floats(0.0, 10.0), max_size=5)):
            left = member.shared.left(ROW, AMOUNT, peers, answers=False)
            if left > 0:
                member.spend(min(left, amount))
    total = sum(member.own for member in members)
    assert total <= max(AMOUNT, sum(spent)) + 1e-9


def test_what_nobody_told_of_is_shared_equally() -> None:
    member = Member(0)
    assert member.shared.use(ROW, 0.0)
    assert member.shared.left(ROW, AMOUNT, 4, answers=False) == 25.0
    assert member.shared.left(ROW, AMOUNT, 4, answers=True) == 100.0
    known = SharedSpending(lambda _: 5.0, [(ROW, 60.0)])  # the ledger knew of the others
    assert known.left(ROW, AMOUNT, 4, answers=False) == 5.0
    assert known.left(ROW, AMOUNT, 4, answers=True) == 35.0


def test_what_is_not_told_comes_first_and_what_nobody_uses_rarely() -> None:
    rows = [ROW._replace(client=str(number)) for number in range(6)]
    own = dict.fromkeys(rows, 1.0)
    shared = SharedSpending(own.__getitem__, ())
    for row in rows:
        shared.use(row, 0.0)
    assert [row for row, _ in shared.to_ask(4, 0.0, NOON)] == rows[:4]
    for row in rows[:4]:
        shared.answered(row, Sum(1.0, 1.0), 1.0)
    assert [row for row, _ in shared.to_ask(4, 1.0, NOON)] == [*rows[4:], *rows[:2]]
    for row in rows[4:]:
        shared.answered(row, Sum(1.0, 1.0), 1.0)
    shared.added(rows[3])
    own[rows[3]] = 2.0
    assert shared.to_ask(1, 2.0, NOON) == [(rows[3], 2.0)]
    assert [row for row, _ in shared.to_ask(10, 100.0, NOON)] == [rows[3]]
    assert len(shared.to_ask(10, 400.0, NOON)) == 6  # in case that the store has forgotten them


@pytest.mark.parametrize("told", [True, False])
def test_a_period_that_has_ended_is_forgotten_once_it_is_told(told: bool) -> None:
    shared = SharedSpending(lambda _: 7.0, ())
    shared.added(ROW)
    tomorrow = NOON + 86_400
    if told:
        shared.answered(ROW, Sum(7.0, 7.0), 0.0)
    assert shared.to_ask(10, 1.0, tomorrow) == ([] if told else [(ROW, 7.0)])
    assert len(shared) == (0 if told else 1)


@pytest.mark.parametrize("answers", [True, False])
def test_clients_that_spend_nothing_are_forgotten(answers: bool) -> None:
    """Callers may name any, and their calls may all fail."""
    spent = {"a": 3.0}
    shared = SharedSpending(
        lambda row: spent.get(row.client, 0.0), [(ROW._replace(client="b"), 4.0)]
    )
    for second in range(1000):
        for client in ("a", f"c{second}"):
            shared.use(ROW._replace(client=client), float(second))
        for row, own in shared.to_ask(10, float(second), NOON):
            if answers:
                shared.answered(row, Sum(own, own + 4.0 * (row.client == "b")), float(second))
    assert len(shared) <= 70
    assert {"a", "b"} <= {row.client for row in shared.rows()}
    assert shared.others(ROW._replace(client="b")) == 4.0
