"""A contender's process: pinned, measured from /proc, and ended with its children."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

PROXY_CORE: Final = 0
LOAD_CORE: Final = 1
_END_WITHIN: Final = 5.0


@dataclass(frozen=True)
class Memory:
    """Resident bytes of a process tree, as smaps_rollup tells them."""

    rss: int
    pss: int
    anonymous: int


class Process:
    """A command on one core, and whatever it starts."""

    def __init__(
        self, argv: Sequence[str], log: Path, core: int = PROXY_CORE, env: Mapping[str, str] = {}
    ) -> None:
        command = ["taskset", "-c", str(core), *argv]
        self._log = log
        with log.open("wb") as output:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Python may keep its bytecode, as it does where it is installed to stay.
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **env},
                start_new_session=True,  # so that its children end with it
            )
        self.pid = self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def ended(self) -> bool:
        """Whether the process has ended by itself."""
        return self._popen.poll() is not None

    def last_words(self) -> str:
        """The last line that it wrote."""
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"

    def stop(self) -> None:
        """End it and its children: asked first, killed after some seconds."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.pid, number)
                self._popen.wait(_END_WITHIN)
            except ProcessLookupError:
                self._popen.wait()
                return
            except subprocess.TimeoutExpired:
                continue

    def cpu_ns(self) -> int:
        """Nanoseconds on the CPU so far, user and system, of every living thread of the tree."""
        return sum(
            int(path.read_text().split()[0])
            for pid in self._tree()
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )

    def memory(self) -> Memory:
        """Resident memory now."""
        total = {"Rss": 0, "Pss": 0, "Anonymous": 0}
        for pid in self._tree():
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            for name in total:
                match = re.search(rf"^{name}:\s+(\d+) kB", text, re.MULTILINE)
                total[name] += int(match[1]) * 1024 if match else 0
        return Memory(total["Rss"], total["Pss"], total["Anonymous"])

    def _tree(self) -> list[int]:
        """Every process of the session that this one leads."""
        return [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/stat")
            if _session(path) == str(self.pid)
        ]


def _session(stat: Path) -> str:
    """The session of a process; none if it has just ended."""
    try:
        return stat.read_text().rpartition(")")[2].split()[3]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def busy_ns(core: int) -> int:
    """Nanoseconds that *core* has worked for anybody, in the kernel's ticks."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, line.split()[1:9])
            ticks = user + nice + system + irq + softirq + steal
            return ticks * 10**9 // os.sysconf("SC_CLK_TCK")
    raise OSError(f"/proc/stat does not know core {core}")
