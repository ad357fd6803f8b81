"""Calls that travelled together."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from sidecar.observe.histogram import Histogram

ITEMS: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2048.0)
"""Bucket bounds of items in a joint call."""


class Batched:
    """Of one route."""

    __slots__ = ("ended", "items")

    def __init__(self) -> None:
        self.items = Histogram(ITEMS)
        """Of each joint call."""
        self.ended: defaultdict[str, int] = defaultdict(int)
        """Joint calls, by what became of them."""
