"""Counts what this machine lacks for connections, and logs it once a minute at most."""

from __future__ import annotations

import logging
import time
from collections import Counter
from typing import Final

_log: Final = logging.getLogger("sidecar")
_QUIET: Final = 60.0
"""Seconds between two warnings."""

counts: Final = Counter(listener=0, endpoint=0, admin=0)
"""Connections that could not be made, by what they were for: `listener`, `endpoint`, `admin`."""
_said: Final[dict[str, float]] = {}


def note(where: str, what: str) -> None:
    """Count a connection for *where* that could not be made, because *what* is missing."""
    counts[where] += 1
    now = time.monotonic()
    if now - _said.get(where, -_QUIET) >= _QUIET:
        _said[where] = now
        _log.warning("%s; connections fail", what, extra={"for": where})
