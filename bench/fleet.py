"""Starts the servers behind the proxies."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.measure import CHUNKS, INTERVAL
from bench.process import LOAD_CORE, Process

_ENDPOINTS: Final = 3
_START_WITHIN: Final = 10.0


@contextmanager
def upstreams(folder: Path) -> Iterator[list[int]]:
    """The upstream program on the load's core; gives the ports of its endpoints."""
    log = folder / "upstream.log"
    command = ["-m", "bench.upstream", str(_ENDPOINTS), str(CHUNKS), str(INTERVAL)]
    with Process([sys.executable, *command], log, LOAD_CORE) as process:
        deadline = time.monotonic() + _START_WITHIN
        while not log.read_text().endswith("\n"):
            if process.ended or time.monotonic() > deadline:
                raise SystemExit(f"the upstream does not start: {process.last_words()}")
            time.sleep(0.02)
        yield [int(port) for port in log.read_text().split()]
