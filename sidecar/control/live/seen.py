"""What the calls of a second say of their routes, in so few numbers that a browser can add them up.

Times to the first token are counted in buckets, each a tenth wider than the one before: so any
number of seconds can be added, and a quantile of the sum is off by 5 % at most.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, log
from typing import Final

import msgspec

from sidecar.observe.calls import is_bad
from sidecar.observe.outcome import outcome_of
from sidecar.observe.record import ZERO, CallRecord, Try
from sidecar.observe.told import failing, reason

BUCKET: Final = 1.1
"""How much wider each bucket is. Bucket 0 ends at 1 ms, bucket n at BUCKET**n ms."""
BIN: Final = 5
"""Seconds of a point of the line."""
BINS: Final = 60
"""Points of the line: five minutes."""
_LONGEST_PATH: Final = 200
_PER_MILLISECOND: Final = 1 / log(BUCKET)
_NO_RESULT: Final = frozenset({"outrun", "caller_left", "cut_off"})
"""Errors of attempts that say nothing of their endpoint."""


class Seen(msgspec.Struct, omit_defaults=True):
    """Calls of one route that have ended, as far as they are kept.

    Calls that failed by their callers' fault, or whose callers left, count in `calls` only.
    """

    calls: int = 0
    ok: int = 0
    failed: int = 0
    first_ok: int = 0
    """Calls that would have been answered without retries, hedges and fallbacks."""
    attempts: int = 0
    attempts_ok: int = 0
    input: int = 0
    output: int = 0
    cost: float = ZERO
    first: dict[int, int] = {}
    """Whole answers by the bucket of the time to their first token."""

    def add(self, call: CallRecord) -> None:
        """Count *call*."""
        self.calls += 1
        self.input += call.input_tokens
        self.output += call.output_tokens
        if call.cost:
            self.cost += call.cost
        outcome = outcome_of(call.status, call.error, call.verdict, call.failure)
        if outcome == "ok":
            self.ok += 1
            bucket = _bucket(call.first_token_ms or call.first_byte_ms)
            self.first[bucket] = self.first.get(bucket, 0) + 1
        elif outcome == "failed":
            self.failed += 1
        else:
            return
        for one in call.tries:
            if one.why != "mirror" and one.error not in _NO_RESULT:
                self.attempts += 1
                self.attempts_ok += _is_good(one)
        if not call.tries:  # if it is well, it was answered here
            self.first_ok += outcome == "ok"
        elif _is_good(call.tries[0]) or call.tries[0].error == "outrun":  # slow, but no failure
            self.first_ok += 1


class Summary(msgspec.Struct, omit_defaults=True):
    """A line of the list of calls. The rest is at `/calls/ID`."""

    id: str
    time: float
    """Unix seconds when it arrived."""
    ms: float
    status: int = 0
    bad: bool = False
    why: str = ""
    """Why it did not end well."""
    route: str = ""
    upstream: str = ""
    endpoint: str = ""
    model: str = ""
    answered: str = ""
    method: str = ""
    path: str = ""
    stream: bool = False
    first_ms: float = ZERO
    """To the first token of a stream."""
    input: int = 0
    output: int = 0
    estimated: bool = False
    cost: float = ZERO
    tries: list[str] = []
    """Why the attempts after the first were made."""
    cache: str = ""
    team: str = ""


def complete_since(latest: list[CallRecord], ended: int, started: float) -> float:
    """Return since when no call is missing in *latest* (Unix seconds), if *ended* have ended."""
    if len(latest) >= ended:
        return started
    return max((call.time + call.duration_ms / 1e3 for call in latest[-1:]), default=inf)


def seen_by_route(calls: Iterable[CallRecord]) -> dict[str, Seen]:
    """Add up *calls* by the names of their routes; "none" is that of calls without one."""
    routes: dict[str, Seen] = {}
    for call in calls:
        name = call.route or "none"
        found = routes.get(name)
        if found is None:
            found = routes[name] = Seen()
        found.add(call)
    return routes


def history(calls: Iterable[CallRecord], now: float) -> dict[str, dict[int, Seen]]:
    """Add up *calls* by route and by how many bins before that of *now* (Unix seconds) they ended.

    A bin begins at a multiple of its length.
    """
    bins: dict[int, list[CallRecord]] = {}
    for call in calls:
        age = now // BIN - (call.time + call.duration_ms / 1e3) // BIN
        if 0 <= age < BINS:
            bins.setdefault(int(age), []).append(call)
    routes: dict[str, dict[int, Seen]] = {}
    for age, ended in bins.items():
        for name, seen in seen_by_route(ended).items():
            routes.setdefault(name, {})[age] = seen
    return routes


def summary(call: CallRecord) -> Summary:
    """Return the line of *call*."""
    return Summary(
        call.request_id,
        round(call.time, 3),
        call.duration_ms,
        call.status,
        is_bad(call),
        failing(call),
        call.route,
        call.upstream,
        call.endpoint,
        call.model,
        call.model_answered,
        call.method,
        call.path[:_LONGEST_PATH],
        call.stream,
        call.first_token_ms or ZERO,
        call.input_tokens,
        call.output_tokens,
        call.estimated,
        call.cost or ZERO,
        _reasons(call.tries),
        call.cache,
        call.team,
    )


def choose(new: list[CallRecord], most: int) -> list[CallRecord]:
    """Choose *most* of *new*, the latest first: half of them bad ones, if there are as many."""
    if len(new) <= most:
        return new
    bad = [call for call in new if is_bad(call)][: most // 2]
    good = [call for call in new if not is_bad(call)][: most - len(bad)]
    chosen = {id(call) for call in (*bad, *good)}
    return [call for call in new if id(call) in chosen]


def _reasons(tries: tuple[Try, ...]) -> list[str]:
    return [reason(one) for one in tries[1:6]]


def _is_good(one: Try) -> bool:
    return not one.error and 0 < one.status < 400 and one.verdict in ("", "complete")


def _bucket(milliseconds: float) -> int:
    return 0 if milliseconds <= 1 else int(log(milliseconds) * _PER_MILLISECOND) + 1
