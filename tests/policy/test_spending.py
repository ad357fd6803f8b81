"""The sums of budgets: periods, clients, and batches that are written, fail or are others'."""

from __future__ import annotations

from datetime import UTC, datetime
from operator import le

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.spending import (
    OTHERS,
    BudgetSettings,
    Per,
    Row,
    Spending,
    is_over,
    period_of,
    seconds_left,
)


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = unix("2026-11-27T22:59:30")
TOKENS = BudgetSettings("b", "tokens", 100.0, "day")


@pytest.mark.parametrize(
    ("per", "at", "period", "left"),
    [
        ("hour", "2026-11-27T22:59:30", "2026-11-27T22", 30.0),
        ("hour", "2026-11-27T22:00:00", "2026-11-27T22", 3600.0),
        ("day", "2026-11-27T22:59:30", "2026-11-27", 3630.0),
        ("day", "2026-12-31T23:59:59", "2026-12-31", 1.0),
        ("month", "2026-11-30T23:59:59", "2026-11", 1.0),
        ("month", "2026-12-31T00:00:00", "2026-12", 86_400.0),
        ("month", "2027-02-01T00:00:00", "2027-02", 28 * 86_400.0),
        ("month", "2028-02-29T12:00:00", "2028-02", 43_200.0),
        ("month", "2026-01-31T00:00:00", "2026-01", 86_400.0),
    ],
)
def test_periods_are_those_of_the_clock_in_utc(per: Per, at: str, period: str, left: float) -> None:
    assert period_of(per, unix(at)) == period
    assert seconds_left(per, unix(at)) == left
    assert not is_over(period, unix(at))
    assert is_over(period, unix(at) + left)


@given(st.sampled_from(("hour", "day", "month")), st.floats(0.0, 4e9))
def test_the_next_period_begins_where_one_ends(per: Per, now: float) -> None:
    left = seconds_left(per, now)
    assert 0 < left <= 31 * 86_400.0
    if left > 0.01:
        assert period_of(per, now + left - 0.005) == period_of(per, now)
    assert period_of(per, now + left + 0.005) > period_of(per, now)


def test_sums_are_of_one_period_and_client() -> None:
    spending = Spending({}, 10)
    a, b = (spending.row(TOKENS, client, NOW) for client in "ab")
    spending.add(a, 30.0, 100.0)
    spending.add(a, 30.0, 100.0)
    spending.add(b, 5.0, 100.0)
    assert (spending.spent(a), spending.spent(b)) == (60.0, 5.0)
    assert spending.current(TOKENS, NOW) == {"a": 60.0, "b": 5.0}
    tomorrow = NOW + 86_400
    assert spending.spent(spending.row(TOKENS, "a", tomorrow)) == 0.0
    assert spending.current(TOKENS, tomorrow) == {}
    money = TOKENS._replace(unit="money")
    assert spending.spent(spending.row(money, "a", NOW)) == 0.0


def test_clients_beyond_the_bound_share_one_sum() -> None:
    spending = Spending({Row("b", "tokens", "known", "2026-11-27"): 7.0}, 3)
    for number in range(100):
        row = spending.row(TOKENS, f"c{number}", NOW)
        spending.add(row, 1.0, 100.0)
    assert spending.current(TOKENS, NOW) == {"known": 7.0, "c0": 1.0, "c1": 1.0, OTHERS: 98.0}
    assert spending.row(TOKENS, "known", NOW).client == "known"
    assert spending.row(TOKENS, "c0", NOW + 86_400).client == "c0"
    assert len(spending.row(TOKENS, "x" * 10_000, NOW + 86_400).client) < 200


def test_what_has_ended_is_forgotten_once_it_is_written() -> None:
    spending = Spending({Row("b", "tokens", "", "2026-11-26"): 7.0}, 3)
    spending.add(spending.row(TOKENS, "", NOW), 1.0, 100.0)
    spending.forget(NOW)
    assert len(spending) == 1
    spending.forget(NOW + 86_400)  # it waits to be written
    assert len(spending) == 1
    spending.begin_writing()
    spending.wrote({})
    spending.forget(NOW + 86_400)
    assert len(spending) == 0


class Process:
    """One that adds to sums, and has a batch on its way to *ledger*, a plain dict."""

    def __init__(self, ledger: dict[Row, float]) -> None:
        self.ledger = ledger
        self.spending = Spending({}, 10)
        self.batch: dict[Row, float] = {}

    def begin(self) -> None:
        if not self.batch:
            changes = self.spending.begin_writing()
            self.batch = {row: change.spent for row, change in changes.items()}

    def wrote(self, *, told: bool = True) -> None:
        """*told*: the new sums could be read too."""
        if self.batch:
            for row, spent in self.batch.items():
                self.ledger[row] = self.ledger.get(row, 0.0) + spent
            self.spending.wrote(self.ledger if told else {})
            self.batch = {}

    def failed(self) -> None:
        if self.batch:
            self.spending.not_written()
            self.batch = {}

    def look(self) -> None:
        if not self.batch:
            self.spending.read(self.ledger)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("add", "begin", "wrote", "unread", "failed", "look")),
        st.integers(0, 1),
        st.integers(0, 1),
        st.integers(1, 9),
    ),
    max_size=60,
)


@given(STEPS)
def test_two_processes_count_each_call_once(steps: list[tuple[str, int, int, int]]) -> None:
    ledger: dict[Row, float] = {}
    processes = [Process(ledger), Process(ledger)]
    rows = [processes[0].spending.row(TOKENS, client, NOW) for client in "ab"]
    added = [0.0, 0.0]
    for step, which, client, number in steps:
        process = processes[which]
        if step == "add":
            process.spending.add(rows[client], number, 100.0)
            added[client] += number
        elif step == "unread":
            process.wrote(told=False)
        else:
            getattr(process, step)()
        for each in processes:  # never more than there was
            known = [each.spending.spent(row) for row in rows]
            assert all(map(le, known, added))
    for process in processes:
        process.wrote()
        process.begin()
        process.wrote()
    for process in processes:
        process.look()
        assert [process.spending.spent(row) for row in rows] == added
