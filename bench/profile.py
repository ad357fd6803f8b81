"""Where a contender's CPU goes: `python -m bench.profile NAME [KIND]`.

KIND is calls (a provider's traffic), plain, tls, new (a TLS connection for each call) or streams.
Samples a contender that is written in Python with py-spy while it is under load, and prints what
its costliest functions take of each call or chunk, by themselves and with all that they call. Only
the main thread counts, where calls are carried: py-spy takes the other threads' waiting for work.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Final

from bench import wrk
from bench.contenders import ALL, PLAIN_BUILD, SIDECAR, Contender, Place, free_port, started
from bench.fleet import upstreams
from bench.load import run_module
from bench.measure import CONNECTIONS
from bench.process import LOAD_CORE

_SECONDS: Final = 4
_SHOWN: Final = 40
_TRAFFIC: Final = {
    "calls": wrk.PROVIDER,
    "plain": wrk.PLAIN,
    "tls": wrk.PROVIDER,
    "new": wrk.CLOSING,
}
_KINDS: Final = (*_TRAFFIC, "streams")
_IN_C: Final = re.compile(r"\.[ch]\)$")


def _record(pid: int, output: Path) -> None:
    command = ["py-spy", "record", "--native", "--function", "--rate", "400", "--format", "raw"]
    where = ["--duration", str(_SECONDS - 1), "--output", str(output), "--pid", str(pid)]
    tool = Path(sys.executable).parent / command[0]
    pinned = ["taskset", "-c", str(LOAD_CORE), str(tool), *command[1:], *where]
    done = subprocess.run(pinned, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"py-spy failed: {done.stderr.strip() or done.stdout.strip()}")


def _load(kind: str, port: int, scripts: wrk.Scripts) -> float:
    """How many calls were made, or chunks came."""
    if kind == "streams":
        return float(run_module("streams", port, CONNECTIONS, _SECONDS, 1)["chunks"])
    return wrk.saturate(scripts[_TRAFFIC[kind]], port, CONNECTIONS, _SECONDS)["calls"]


def _plainly(frame: str) -> str:
    """*frame* without what tells apart places in one C function, or functions in one library.

    Those of libc are told apart: most of them are system calls.
    """
    name, _, place = frame.rpartition(" ")
    if place.endswith(".py") or ".py:" in place:
        return frame
    place = place.strip("()").partition(":")[0]
    known = place.startswith("libc.so") and not name.startswith("0x")
    return f"{name} ({place})" if known or ".so" not in place else place


def _in_thread(frame: str) -> bool:
    return frame.startswith("Thread._bootstrap ")


def _print(stacks: list[str], each_us: float) -> None:
    """Print the functions of *stacks*; all of them together took *each_us* microseconds."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in stacks:
        frames, _, count = line.rpartition(" ")
        names = [_plainly(frame) for frame in frames.split(";")]
        if any(map(_in_thread, names)):
            continue
        own[names[-1]] += int(count)
        whole.update(dict.fromkeys(names, int(count)))
    total = own.total()
    for name in [name for name in whole if _IN_C.search(name)]:
        del whole[name]  # the loop's own functions, which call all others
    for title, counter in (("own", own), ("with all that it calls", whole)):
        print(f"\n{title}:")
        for name, samples in counter.most_common(_SHOWN):
            share = samples / total
            print(f"{share * each_us:8.2f} µs {share:6.1%}  {name}")


def _profile(contender: Contender, kind: str, folder: Path) -> None:
    scripts, output = wrk.write_scripts(folder), folder / "stacks.txt"
    with upstreams(folder) as fleet, ThreadPoolExecutor(1) as pool:
        place = Place(folder, free_port(), fleet.plain)
        if kind in ("tls", "new"):
            place = replace(place, upstreams=fleet.secure, ca=fleet.ca)
        with started(contender, place) as (process, _):
            _load(kind, place.port, scripts)  # what is loaded, made or learned once, then is
            before = process.cpu_ns()
            count = _load(kind, place.port, scripts)
            each_us = (process.cpu_ns() - before) / count / 1e3  # py-spy would slow it down
            load = pool.submit(_load, kind, place.port, scripts)
            time.sleep(0.3)
            _record(process.pid, output)
            load.result()
    unit = "chunk" if kind == "streams" else "call"
    print(f"{count:,.0f} {unit}s, {each_us:.1f} µs of CPU each")
    _print(output.read_text("utf-8").splitlines(), each_us)


def main() -> None:
    """Profile what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    known = {one.name: one for one in ALL if one.name in (SIDECAR, PLAIN_BUILD, "litellm")}
    parser.add_argument("name", choices=known)
    parser.add_argument("kind", choices=_KINDS, nargs="?", default="calls")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        _profile(known[arguments.name], arguments.kind, Path(folder))


if __name__ == "__main__":
    main()
