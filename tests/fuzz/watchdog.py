"""Ends a case that does not end, and keeps it if it takes the process with it."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.fuzz.cases import Case, Fault

CPU: Final = 20.0
"""Seconds of CPU time for one case, all its segmentations included."""
_HARD: Final = 120.0
"""Seconds that a round may take longer than it should before the process is ended."""
CURRENT: Final = Path(__file__).parents[2] / ".build" / "fuzz" / "current.json"


def _expired(number: int, frame: object) -> None:
    raise Fault("it does not end", f"{CPU:g} s of CPU time were not enough")


class Watchdog:
    """Watches one case after another."""

    def __init__(self, current: Path = CURRENT, cpu: float = CPU) -> None:
        current.parent.mkdir(parents=True, exist_ok=True)
        self._current = current
        self._cpu = cpu
        self._file = os.open(current, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._before = signal.signal(signal.SIGPROF, _expired)

    def close(self) -> None:
        """All is well: there is no current case."""
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, self._before)
        os.close(self._file)
        self._current.unlink(missing_ok=True)

    def round(self, seconds: float) -> None:
        """A round of about *seconds* begins. If it hangs in C, the process ends with a trace."""
        faulthandler.dump_traceback_later(seconds + _HARD, exit=True, file=2)

    @contextmanager
    def watching(self, fuzzer: str, case: Case) -> Iterator[None]:
        """Raise Fault within if *case* takes too long."""
        text = {"fuzzer": fuzzer, "note": "the process ended with it", "options": case.options}
        data = json.dumps({**text, "data": case.data.decode("latin-1")}).encode()
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))
        signal.setitimer(signal.ITIMER_PROF, self._cpu)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
