"""What fuzzers are made of: cases, faults, and the folder that keeps what once failed."""

from __future__ import annotations

import json
import zlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import ClassVar, Final, Self

from tests.fuzz.mutate import mutated

CORPUS: Final = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Case:
    """One input, with all that is needed to try it again."""

    data: bytes
    options: dict[str, str] = field(default_factory=dict)
    """How *data* is used: which caller, which parser. Each fuzzer has its own."""

    @property
    def random(self) -> Random:
        """For what is decided while the case is tried, such as where reads are cut."""
        return Random(zlib.crc32(self.data))


class Fault(Exception):
    """A case showed that something is wrong."""

    def __init__(self, kind: str, detail: object = "") -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        """A few words, the same for all cases that show the same fault."""


class Fuzzer(ABC):
    """Makes cases and tries them. It is entered once, before the first case."""

    name: ClassVar[str]
    share: ClassVar[int] = 1
    """Part of the time that it gets, beside those of the others."""
    words: ClassVar[Sequence[bytes]] = ()
    """What mutations insert, besides random bytes."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        return

    @abstractmethod
    def fresh(self, random: Random) -> Case:
        """A new case."""

    def mutate(self, random: Random, case: Case) -> Case:
        """A case that differs a little from *case*, which had a new outcome."""
        return Case(mutated(random, case.data, self.words), case.options)

    @abstractmethod
    async def check(self, case: Case) -> Hashable:
        """Try *case*. Raise Fault if something is wrong; else tell its outcome in short."""

    async def audit(self) -> None:
        """Raise Fault if the last cases together have left something behind."""
        return


@dataclass(frozen=True)
class Kept:
    """A case of the corpus: it failed once, and must not fail again."""

    fuzzer: str
    note: str
    """What went wrong."""
    case: Case


def read_kept(path: Path) -> Kept:
    """The case that *path* holds."""
    found = json.loads(path.read_text(encoding="utf-8"))
    case = Case(found["data"].encode("latin-1"), found["options"])
    return Kept(found["fuzzer"], found["note"], case)


def write_kept(kept: Kept, kind: str, folder: Path = CORPUS) -> Path:
    """Write *kept* where the corpus has its place for it."""
    slug = "-".join("".join(c if c.isalnum() else " " for c in kind.lower()).split())[:60]
    options = "".join(f"{key}={value};" for key, value in sorted(kept.case.options.items()))
    digest = zlib.crc32(kept.case.data + options.encode())
    path = folder / kept.fuzzer / f"{slug}-{digest:08x}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = {
        "fuzzer": kept.fuzzer,
        "note": kept.note,
        "options": kept.case.options,
        "data": kept.case.data.decode("latin-1"),
    }
    path.write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
    return path


def corpus(fuzzer: str, folder: Path = CORPUS) -> list[Path]:
    """The files that are kept for *fuzzer*."""
    return sorted((folder / fuzzer).glob("*.json"))
