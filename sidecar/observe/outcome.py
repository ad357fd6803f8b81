"""What became of a call, in one word: what service level objectives are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Outcome = Literal["ok", "failed", "caller_error", "limited", "left"]
"""ok: a whole answer. failed: no answer, or a broken one, and not by the caller's fault.
caller_error: the caller asked for what it can't have. limited: a limit of the route refused it.
left: the caller did not wait for the end."""

_LEFT: Final = "caller_left"
_LIMITED: Final = frozenset({"rate_limited", "concurrency_limited", "tokens_limited"})
_KINDS: Final[Mapping[str, Outcome]] = {
    "content_filter": "caller_error",
    "context_length": "caller_error",
    "bad_request": "caller_error",
    "authentication": "caller_error",
}
"""By kind of failure; the others are no fault of the caller."""


def outcome_of(status: int, code: str, verdict: str, kind: str) -> Outcome:
    """Return the outcome of a call.

    *status* was sent, or 0. *code* is that of our error, *verdict* the one on the reply, *kind* the
    kind of failure that the reply told; each may be empty.
    """
    if not code and verdict in ("complete", "") and 0 < status < 400:
        return "ok"
    if code == _LEFT or (verdict == "aborted" and not code):
        return "left"
    if code in _LIMITED:
        return "limited"
    if kind:
        return _KINDS.get(kind, "failed")
    # What a proxy or a server says of a request that it can't serve now is no fault of the request.
    return "caller_error" if 400 <= status < 500 and status != 429 else "failed"
