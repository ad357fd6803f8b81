"""What outlives a configuration."""

from __future__ import annotations

from sidecar.proxy.keeper import Keeper


def test_what_is_asked_for_again_is_the_same() -> None:
    keeper = Keeper()
    draft = keeper.draft()
    first = draft.get("a", list[int])
    assert draft.get("a", list[int]) is first
    keeper.commit(draft)
    assert keeper.draft().get("a", list[int]) is first


def test_only_a_commit_changes_what_serves() -> None:
    keeper = Keeper()
    draft = keeper.draft()
    kept = draft.get("a", list[int], lambda found: found.append(1))
    keeper.commit(draft)
    assert kept == []  # it was new
    again = keeper.draft()
    assert again.get("a", list[int], lambda found: found.append(2)) is kept
    assert kept == []
    keeper.commit(again)
    assert kept == [2]


def test_what_nobody_asks_for_is_forgotten() -> None:
    keeper = Keeper()
    draft = keeper.draft()
    first = draft.get("a", list[int])
    keeper.commit(draft)
    keeper.commit(keeper.draft())
    assert keeper.draft().get("a", list[int]) is not first


def test_a_draft_that_comes_to_nothing_leaves_no_trace() -> None:
    keeper = Keeper()
    abandoned = keeper.draft().get("a", list[int])
    assert keeper.draft().get("a", list[int]) is not abandoned
