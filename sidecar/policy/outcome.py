"""What an endpoint's reply says about the endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.policy.retry import retry_after

RATE_LIMITED: Final = 429
_NAMES_ITS_TIME: Final = frozenset({503, 529})
"""Besides 429. 529 is Anthropic's for an overload."""
_UNNAMED: Final = 0.5
"""Seconds that a limit holds which names no time: what the SDKs wait at first."""
_LONGEST: Final = 60.0
"""Seconds. A quota of a day names hours, but may be raised, or be another model's."""


def endpoint_failed(status: int) -> bool:
    """Whether a reply speaks against who sent it; other 4xx speak against the caller.

    429 speaks against neither: the endpoint is well, and a quota is used up.
    """
    return status >= 500 or status == 408


def cooldown(status: int, fields: Mapping[bytes, bytes], unix_now: float) -> float:
    """Seconds for which the endpoint that sent this is to be avoided; 0: not at all."""
    if status == RATE_LIMITED:
        named = retry_after(fields, unix_now)
        return min(_UNNAMED if named is None else named, _LONGEST)
    if status in _NAMES_ITS_TIME:
        return min(retry_after(fields, unix_now) or 0.0, _LONGEST)
    return 0.0
