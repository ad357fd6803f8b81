"""How long a stream may be held back until it says something."""

from __future__ import annotations

from typing import NamedTuple


class GateSettings(NamedTuple):
    """Bounds of the wait for a stream's first content."""

    seconds: float
    """From its first byte on."""
    bytes: int
