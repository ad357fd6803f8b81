"""Makes a case that failed smaller, as long as it fails in the same way."""

from __future__ import annotations

import time
from typing import Final

from tests.fuzz.cases import Case, Fault, Fuzzer

SECONDS: Final = 20.0
"""For one case."""


async def fails_so(fuzzer: Fuzzer, case: Case, kind: str) -> bool:
    """Whether *case* shows a fault of this *kind*."""
    try:
        await fuzzer.check(case)
    except Fault as fault:
        return fault.kind == kind
    return False


async def shrunk(fuzzer: Fuzzer, case: Case, kind: str, seconds: float = SECONDS) -> Case:
    """A smaller case with the same fault; *case* itself if none is found in *seconds*."""
    end = time.monotonic() + seconds
    size = max(1, len(case.data) // 2)
    while size:
        at = 0
        while at < len(case.data) and time.monotonic() < end:
            smaller = Case(case.data[:at] + case.data[at + size :], case.options)
            if await fails_so(fuzzer, smaller, kind):
                case = smaller
            else:
                at += size
        size //= 2
    return case
