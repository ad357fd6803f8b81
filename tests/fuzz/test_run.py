"""The runner: what it finds it keeps, makes small, and shows again from a file or a seed."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable
from pathlib import Path
from random import Random
from typing import ClassVar

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.cases import CORPUS, Case, Fault, Fuzzer, Kept, corpus, read_kept, write_kept
from tests.fuzz.run import Found, Run, report
from tests.fuzz.shrink import shrunk
from tests.fuzz.watchdog import Watchdog

ROOT = Path(__file__).parents[2]


class Stub(Fuzzer):
    """Fails for what has `#one#` or `#two#` in it, which mutations do not come to by chance."""

    name: ClassVar[str] = "stub"

    def __init__(self) -> None:
        self.tried: list[bytes] = []
        self.left = ""

    def fresh(self, random: Random) -> Case:
        return Case(random.randbytes(8))

    async def check(self, case: Case) -> Hashable:
        self.tried.append(case.data)
        for kind in (b"#one#", b"#two#"):
            if kind in case.data:
                raise Fault(kind.decode(), case.data)
        return len(self.tried) % 50

    async def audit(self) -> None:
        if self.left:
            raise Fault(self.left)


class Failing(Stub):
    """Makes such cases too."""

    def fresh(self, random: Random) -> Case:
        planted = random.choice((b"", b"", b"#one#", b"ab#two#cd"))
        return Case(random.randbytes(40) + planted, {"a": "b"})


async def run(fuzzer: Fuzzer, folder: Path, seed: str = "s", cases: int = 200) -> Run:
    """A run of about so many cases."""
    said: list[str] = []
    done = Run([fuzzer], seed, said.append, folder)
    done.said = said  # type: ignore[attr-defined]

    class Enough(Exception):
        pass

    def count(run: Run) -> None:
        if run.progress[0].count >= cases:
            raise Enough

    with pytest.raises(Enough):
        await done.go(60, count)
    return done


async def test_nothing_is_found_where_nothing_is_wrong(tmp_path: Path) -> None:
    found = await run(Stub(), tmp_path, cases=20)
    assert not found.found
    assert not corpus("stub", tmp_path)


async def test_a_fault_is_kept_small_and_told(tmp_path: Path) -> None:
    found = await run(Failing(), tmp_path)
    assert {each.fault.kind for each in found.found} == {"#one#", "#two#"}
    kept = [read_kept(path).case for path in corpus("stub", tmp_path)]
    assert kept == [Case(b"#one#", {"a": "b"}), Case(b"#two#", {"a": "b"})]
    assert sum(found.repeated.values()) > 10
    text = "\n".join(found.said)  # type: ignore[attr-defined]
    assert "FAULT in stub: #one#" in text
    assert re.search(r"again: make fuzz INPUT=\S+one-\w{8}\.json", text)
    assert "from the seed: make fuzz SEED=s ONLY=stub, case " in text
    assert "made smaller from" in text


async def test_a_seed_makes_the_same_cases(tmp_path: Path) -> None:
    one, two, other = Stub(), Stub(), Stub()
    await run(one, tmp_path / "1")
    await run(two, tmp_path / "2")
    await run(other, tmp_path / "3", "t")
    assert one.tried == two.tried != other.tried
    assert len(set(one.tried)) > 150


async def test_cases_with_new_outcomes_are_mutated(tmp_path: Path) -> None:
    found = await run(Stub(), tmp_path, cases=300)
    (progress,) = found.progress
    assert progress.outcomes == set(range(50))
    assert len(progress.pool) == 50
    tried = progress.fuzzer.tried  # type: ignore[attr-defined]
    assert any(len(data) > 8 for data in tried)


async def test_the_corpus_is_tried_first(tmp_path: Path) -> None:
    path = write_kept(Kept("stub", "why", Case(b"a#one#", {"c": "d"})), "#One#!", tmp_path)
    assert path.name.startswith("one-")
    fuzzer = Stub()
    found = await run(fuzzer, tmp_path, cases=5)
    assert fuzzer.tried[0] == b"a#one#"
    assert [(each.fault.kind, each.path, each.number) for each in found.found] == [
        ("#one#", path, -1)
    ]


async def test_what_is_left_behind_is_told(tmp_path: Path) -> None:
    fuzzer = Stub()
    fuzzer.left = "a descriptor"
    found = Run([fuzzer], "s", str, tmp_path)
    await found.go(0.01, str)
    assert fuzzer.tried
    assert [each.fault.kind for each in found.found] == ["a descriptor"]


async def test_a_fault_that_does_not_show_again_is_told_too(tmp_path: Path) -> None:
    class Once(Stub):
        async def check(self, case: Case) -> Hashable:
            self.tried.append(case.data)
            if len(self.tried) == 3:
                raise Fault("once")
            return None

    found = await run(Once(), tmp_path, cases=5)
    assert [(each.fault.kind, each.again) for each in found.found] == [("once", False)]
    assert "did not show again" in found.said[0]  # type: ignore[attr-defined]


def test_a_fault_behind_another_is_told() -> None:
    first, second = Fault("first"), Fault("second", "why")
    second.__context__ = first
    assert report(Found("stub", second), "s").splitlines() == [
        "FAULT in stub: second: why",
        "  after: first",
    ]


async def test_shrinking_keeps_the_kind_of_the_fault() -> None:
    small = await shrunk(Stub(), Case(b"a" * 300 + b"#two#" + b"b" * 300), "#two#")
    assert small.data == b"#two#"
    assert (await shrunk(Stub(), Case(b"abc"), "#one#")).data == b"abc"


def test_a_kept_case_comes_back(tmp_path: Path) -> None:
    kept = Kept("stub", "note \u00e9", Case(bytes(range(256)), {"a": "b"}))
    path = write_kept(kept, "kind", tmp_path)
    assert read_kept(path) == kept
    assert corpus("stub", tmp_path) == [path]
    assert write_kept(kept, "kind", tmp_path) == path
    assert corpus("other", tmp_path) == []


def watched(watchdog: Watchdog) -> None:
    with watchdog.watching("stub", Case(b"\xff")):
        while True:
            re.match("(a+)+b", "a" * 22)


def test_a_case_that_does_not_end_is_ended(tmp_path: Path) -> None:
    current = tmp_path / "a" / "current.json"
    watchdog = Watchdog(current, cpu=0.05)
    try:
        with pytest.raises(Fault, match="it does not end"):
            watched(watchdog)
        assert read_kept(current).case == Case(b"\xff")
        with watchdog.watching("stub", Case(b"")):
            assert json.loads(current.read_text())["data"] == ""
    finally:
        watchdog.close()
    assert not current.exists()


# -- the command --


def test_a_kept_case_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "FUZZERS", (Stub,))
    bad = write_kept(Kept("stub", "why", Case(b"#one#")), "k", tmp_path)
    good = write_kept(Kept("stub", "why", Case(b"y", {"caller": "z"})), "k", tmp_path)
    monkeypatch.setattr("sys.argv", ["fuzz", "--input", str(bad)])
    assert command.main() == 1
    assert "FAULT: #one#" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["fuzz", "--input", str(good)])
    assert command.main() == 0
    assert "1 bytes (caller: z): b'y'" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "code"), [(Stub, 0), (Failing, 1)])
def test_its_exit_code_says_whether_something_was_found(
    kind: type[Fuzzer],
    code: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "FUZZERS", (kind,))
    monkeypatch.setattr(command, "CORPUS", tmp_path)
    monkeypatch.setattr("sys.argv", ["fuzz", "--minutes", "0.005", "--seed", "5"])
    assert command.main() == code
    out = capsys.readouterr().out
    assert out.startswith("seed 5\n")
    assert re.search(r"0:00 of 0:00  stub [\d,]+  faults \d", out)


def test_names_of_fuzzers_are_told_apart() -> None:
    names = [kind.name for kind in command.FUZZERS]
    assert len(set(names)) == len(names)
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= set(names)
