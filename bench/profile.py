"""Where a contender's CPU goes: `python -m bench.profile NAME [calls|streams]`.

Samples a contender that is written in Python with py-spy while it is under load, and prints its
costliest functions, by their own share and by the share of all that they call. Only the main
thread counts, where calls are carried: py-spy takes the other threads' waiting for work.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Final

from bench import wrk
from bench.contenders import ALL, Contender, Place, free_port, wait_ready
from bench.fleet import upstreams
from bench.load import run_module
from bench.measure import CONNECTIONS
from bench.process import LOAD_CORE, Process

_SECONDS: Final = 4
_SHOWN: Final = 40


def _record(pid: int, output: Path) -> None:
    command = ["py-spy", "record", "--native", "--rate", "400", "--format", "raw"]
    where = ["--duration", str(_SECONDS - 1), "--output", str(output), "--pid", str(pid)]
    tool = Path(sys.executable).parent / command[0]
    pinned = ["taskset", "-c", str(LOAD_CORE), str(tool), *command[1:], *where]
    done = subprocess.run(pinned, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"py-spy failed: {done.stderr.strip() or done.stdout.strip()}")


def _load(what: str, port: int, script: Path) -> None:
    if what == "streams":
        run_module("streams", port, CONNECTIONS, _SECONDS)
    else:
        wrk.saturate(script, port, CONNECTIONS, _SECONDS)


def _in_thread(frame: str) -> bool:
    return frame.startswith("Thread._bootstrap ")


def _print(stacks: list[str]) -> None:
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        names = frames.split(";")
        if any(map(_in_thread, names)):
            continue
        own[names[-1]] += int(count)
        whole.update(dict.fromkeys(names, int(count)))
    total = own.total()
    for title, counter in (("own", own), ("with all that it calls", whole)):
        print(f"\n{title}:")
        for name, samples in counter.most_common(_SHOWN):
            print(f"{samples / total:6.1%}  {name}")


def _profile(contender: Contender, what: str, folder: Path) -> None:
    assert contender.command is not None
    script, output = wrk.write_script(folder), folder / "stacks.txt"
    with upstreams(folder) as ports:
        place = Place(folder, free_port(), ports)
        argv = contender.command(place)
        begin = time.perf_counter()
        with Process(argv, folder / "output.log", env=contender.env) as process:
            wait_ready(contender, process, place.port, begin)
            load = threading.Thread(target=_load, args=(what, place.port, script))
            load.start()
            time.sleep(0.3)
            try:
                _record(process.pid, output)
            finally:
                load.join()
    _print(output.read_text("utf-8").splitlines())


if __name__ == "__main__":
    known = {one.name: one for one in ALL if one.name in ("sidecar", "litellm")}
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        raise SystemExit(f"{__doc__}\nNAME is one of: {', '.join(known)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as made:
        _profile(known[sys.argv[1]], sys.argv[2] if len(sys.argv) > 2 else "calls", Path(made))
