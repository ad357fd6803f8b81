"""What this machine is short of: counted, and said once a minute, not once a connection."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Final

_log: Final = logging.getLogger("sidecar")
_QUIET: Final = 60.0
"""Seconds between two warnings."""

counts: Final = Counter(listener=0, endpoint=0, admin=0)
"""Connections that could not be had, by whom they were for: `listener`, `endpoint`, `admin`."""
_said: Final[dict[str, float]] = {}


def note(where: str, what: str) -> None:
    """A connection for *where* could not be had, since *what* is missing."""
    counts[where] += 1
    now = time.monotonic()
    if now - _said.get(where, -_QUIET) >= _QUIET:
        _said[where] = now
        _log.warning("%s: connections are refused", what, extra={"for": where})
