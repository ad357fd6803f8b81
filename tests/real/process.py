"""Child processes that serve: started, waited for, logged to a file, stopped."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LOGS: Final = ROOT / ".build" / "real-logs"


def free_port() -> int:
    """A TCP port of the loopback that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def serving(
    name: str, command: list[str], port: int, env: dict[str, str] | None = None
) -> Iterator[Path]:
    """Run *command* until the block ends; enter it once *port* answers. Yields its log file.

    Raise RuntimeError when it does not start or, for all its callers have gone, stop promptly.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{name}.log"
    with log.open("wb") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
        )
    try:
        _await_port(child, port, log)
        yield log
    finally:
        _stop(child, name)


def _stop(child: subprocess.Popen[bytes], name: str) -> None:
    child.terminate()
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        raise RuntimeError(f"{name} did not stop: what does it wait for?") from None


def _await_port(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if child.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{log.name}: {child.args!r} does not serve port {port}:\n{tail}")
        time.sleep(0.05)


def await_text(log: Path, text: str, more_than: int = 0, seconds: float = 10) -> bool:
    """Whether *log* has *text* more often than *more_than* times within *seconds*."""
    deadline = time.monotonic() + seconds
    while log.read_text(errors="replace").count(text) <= more_than:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
