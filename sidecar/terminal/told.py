"""Numbers, spans of time and states, as people read them in a terminal."""

from __future__ import annotations

from typing import Final

from sidecar.calls.style import FAINT, GREEN, RED, YELLOW

_STEPS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_GOOD: Final = 0.99
_FAIR: Final = 0.9
_STATES: Final = {"in_use": GREEN, "half_open": YELLOW, "cooling": YELLOW}


def span(seconds: float) -> str:
    """*seconds* in its two largest units: `3 h 12 min`, `42 s`."""
    left = max(0, int(seconds))
    parts: list[str] = []
    for length, unit in _STEPS:
        count, left = divmod(left, length)
        if count or (parts and len(parts) < 2) or unit == "s":
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    if len(parts) == 2 and parts[1].startswith("0 "):
        parts.pop()
    return " ".join(parts)


def size(count: float) -> str:
    """*count* bytes in MiB."""
    return f"{count / 2**20:,.0f} MiB"


def number(value: float) -> str:
    """*value* with three digits: `0.25`, `12.3`, `1,204`, `85k`."""
    if value >= 10_000:
        return f"{value / 1000:,.0f}k" if value < 10_000_000 else f"{value / 1e6:,.0f}M"
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2g}"


def share(part: float, whole: float) -> str:
    """*part* of *whole* in percent, rounded down: 100 % means all. Empty without any."""
    if not whole:
        return ""
    percent = 100 * part / whole
    if part == whole:
        return "100 %"
    return f"{int(percent * 10) / 10:.1f} %"


def share_colour(part: float, whole: float) -> str:
    """Return the colour of a share of successes."""
    if not whole:
        return ""
    return GREEN if part >= _GOOD * whole else YELLOW if part >= _FAIR * whole else RED


def state(name: str) -> str:
    """Return the word for an endpoint's state."""
    return name.replace("_", " ")


def state_colour(name: str) -> str:
    """Return its colour."""
    return _STATES.get(name, FAINT if name in ("drained", "weight_0") else RED)
