"""What a reply means for its endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.policy.retry import retry_after

RATE_LIMITED: Final = 429
_NAMES_ITS_TIME: Final = frozenset({503, 529})
"""Besides 429. 529 is Anthropic's for an overload."""
_UNNAMED: Final = 0.5
"""Seconds of a limit without a time: the first wait of the SDKs."""
_LONGEST: Final = 60.0
"""Seconds. A quota of a day names hours, but may be raised, or be another model's."""


def endpoint_failed(status: int) -> bool:
    """Whether a reply counts against the endpoint; other 4xx are the caller's fault.

    429 is nobody's: the endpoint is well, and a quota is used up.
    """
    return status >= 500 or status == 408


def cooldown(status: int, fields: Mapping[bytes, bytes], unix_now: float) -> float:
    """Return the seconds for which to avoid the endpoint that sent this; 0: not at all."""
    if status == RATE_LIMITED:
        named = retry_after(fields, unix_now)
        return min(_UNNAMED if named is None else named, _LONGEST)
    if status in _NAMES_ITS_TIME:
        return min(retry_after(fields, unix_now) or 0.0, _LONGEST)
    return 0.0
