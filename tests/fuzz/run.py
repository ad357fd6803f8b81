"""The rounds of a run: first what once failed, then new cases, each fuzzer for its share."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.fuzz.cases import CORPUS, Case, Fault, Fuzzer, Kept, corpus, read_kept, write_kept
from tests.fuzz.shrink import fails_so, shrunk
from tests.fuzz.watchdog import Watchdog

_ROUND: Final = 2.0
"""Seconds of a round for each share: several rounds, so that a short run tries everything."""
_POOL: Final = 500
"""Cases with new outcomes that are kept for mutation."""
_OUTCOMES: Final = 20_000
_FROM_POOL: Final = 0.3
"""Share of the cases that mutate one of the pool."""

Say = Callable[[str], object]


@dataclass
class Progress:
    """How far one fuzzer is."""

    fuzzer: Fuzzer
    count: int = 0
    pool: list[Case] = field(default_factory=list)
    outcomes: set[Hashable] = field(default_factory=set)


@dataclass
class Found:
    """A fault, and how to see it again."""

    fuzzer: str
    fault: Fault
    path: Path | None = None
    number: int = -1
    """Of the case, from 0; -1 for one of the corpus."""
    again: bool = True
    """It showed itself again when the case was tried alone."""
    size: int = 0
    """Bytes, before it was made smaller."""


class Run:
    """Tries cases of *fuzzers*, all made from *seed*."""

    def __init__(
        self, fuzzers: Sequence[Fuzzer], seed: str, say: Say, folder: Path = CORPUS
    ) -> None:
        self.seed = seed
        self.progress = [Progress(fuzzer) for fuzzer in fuzzers]
        self.found: list[Found] = []
        self.repeated: Counter[tuple[str, str]] = Counter()
        """Cases beyond the first, by fuzzer and kind of fault."""
        self._say = say
        self._folder = folder
        self._watchdog = Watchdog()

    async def go(self, seconds: float, on_case: Callable[[Run], object]) -> None:
        """Try the corpus, and then new cases for *seconds*; call *on_case* behind each."""
        try:
            for progress in self.progress:
                await self._try_corpus(progress.fuzzer)
            shares = sum(progress.fuzzer.share for progress in self.progress)
            rounds = max(1, round(seconds / (shares * _ROUND)))
            for _ in range(rounds):
                for progress in self.progress:
                    await self._round(
                        progress, seconds * progress.fuzzer.share / shares / rounds, on_case
                    )
        finally:
            self._watchdog.close()

    async def _try_corpus(self, fuzzer: Fuzzer) -> None:
        paths = corpus(fuzzer.name, self._folder)
        if not paths:
            return
        async with fuzzer:
            for path in paths:
                try:
                    await self._try(fuzzer, read_kept(path).case)
                except Fault as fault:
                    self._tell(Found(fuzzer.name, fault, path))

    async def _try(self, fuzzer: Fuzzer, case: Case) -> Hashable:
        with self._watchdog.watching(fuzzer.name, case):
            return await fuzzer.check(case)

    async def _round(
        self, progress: Progress, seconds: float, on_case: Callable[[Run], object]
    ) -> None:
        self._watchdog.round(seconds)
        end = time.monotonic() + seconds
        async with progress.fuzzer:
            while time.monotonic() < end:
                await self._new_case(progress)
                on_case(self)
            try:
                await progress.fuzzer.audit()
            except Fault as fault:
                self._tell(Found(progress.fuzzer.name, fault, number=progress.count))

    async def _new_case(self, progress: Progress) -> None:
        fuzzer = progress.fuzzer
        random = Random(f"{self.seed}/{fuzzer.name}/{progress.count}")
        if progress.pool and random.random() < _FROM_POOL:
            case = fuzzer.mutate(random, random.choice(progress.pool))
        else:
            case = fuzzer.fresh(random)
        progress.count += 1
        try:
            outcome = await self._try(fuzzer, case)
        except Fault as fault:
            await self._on_fault(progress, case, fault)
            return
        if outcome not in progress.outcomes and len(progress.outcomes) < _OUTCOMES:
            progress.outcomes.add(outcome)
            if len(progress.pool) < _POOL:
                progress.pool.append(case)
            else:
                progress.pool[random.randrange(_POOL)] = case

    async def _on_fault(self, progress: Progress, case: Case, fault: Fault) -> None:
        """Keep the first case of each kind, as small as it can be made."""
        fuzzer = progress.fuzzer
        if any(
            (known.fuzzer, known.fault.kind) == (fuzzer.name, fault.kind) for known in self.found
        ):
            self.repeated[fuzzer.name, fault.kind] += 1
            return
        again = await fails_so(fuzzer, case, fault.kind)
        small = await shrunk(fuzzer, case, fault.kind) if again else case
        kept = Kept(fuzzer.name, str(fault)[:300], small)
        path = write_kept(kept, fault.kind, self._folder)
        self._tell(Found(fuzzer.name, fault, path, progress.count - 1, again, len(case.data)))

    def _tell(self, found: Found) -> None:
        self.found.append(found)
        self._say(report(found, self.seed))


def report(found: Found, seed: str) -> str:
    """What went wrong, and the commands that show it again."""
    lines = [f"FAULT in {found.fuzzer}: {str(found.fault)[:2000]}"]
    if isinstance(found.fault.__context__, Fault):  # it was on its way when this one was noticed
        lines.append(f"  after: {str(found.fault.__context__)[:2000]}")
    if found.path is not None:
        size = f", made smaller from {found.size} bytes" if found.size else ""
        lines.append(f"  kept:  {_relative(found.path)}{size}")
        lines.append(f"  again: make fuzz INPUT={_relative(found.path)}")
    if not found.again:
        lines.append("  It did not show again by itself: what came before it matters, or the time.")
    if found.number >= 0:
        lines.append(
            f"  from the seed: make fuzz SEED={seed} ONLY={found.fuzzer}, case {found.number}"
        )
    return "\n".join(lines)


def _relative(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
