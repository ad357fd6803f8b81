"""Read the waits that providers ask for, in all their formats.

Sources: RFC 9110, 10.2.3 (`Retry-After`); `_base_client.py` of openai-python and
anthropic-sdk-python (`retry-after-ms`); OpenAI's and Groq's pages on rate limits (`6m0s`);
Anthropic's (RFC 3339); `google.rpc.RetryInfo` and `google.protobuf.Duration` (`46s`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final

from sidecar.policy.retry import retry_after as in_fields

_PART: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{0,9})?)(ms|us|µs|ns|h|m|s|d)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")
_NUMBER: Final = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,9})?")
_UNITS: Final = {
    "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9,
}  # fmt: skip
_LONGEST_TEXT: Final = 64
_EPOCH: Final = 1e9
"""Larger numbers are Unix times: in seconds, or in milliseconds from a thousand times that."""
_BUCKETS: Final = tuple(
    (f"x-ratelimit-remaining-{of}".encode(), f"x-ratelimit-reset-{of}".encode())
    for of in ("requests", "tokens")
) + tuple(
    (f"anthropic-ratelimit-{of}-remaining".encode(), f"anthropic-ratelimit-{of}-reset".encode())
    for of in ("requests", "tokens", "input-tokens", "output-tokens")
)
"""The fields for what remains of a limit, and for the time when it is full again."""


def retry_after(fields: Mapping[bytes, bytes], unix_now: float) -> float | None:
    """Return the seconds that a reply's fields ask a caller to wait; None if they name no time.

    `retry-after` may also be a duration (`1m30s`) or a time of RFC 3339. *unix_now* is the wall
    clock's time.
    """
    seconds = in_fields(fields, unix_now)
    if seconds is None and (value := fields.get(b"retry-after")) is not None:
        return until(value.decode("latin-1"), unix_now)
    return seconds


def reset_after(fields: Mapping[bytes, bytes], unix_now: float) -> float | None:
    """Return the seconds until all exhausted limits are full again; None if none is exhausted.

    A caller need not wait as long: the buckets refill continuously.
    """
    return max(_resets(fields, unix_now), default=None)


def _resets(fields: Mapping[bytes, bytes], unix_now: float) -> Iterator[float]:
    for remaining, reset in _BUCKETS:
        if fields.get(remaining, b"").strip() in (b"0", b"0.0") and (value := fields.get(reset)):
            seconds = until(value.decode("latin-1"), unix_now)
            if seconds is not None:
                yield seconds


def until(text: str, unix_now: float) -> float | None:
    """Return the seconds until the time in *text*; None if it is past or in no known format.

    `1.5` (seconds), `6m0s`, `1700000000` and `1700000000000` (Unix time, in seconds and in
    milliseconds), `2026-01-27T19:31:29Z`. Azure's `-1` means unknown.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST_TEXT:
        return None
    if _NUMBER.fullmatch(text):
        seconds = float(text)
        if seconds >= _EPOCH:
            seconds = (seconds / 1000 if seconds >= _EPOCH * 1000 else seconds) - unix_now
    elif (named := duration(text)) is not None:
        return named
    else:
        seconds = _rfc3339(text) - unix_now
    return seconds if 0 <= seconds < float("inf") else None


def duration(text: str) -> float | None:
    """Return a duration like `6m0s`, `2m59.56s`, `12ms` or `46s` in seconds; None if it is none."""
    if len(text) > _LONGEST_TEXT or not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def _rfc3339(text: str) -> float:
    """Return a Unix time; infinity if *text* is no time of RFC 3339."""
    try:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return float("inf")
