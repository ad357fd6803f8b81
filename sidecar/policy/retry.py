"""Whether, and when, a failed attempt is followed by another one.

Sources: "Exponential Backoff and Jitter", AWS Architecture Blog, 2015 (full jitter: the wait is
uniform from zero on, which spreads callers widest and costs the server least); `_base_client.py` of
openai-python and anthropic-sdk-python (408, 409, 429 and 5xx are worth another try;
`retry-after-ms` wins over `retry-after`, which may have a fraction); RFC 9110, section 10.2.3
(`Retry-After`). What bounds the number of retries is the budget.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from typing import Final, NamedTuple

_CONDITIONS: Final = {
    "connect_failed": "connect_failure",
    "resolve_failed": "connect_failure",
    "tls_failed": "connect_failure",
    "connect_timeout": "connect_failure",
    "client_certificate_refused": "connect_failure",
    "resolver_failed": "connect_failure",
    "out_of_resources": "connect_failure",
    "pool_overflow": "connect_failure",
    "pool_timeout": "connect_failure",
    "upstream_reset": "reset",
    "stale_connection": "reset",
    "first_byte_timeout": "timeout",
    "idle_timeout": "timeout",
    "bad_reply": "bad_reply",
    "upstream_truncated": "bad_reply",
    "stream_error": "bad_reply",
    "empty_stream": "bad_reply",
    "error_reply": "bad_reply",
}
"""Error codes, and their names in a policy."""
CONDITIONS: Final = tuple(dict.fromkeys(_CONDITIONS.values()))
_CLASS: Final = re.compile(r"[45]xx")
_STATUS: Final = re.compile(r"[45][0-9][0-9]")
_SPREAD: Final = 0.5
_UNNAMED_LIMIT: Final = 0.5
"""Seconds before the first retry after a rate limit without a time: as in the SDKs."""
_NUMBER: Final = re.compile(rb"[0-9]+(?:\.[0-9]*)?")


class RetrySettings(NamedTuple):
    """At most `max` more attempts, and what causes them. Times in seconds."""

    max: int
    conditions: frozenset[str]
    statuses: frozenset[int]
    base: float
    cap: float
    retry_after_cap: float
    """The longest wait that the sidecar accepts from a server; longer ones go to the caller."""
    methods: frozenset[bytes]


def parse_on(words: Iterable[str]) -> tuple[frozenset[str], frozenset[int]]:
    """Return the conditions and statuses of words like `reset`, `429` and `5xx`.

    Raise ValueError for any other word, and for statuses that are no failure.
    """
    conditions: set[str] = set()
    statuses: set[int] = set()
    for word in words:
        if word in CONDITIONS:
            conditions.add(word)
        elif _CLASS.fullmatch(word):
            hundreds = int(word[0]) * 100
            statuses.update(range(hundreds, hundreds + 100))
        elif _STATUS.fullmatch(word):
            statuses.add(int(word))
        else:
            raise ValueError(
                f"expected a status like 429 or 5xx, or one of {', '.join(CONDITIONS)}"
            )
    return frozenset(conditions), frozenset(statuses)


def condition_of(code: str) -> str | None:
    """Return the condition of an error's code; None: never retried."""
    return _CONDITIONS.get(code)


def backoff(settings: RetrySettings, retry: int, random: Callable[[], float]) -> float:
    """Return the seconds before retry number *retry*, from 0: full jitter, exponential bound."""
    return random() * min(settings.cap, settings.base * 2.0**retry)


def seconds_of(text: bytes) -> float | None:
    """Return *text* as seconds; None if it is not a plain number."""
    return float(text) if _NUMBER.fullmatch(text) else None


def retry_after(fields: Mapping[bytes, bytes], unix_now: float) -> float | None:
    """Return the seconds after which the server accepts calls again; None: no valid time.

    A date in the past, a negative number and any other text are not valid. *unix_now* is the
    wall clock's time, since a date is.
    """
    milliseconds = fields.get(b"retry-after-ms")
    if milliseconds is not None and _NUMBER.fullmatch(milliseconds):
        return float(milliseconds) / 1000
    value = fields.get(b"retry-after")
    if value is None:
        return None
    named = seconds_of(value)
    if named is not None:
        return named
    seconds = _date(value) - unix_now
    return seconds if seconds >= 0 else None


def wait_before(
    settings: RetrySettings,
    retry: int,
    named: float | None,
    limited: bool,
    random: Callable[[], float],
) -> float | None:
    """Return the seconds before a retry at the same endpoints; None: pass the reply on.

    *retry* counts from 0. *named*: the wait that the reply asks for; None if it names none.
    *limited*: a rate limit was reached, which backing off for milliseconds can't clear. The
    server's own wait is never cut short, but stretched by up to a half, so that callers with the
    same wait return one by one (Envoy spreads them as wide, `rate_limited_retry_back_off`).
    """
    if named is None:
        if not limited:
            return backoff(settings, retry, random)
        named = _UNNAMED_LIMIT * 2.0**retry
    if named > settings.retry_after_cap:
        return None
    return named * (1.0 + _SPREAD * random()) + backoff(settings, retry, random)


def _date(value: bytes) -> float:
    """Return the Unix time of an HTTP date in any of its three forms (RFC 9110, 5.6.7).

    Minus infinity if it is not a date.
    """
    from email.utils import parsedate_to_datetime  # late: servers seldom send a date

    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        # One of the forms has no zone; all mean UTC.
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return -math.inf
