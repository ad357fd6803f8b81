"""Why a sidecar can't start, in its own words, and for `kubectl describe`.

The kubelet shows what a container left in a file.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Final

PLACE: Final = "/dev/termination-log"
"""The default of a container's `terminationMessagePath`. The kubelet makes the file."""
_LONGEST: Final = 4096
"""Bytes that the kubelet shows."""
_MORE: Final = "\n... the log has the rest"


def say_why(reason: str, place: str = PLACE) -> None:
    """Leave *reason*, which has no secrets, at *place*, if there is such a file."""
    with suppress(OSError):
        if stat.S_ISREG(os.stat(place).st_mode):
            with open(place, "wb") as file:
                file.write(_cut(reason))


def reason_of(error: OSError) -> str:
    """Tell why, and where that helps, what to do."""
    reason = error.strerror or str(error)
    if error.filename and str(error.filename) not in reason:
        return f"{reason}: {error.filename}"
    if "in use" in reason:
        return f"{reason}; is another sidecar running? Change the address in the configuration"
    return reason


def _cut(reason: str) -> bytes:
    data = reason.encode()
    if len(data) <= _LONGEST:
        return data
    kept = data[: _LONGEST - len(_MORE)].decode(errors="ignore")
    return f"{kept.rpartition(chr(10))[0] or kept}{_MORE}".encode()
