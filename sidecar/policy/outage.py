"""Detects that a service fails as a whole, so that retries can't help."""

from __future__ import annotations

from typing import Final

_LAST: Final = 32
_MASK: Final = (1 << _LAST) - 1
_TOTAL: Final = 24
"""Of the last 32 attempts. A service that fails 40 % of its calls at random, where each retry
helps more often than not, fails so many in a row of 32 once in 25,000 rows."""


class Outage:
    """The last 32 attempts of calls to an upstream, failed or not."""

    __slots__ = ("failures",)

    def __init__(self) -> None:
        self.failures = 0
        """A bit for each attempt, the last one lowest. While it is 0, a success changes nothing."""

    def observe(self, failed: bool) -> None:
        """Count an attempt."""
        self.failures = (self.failures << 1 | failed) & _MASK

    @property
    def total(self) -> bool:
        """Whether three quarters of them failed, so that more calls only add load."""
        return self.failures.bit_count() >= _TOTAL
