"""Starts the servers behind the proxies."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contenders import ROOT, SIDECAR_PYTHON
from bench.process import LOAD_CORE, Process

CHUNKS: Final = 200
INTERVAL: Final = 0.005
_ENDPOINTS: Final = 3
_START_WITHIN: Final = 10.0


@dataclass(frozen=True)
class Fleet:
    """The endpoints' ports, and the CA of those that speak TLS."""

    plain: list[int]
    secure: list[int]
    ca: Path


def certificates(folder: Path) -> None:
    """Put a CA and certificates of it into *folder*."""
    command = [str(SIDECAR_PYTHON), "-m", "bench.identity", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT)


@contextmanager
def upstreams(folder: Path) -> Iterator[Fleet]:
    """The upstream program on the load's core."""
    certificates(folder)
    log = folder / "upstream.log"
    command = ["-m", "bench.upstream", str(_ENDPOINTS), str(CHUNKS), str(INTERVAL)]
    pem = str(folder / "llm.bench.pem")
    with Process([sys.executable, *command, pem], log, LOAD_CORE) as process:
        deadline = time.monotonic() + _START_WITHIN
        while not log.read_text().endswith("\n"):
            if process.ended or time.monotonic() > deadline:
                raise SystemExit(f"the upstream does not start: {process.last_words()}")
            time.sleep(0.02)
        ports = [int(port) for port in log.read_text().split()]
        yield Fleet(ports[:_ENDPOINTS], ports[_ENDPOINTS:], folder / "ca.crt")
