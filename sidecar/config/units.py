"""Durations, sizes: plain numbers that are written with a unit."""

from __future__ import annotations

import re
from typing import Final

_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]+)")
_SECONDS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


def _parse(text: object, units: dict[str, float] | dict[str, int], example: str) -> float:
    match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        raise ValueError(f"expected {example}")
    return float(match[1]) * units[match[2]]


class Duration(float):
    """Seconds, written `250ms`, `2s`, `5m`, `1h`."""

    __slots__ = ()

    def __new__(cls, text: object) -> Duration:
        """Parse *text*; raise ValueError with an example when it has no known unit."""
        return super().__new__(cls, _parse(text, _SECONDS, "a duration like 250ms, 2s, 5m or 1h"))


class Size(int):
    """Bytes, written `512B`, `64KiB`, `8MiB`."""

    __slots__ = ()

    def __new__(cls, text: object) -> Size:
        """Parse *text*; raise ValueError with an example when it has no known unit."""
        return super().__new__(cls, int(_parse(text, _BYTES, "a size like 512B, 64KiB or 8MiB")))
