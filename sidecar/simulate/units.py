"""Durations as text. The island imports nothing of the project, so it has its own few lines."""

from __future__ import annotations

import re
from typing import Final

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)")
_MICROSECONDS: Final = {"us": 1, "ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6}


def parse_duration(text: str) -> float:
    """Seconds of `250ms`, `2s`, `5m`: whole microseconds, so that the text form round-trips."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"expected a duration like 250ms, 2s or 5m, not {text!r}")
    return round(float(match[1]) * _MICROSECONDS[match[2]]) / 10**6


def format_duration(seconds: float) -> str:
    """The shortest exact text: `2s`, `250ms`, `15us`."""
    microseconds = round(seconds * 10**6)
    unit = next(u for u in ("s", "ms", "us") if microseconds % _MICROSECONDS[u] == 0)
    return f"{microseconds // _MICROSECONDS[unit]}{unit}"


def parse_share(text: str) -> float:
    """A probability from `0.05` or `5%`."""
    try:
        share = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ValueError(f"expected a probability like 0.05 or 5%, not {text!r}")
    return share
