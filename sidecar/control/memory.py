"""How much memory this process may use."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

_CGROUP_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of cgroup v2 and v1, as a container sees its own. `max`, or a number beyond any machine: none."""


def available_memory(limits: tuple[Path, ...] = _CGROUP_LIMITS) -> int:
    """Bytes: the container's limit, or the machine's memory where that is less."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in limits:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(path.read_text()))
    return min(found)
