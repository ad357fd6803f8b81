"""What outlives a configuration."""

from __future__ import annotations

from sidecar.proxy.routing.shared_state import SharedState


def test_what_is_asked_for_again_is_the_same() -> None:
    shared = SharedState()
    transaction = shared.begin()
    first = transaction.get("a", list[int])
    assert transaction.get("a", list[int]) is first
    shared.commit(transaction)
    assert shared.begin().get("a", list[int]) is first


def test_only_a_commit_changes_what_serves() -> None:
    shared = SharedState()
    transaction = shared.begin()
    kept = transaction.get("a", list[int], lambda found: found.append(1))
    shared.commit(transaction)
    assert kept == []  # it was new
    again = shared.begin()
    assert again.get("a", list[int], lambda found: found.append(2)) is kept
    assert kept == []
    shared.commit(again)
    assert kept == [2]


def test_what_nobody_asks_for_is_forgotten() -> None:
    shared = SharedState()
    transaction = shared.begin()
    first = transaction.get("a", list[int])
    shared.commit(transaction)
    shared.commit(shared.begin())
    assert shared.begin().get("a", list[int]) is not first


def test_a_draft_that_comes_to_nothing_leaves_no_trace() -> None:
    shared = SharedState()
    abandoned = shared.begin().get("a", list[int])
    assert shared.begin().get("a", list[int]) is not abandoned
