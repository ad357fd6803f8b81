"""Durations, sizes and shares: plain numbers that are written with a unit.

Arithmetic on them gives ordinary floats and ints; only `written()` knows the units.
"""

from __future__ import annotations

import re
from typing import Final

_MICROSECONDS: Final = {"us": 1, "ms": 10**3, "s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6}
_BYTES: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


def _pattern(units: dict[str, int]) -> str:
    """Nine digits keep every value finite and exact; the JSON schema shows the same pattern."""
    return rf"^([0-9]{{1,9}})(\.[0-9]{{1,3}})?({'|'.join(units)})$"


DURATION_PATTERN: Final = _pattern(_MICROSECONDS)
SIZE_PATTERN: Final = _pattern(_BYTES)
SHARE_PATTERN: Final = r"^([0-9]{1,3}(\.[0-9]{1,3})?|1000)%$"
"""For the schema, in words that Go's regular expressions know too: Helm checks values with them."""
_SHARE: Final = r"^([0-9]{1,4})(\.[0-9]{1,3})?(%)$"


def _thousandths(text: object, pattern: str, units: dict[str, int], example: str) -> int:
    """A thousand times what *text* says, in the smallest unit: a whole number, so exact."""
    match = re.match(pattern, text) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"expected {example}")
    whole, fraction, unit = match.groups(default=".")
    return int(whole + fraction[1:].ljust(3, "0")) * units[unit]


class Duration(float):
    """Seconds, written `250ms`, `2s`, `5m`, `1h`."""

    __slots__ = ()

    def __new__(cls, text: object) -> Duration:
        """Parse *text*; raise ValueError with an example when it has no known unit."""
        example = "a duration like 250ms, 2s, 5m or 1h"
        return super().__new__(
            cls, _thousandths(text, DURATION_PATTERN, _MICROSECONDS, example) / 10**9
        )

    def written(self) -> str:
        """Text that parses to the same value (to the nearest microsecond), in its largest unit."""
        if self and self % 1 == 0:
            return _largest(int(self), {"h": 3600, "m": 60, "s": 1})
        return _largest(round(self * 1e6), {"s": 10**6, "ms": 10**3, "us": 1})


class Size(int):
    """Bytes, written `512B`, `64KiB`, `8MiB`."""

    __slots__ = ()

    def __new__(cls, text: object) -> Size:
        """Parse *text*; raise ValueError with an example when it has no known unit."""
        example = "a size like 512B, 64KiB or 8MiB"
        return super().__new__(cls, _thousandths(text, SIZE_PATTERN, _BYTES, example) // 1000)

    def written(self) -> str:
        """Text that parses to the same value, in the largest binary unit that divides it."""
        return _largest(
            self, {"GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1} if self else {"B": 1}
        )


class Share(float):
    """A part of a whole, from 0.0 to 10.0, written `50%`, `0.5%`, `125%`; at most `1000%`."""

    __slots__ = ()

    def __new__(cls, text: object) -> Share:
        """Parse *text*; raise ValueError with an example when it is no percentage."""
        example = "a share like 50%, 0.5% or 100%"
        thousandths = _thousandths(text, _SHARE, {"%": 1}, example)
        if not re.match(SHARE_PATTERN, str(text)):
            raise ValueError(f"expected {example}")
        return super().__new__(cls, thousandths / 10**5)

    def written(self) -> str:
        """Text that parses to the same value."""
        whole, fraction = divmod(round(self * 10**5), 1000)
        return f"{whole}.{fraction:03}".rstrip("0").rstrip(".") + "%"


def _largest(count: int, units: dict[str, int]) -> str:
    """*count* in the first of *units* (largest first) that divides it."""
    unit = next(unit for unit, scale in units.items() if count % scale == 0)
    return f"{count // units[unit]}{unit}"
