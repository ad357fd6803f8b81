"""`make fuzz`: see docs/fuzzing.md."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from pathlib import Path
from typing import Final

import uvloop

from tests.fuzz.cases import CORPUS, Case, Fault, Fuzzer, read_kept
from tests.fuzz.fuzz_events import EventFuzzer
from tests.fuzz.fuzz_first import FirstBytesFuzzer
from tests.fuzz.fuzz_growth import GrowthFuzzer
from tests.fuzz.fuzz_parsers import ParserFuzzer
from tests.fuzz.fuzz_proxied import ProxyFuzzer
from tests.fuzz.fuzz_replies import ReplyFuzzer
from tests.fuzz.fuzz_requests import RequestFuzzer
from tests.fuzz.fuzz_yaml import YamlFuzzer
from tests.fuzz.run import Run

FUZZERS: Final[tuple[type[Fuzzer], ...]] = (
    RequestFuzzer,
    ReplyFuzzer,
    ProxyFuzzer,
    FirstBytesFuzzer,
    ParserFuzzer,
    EventFuzzer,
    YamlFuzzer,
    GrowthFuzzer,
)
_EVERY: Final = 5.0
"""Seconds between two lines of progress."""


class Ticker:
    """Tells how far a run is."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = self._last = time.monotonic()

    def __call__(self, run: Run) -> None:
        now = time.monotonic()
        if now - self._last >= _EVERY:
            self._last = now
            self.tell(run)

    def tell(self, run: Run) -> None:
        """One line: time, cases of each fuzzer, faults."""
        counts = "  ".join(f"{each.fuzzer.name} {each.count:,}" for each in run.progress)
        passed = min(self._seconds, time.monotonic() - self._began)
        print(
            f"{_clock(passed)} of {_clock(self._seconds)}  {counts}  faults {len(run.found)}",
            flush=True,
        )


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


async def _fuzz(names: list[str], seconds: float, seed: str) -> int:
    fuzzers = [kind() for kind in FUZZERS if not names or kind.name in names]
    print(f"seed {seed}", flush=True)
    run, ticker = Run(fuzzers, seed, print, CORPUS), Ticker(seconds)
    await run.go(seconds, ticker)
    ticker.tell(run)
    for (name, kind), count in run.repeated.items():
        print(f"{name}: {kind}: {count} more cases")
    print(f"{len(run.found)} faults" if run.found else "no fault was found")
    return 1 if run.found else 0


async def _again(path: Path) -> int:
    kept = read_kept(path)
    fuzzer = next(kind() for kind in FUZZERS if kind.name == kept.fuzzer)
    print(f"{kept.fuzzer}: {kept.note}\n{shown(kept.case)}")
    async with fuzzer:
        try:
            outcome = await fuzzer.check(kept.case)
        except Fault as fault:
            print(f"FAULT: {fault}")
            return 1
    print(f"all is well: {outcome}")
    return 0


def shown(case: Case) -> str:
    """A case for people."""
    options = ", ".join(f"{key}: {value}" for key, value in case.options.items() if value)
    return f"{len(case.data)} bytes ({options}): {case.data[:4000]!r}"


def main() -> int:
    """Fuzz, or try one case again. 1 if something is wrong."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", default=secrets.token_hex(4))
    parser.add_argument("--only", nargs="*", default=[], choices=[kind.name for kind in FUZZERS])
    parser.add_argument("--input", type=Path)
    arguments = parser.parse_args()
    if arguments.input is not None:
        return uvloop.run(_again(arguments.input))
    return uvloop.run(_fuzz(arguments.only, arguments.minutes * 60, arguments.seed))


if __name__ == "__main__":
    sys.exit(main())
