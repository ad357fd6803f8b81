"""Hosts to which connections were passed through, and why: a bounded number of them."""

from __future__ import annotations

from typing import Final

MOST: Final = 256
"""Hosts and reasons. The one that was met longest ago makes room."""
_LONGEST: Final = 253
"""Characters of a name in DNS (RFC 1035, section 3.1); clients choose what they name."""


class PassedHosts:
    """Counts by host and decision. The data plane's loop counts; any thread may read."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        """The last that was met stands last."""

    def count(self, host: str, decision: str) -> None:
        """Count a connection for *host* that was passed through by *decision*."""
        key = host[:_LONGEST], decision
        self._counts[key] = self._counts.pop(key, 0) + 1
        if len(self._counts) > MOST:
            del self._counts[next(iter(self._counts))]

    def shown(self) -> dict[tuple[str, str], int]:
        """Return a copy."""
        return self._counts.copy()
