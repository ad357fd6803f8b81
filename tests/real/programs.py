"""Client programs in other languages: run to their end, or read line by line as they go."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import IO

PATIENCE = 60.0
"""Seconds that a program may take."""


def run(
    command: list[str], *, env: dict[str, str] | None = None, ok: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run *command*; fail with what it said unless it succeeds or that is not asked (*ok*)."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **(env or {})}
    )
    assert not ok or done.returncode == 0, f"{command}: {done.returncode}\n{done.stderr}"
    return done


@contextlib.contextmanager
def reading(command: list[str], *, env: dict[str, str] | None = None) -> Iterator[IO[str]]:
    """Run *command* and yield its output as it comes; it must succeed by the block's end."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        try:
            yield child.stdout
            errors = child.stderr.read()
            assert child.wait(PATIENCE) == 0, f"{command}: {child.returncode}\n{errors}"
        finally:
            child.kill()
