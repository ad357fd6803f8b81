"""The load of an endpoint: its calls, its latency, its failures."""

from __future__ import annotations

from math import exp, inf
from typing import Any, Final, NamedTuple

_UP: Final = 0.5
"""How far one slow reply moves the average. Half way: peaks must be seen at once (as in linkerd2's
peak EWMA), but an LLM's replies differ in length, and one long one is no verdict."""
_USUAL: Final = 32
"""Successes in the average of the usual time, about."""
_ERRORS: Final = 0.1
"""How far one result moves the share of failures."""


class Report(NamedTuple):
    """What an endpoint reports about itself. Shares are 0 to 1."""

    queued: float = 0
    """Calls that wait there, of all clients."""
    running: float = 0
    """Calls that run there."""
    kv_used: float = 0
    """Share of its KV cache that is in use."""
    utilization: float = 0
    """Share of its GPU or CPU that is in use."""


class Total:
    """The sums over all endpoints of an upstream."""

    __slots__ = ("cool_until", "in_flight", "seen", "usual")

    def __init__(self) -> None:
        self.in_flight = 0
        """Calls."""
        self.usual = 0.0
        """Average seconds to the first byte of the last successes; 0: none was seen."""
        self.seen = 0
        """Successes."""
        self.cool_until = -inf
        """Until when the last of them cools down."""


class Load:
    """One endpoint's load, as balancers read it. Times are monotonic seconds."""

    __slots__ = (
        "cool_until", "errors", "in_flight", "latency", "name", "others", "pressure", "reported",
        "reported_at", "seen_at", "silent_since", "since", "total", "unanswered", "weight",
    )  # fmt: skip

    def __init__(self, name: str, weight: float, now: float, total: Total | None = None) -> None:
        self.name = name
        self.weight = weight
        self.in_flight = 0
        self.since = now
        """When it came into rotation."""
        self.latency = 0.0
        """Average seconds to the first byte, as of the last result; 0: none was seen."""
        self.errors = 0.0
        """Share of failures among the last results."""
        self.reported: Report | None = None
        self.others = 0.0
        """Calls that it reported, less ours at that time."""
        self.pressure = 0.0
        """How full it reported to be, as far as others fill it: at most 1."""
        self.total = Total() if total is None else total
        self.seen_at = now
        """When its last result came."""
        self.reported_at = -inf
        self.unanswered = 0
        """Attempts that were sent and have no result yet."""
        self.silent_since = now
        """Since when none of them had a result."""
        self.cool_until = -inf
        """Until when it cools down, and is avoided while there are others."""

    def begin(self) -> None:
        """Count an attempt that begins."""
        self.in_flight += 1
        self.total.in_flight += 1

    def end(self) -> None:
        """Count an attempt that ends."""
        self.in_flight -= 1
        self.total.in_flight -= 1

    def ask(self, now: float) -> None:
        """Note that a request was sent. `answer` follows, once."""
        if not self.unanswered:
            self.silent_since = now
        self.unanswered += 1

    def answer(self, now: float) -> None:
        """Note that a request was answered, or abandoned."""
        self.unanswered -= 1
        self.silent_since = now

    def observe(self, seconds: float, failed: bool, now: float, decay: float) -> None:
        """Count an attempt's result: the seconds to its reply's head, and whether it failed.

        A failure never makes an endpoint look faster: one that answers 500 at once would attract
        the calls. A success after a long silence counts for all that time.
        """
        kept = exp((self.seen_at - now) / decay)
        self.seen_at = now
        if failed:
            self.errors += _ERRORS * (1.0 - self.errors)
            if self.latency and seconds > self.latency:
                self.latency += _UP * (seconds - self.latency)
            return
        self.errors *= min(kept, 1.0 - _ERRORS)
        total = self.total
        total.seen += 1
        total.usual += (seconds - total.usual) / (total.seen if total.seen < _USUAL else _USUAL)
        if not self.latency:
            self.latency = seconds
        elif seconds > self.latency:
            self.latency += _UP * (seconds - self.latency)
        else:
            self.latency = self.latency * kept + seconds * (1 - kept)

    def at_least(self, seconds: float) -> None:
        """Count an abandoned attempt that had already taken *seconds*."""
        if self.latency:
            self.latency += _UP * max(0.0, seconds - self.latency)
        elif 0.0 < self.total.usual < seconds:  # it has not answered yet, and others have
            self.latency = seconds

    def outrun(self, now: float) -> None:
        """Another endpoint was faster, though it was asked later."""
        self.seen_at = now
        self.errors += _ERRORS * (1.0 - self.errors)

    def limit(self, now: float) -> None:
        """It refused a call because a quota is used up, which is no failure of its own."""
        self.seen_at = now
        self.errors += _ERRORS * (1.0 - self.errors)

    def cool(self, until: float) -> None:
        """Avoid it *until* the time that it named."""
        self.cool_until = max(self.cool_until, until)
        self.total.cool_until = max(self.total.cool_until, until)

    def report(self, report: Report, now: float) -> None:
        """Count a report of the endpoint.

        Our own calls and their share are already known, and better: they must not count twice. Half
        full is hardly full, so the share in use is cubed.
        """
        self.reported = report
        busy = report.queued + report.running
        self.others = max(0.0, busy - self.in_flight)
        used = min(1.0, max(0.0, report.kv_used, report.utilization))
        self.pressure = used**3 * (self.others / busy if busy > 0 else 1.0)
        self.reported_at = now

    def snapshot(self, now: float) -> dict[str, Any]:
        """Return its values for the admin API."""
        shown: dict[str, Any] = {
            "latency_ms": round(self.latency * 1e3, 3),
            "errors": round(self.errors, 3),
        }
        if self.cool_until > now:
            shown["avoided_s"] = round(self.cool_until - now, 3)
        if self.reported is not None:
            age = round(now - self.reported_at, 3)
            shown["reported"] = {**self.reported._asdict(), "age_s": age}
        return shown
