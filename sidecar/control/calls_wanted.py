"""Which of the kept calls a request to `/calls` wants. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from sidecar.observe.calls import is_bad
from sidecar.observe.record import CallRecord

_STATUS: Final = re.compile(r"[0-9]{1,3}|[1-5]xx")
_NAMES: Final = (
    "route", "model", "status", "endpoint", "errors", "min_ms", "id", "limit", "pretty",
)  # fmt: skip
_LIMIT: Final = 100
_SHORTEST: Final = 4
"""Characters of an id that may stand for all of it."""


class Wanted(NamedTuple):
    """An empty text and a zero ask for nothing."""

    route: str = ""
    model: str = ""
    """Asked for, or the one that answered."""
    status: str = ""
    """`503`, `5xx`; `0` where the caller left before one was sent."""
    endpoint: str = ""
    """Part of the name of an endpoint that got an attempt."""
    errors: bool = False
    min_ms: float = 0.0
    id: str = ""
    """Request id or trace id."""
    limit: int = _LIMIT

    def wants(self, call: CallRecord) -> bool:
        """Whether *call* fits."""
        return (
            self.route in ("", call.route)
            and self.model in ("", call.model, call.model_answered)
            and self.status in ("", str(call.status), f"{call.status // 100}xx")
            and (not self.endpoint or _went_to(call, self.endpoint))
            and (is_bad(call) or not self.errors)
            and call.duration_ms >= self.min_ms
            and self.id in ("", call.request_id, call.trace_id)
        )


def read(query: Mapping[str, str]) -> Wanted:
    """Read the parameters of a query. Raise ValueError, which says what is wrong."""
    for name in query:
        if name not in _NAMES:
            raise ValueError(f"there is no filter {name!r}, only {', '.join(_NAMES)}")
    status = query.get("status", "")
    if status and not _STATUS.fullmatch(status):
        raise ValueError("?status= must be a number like 503, or 1xx to 5xx")
    try:
        min_ms, limit = float(query.get("min_ms", 0)), int(query.get("limit", _LIMIT))
    except ValueError:
        raise ValueError("?min_ms= and ?limit= must be numbers") from None
    if not min_ms >= 0 or limit < 0:
        raise ValueError("?min_ms= and ?limit= must be 0 or more")
    return Wanted(
        query.get("route", ""),
        query.get("model", ""),
        status,
        query.get("endpoint", ""),
        query.get("errors", "false") not in ("false", "0"),
        min_ms,
        query.get("id", ""),
        min(limit, sys.maxsize),
    )


def _went_to(call: CallRecord, part: str) -> bool:
    return part in call.endpoint or any(part in one.endpoint for one in call.tries)


def select(calls: Iterable[CallRecord], wanted: Wanted) -> list[CallRecord]:
    """The first of *calls* that fit."""
    return list(islice(filter(wanted.wants, calls), wanted.limit))


def find(calls: Iterable[CallRecord], name: str) -> CallRecord | None:
    """The latest with this request id; else with this trace id; else whose id begins so."""
    of_trace = begins = None
    for call in calls:
        if call.request_id == name:
            return call
        if of_trace is None and call.trace_id == name:
            of_trace = call
        if begins is None and len(name) >= _SHORTEST and call.request_id.startswith(name):
            begins = call
    return of_trace or begins
