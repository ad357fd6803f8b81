from __future__ import annotations

from typing import get_args

import pytest

from sidecar.llm.failures import Kind
from sidecar.observe.outcome import Outcome, outcome_of

CASES: list[tuple[tuple[int, str, str, str], Outcome]] = [
    ((200, "", "complete", ""), "ok"),
    ((200, "", "", ""), "ok"),
    ((304, "", "", ""), "ok"),
    ((101, "", "", ""), "ok"),
    # A status is no success where the stream behind it is none.
    ((200, "", "truncated", ""), "failed"),
    ((200, "", "stalled", ""), "failed"),
    ((200, "", "empty", ""), "failed"),
    ((200, "", "error", "overload"), "failed"),
    ((200, "", "error", "content_filter"), "caller_error"),
    ((200, "upstream_truncated", "truncated", ""), "failed"),
    ((500, "", "error", "server"), "failed"),
    ((503, "no_endpoint", "", ""), "failed"),
    ((503, "shed", "", ""), "failed"),
    ((0, "cut_off", "", ""), "failed"),
    ((0, "", "", ""), "failed"),
    # What the provider says counts more than its status.
    ((429, "", "error", "rate_limit"), "failed"),
    ((429, "", "error", "money"), "failed"),
    ((400, "", "error", "money"), "failed"),
    ((400, "", "error", "authentication"), "caller_error"),
    ((429, "", "", ""), "failed"),
    ((400, "", "", ""), "caller_error"),
    ((404, "no_route", "", ""), "caller_error"),
    ((429, "rate_limited", "", ""), "limited"),
    ((429, "concurrency_limited", "", ""), "limited"),
    ((0, "caller_left", "", ""), "left"),
    ((200, "caller_left", "aborted", ""), "left"),
    ((200, "caller_left", "error", "server"), "left"),
    ((200, "", "aborted", ""), "left"),
]


@pytest.mark.parametrize(("said", "outcome"), CASES)
def test_what_became_of_a_call(said: tuple[int, str, str, str], outcome: Outcome) -> None:
    assert outcome_of(*said) == outcome


@pytest.mark.parametrize("kind", get_args(Kind))
def test_no_kind_of_failure_is_a_success(kind: str) -> None:
    assert outcome_of(200, "", "error", kind) in ("failed", "caller_error")
