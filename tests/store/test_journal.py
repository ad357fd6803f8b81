"""Journals: what is written down counts once, whenever the process is killed."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
import tempfile
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.policy.spending import BudgetSettings, Change, Row, Spending
from sidecar.store import journal as journal_module
from sidecar.store.book import Book
from sidecar.store.journal import NOTHING, Journal, Marks, changes, of_the_dead, remove
from sidecar.store.ledger import Ledger, read

ROW = Row("b", "tokens", "team", "2026-11")
OTHER = Row("b", "money", 'a "name"\n', "2026-11-27")
BUDGET = BudgetSettings("b", "tokens", 100.0, "month")
NOW = 1_795_737_600.0


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


def killed(journal: Journal) -> None:
    """Let go of the locks of its files, as the end of a process does."""
    if journal._fd is not None:
        os.close(journal._fd)
    for _, fd in journal._done.values():
        os.close(fd)
    journal._fd, journal._done = None, {}


def journals(path: str) -> list[Path]:
    return list(Path(path).parent.glob("*-journal-*"))


def test_the_journal_of_a_process_that_is_gone_is_added_once(path: str) -> None:
    journal = Journal(path)
    for spent in (1.0, 2.0):
        journal.add(ROW, Change(spent, 100.0))
    journal.add(OTHER, Change(0.5, 9.0))
    assert read(path) == {}  # it lives
    killed(journal)
    assert read(path) == {ROW: 3.0, OTHER: 0.5}
    assert read(path) == {ROW: 3.0, OTHER: 0.5}
    assert journals(path) == []


def test_what_the_ledger_has_is_not_added_again(path: str) -> None:
    journal = Journal(path)
    journal.add(ROW, Change(1.0, 100.0))
    with closing(Ledger(path)) as ledger:
        ledger.add({ROW: Change(1.0, 100.0)}, journal.marks())
    journal.add(ROW, Change(4.0, 100.0))
    killed(journal)
    assert read(path) == {ROW: 5.0}


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_line_that_was_cut_off_ends_it(path: str, cut: int) -> None:
    journal = Journal(path)
    journal.add(ROW, Change(1.0, 100.0))
    journal.add(ROW, Change(2.0, 100.0))
    killed(journal)
    (file,) = journals(path)
    os.truncate(file, file.stat().st_size - cut)
    assert read(path) == {ROW: 1.0}


@given(
    st.lists(st.tuples(st.sampled_from([ROW, OTHER]), st.integers(0, 99)), max_size=8), st.data()
)
def test_a_journal_is_read_from_any_line(drawn: list[tuple[Row, int]], data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(f"{folder}/l")
        sizes = [0]
        for row, spent in drawn:
            journal.add(row, Change(spent, 1.0))
            sizes.append(journal._size)
        said = b"".join(file.read_bytes() for file in journals(f"{folder}/l"))
        killed(journal)
    since = data.draw(st.integers(0, len(drawn)))
    sums: dict[Row, Change] = {}
    for row, spent in drawn[since:]:
        sums[row] = Change(spent + (sums[row].spent if row in sums else 0.0), 1.0)
    assert changes(said, sizes[since]) == sums


class Process:
    """As a book is, without its thread: the ledger's part is done when it is told to."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.spending = Spending(read(path), 10)
        self.journal = Journal(path)
        self.ledger = Ledger(path)
        self.batch: tuple[dict[Row, Change], Marks] = {}, NOTHING

    def spend(self, spent: float) -> None:
        self.spending.add(ROW, spent, 100.0)
        self.journal.add(ROW, Change(spent, 100.0))

    def begin(self) -> None:
        if batch := self.spending.begin_writing():
            self.batch = dict(batch), self.journal.marks()

    def write(self, *, fails: bool) -> None:
        batch, marks = self.batch
        self.batch = {}, NOTHING
        if not batch:
            return
        if fails:
            self.spending.not_written()
            return
        self.ledger.add(batch, marks)
        remove(self.path, marks.done)
        self.spending.wrote(self.ledger.news())
        self.journal.written(marks)

    def kill(self, *, in_the_ledger: bool) -> None:
        batch, marks = self.batch
        if batch and in_the_ledger:
            self.ledger.add(batch, marks)
        killed(self.journal)
        self.ledger.close()


STEPS = st.lists(
    st.sampled_from(["spend", "spend", "begin", "write", "fail", "kill", "kill_late", "clean"]),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 200))
def test_nothing_is_lost_and_nothing_counts_twice(steps: list[str], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_module, "MOST", most)
        path, total = f"{folder}/ledger.db", 0.0
        process = Process(path)
        for step in [*steps, "kill"]:
            match step:
                case "spend":
                    process.spend(1.0)
                    total += 1.0
                case "begin":
                    process.begin()
                case "write" | "fail":
                    process.write(fails=step == "fail")
                case "clean":
                    process.ledger.clean(datetime.fromtimestamp(NOW, UTC))
                case _:
                    process.kill(in_the_ledger=step == "kill_late")
                    process = Process(path)
                    assert process.spending.spent(ROW) == total
            assert process.spending.spent(ROW) == total
        process.kill(in_the_ledger=False)
        assert read(path) == ({ROW: total} if total else {})
        assert journals(path) == []


def test_a_full_journal_is_followed_by_another_and_deleted(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MOST", 100)
    process = Process(path)
    for _ in range(10):
        process.spend(1.0)
    assert 1 < len(journals(path)) <= 10
    process.begin()
    process.write(fails=False)
    assert len(journals(path)) <= 1
    process.kill(in_the_ledger=False)
    assert read(path) == {ROW: 10.0}


def test_journals_are_bounded_while_the_ledger_takes_nothing(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MOST", 50)
    process = Process(path)
    for _ in range(100):
        process.spend(1.0)
    assert len(journals(path)) == 16
    process.begin()
    process.write(fails=False)
    process.spend(1.0)
    process.kill(in_the_ledger=False)
    assert read(path) == {ROW: 101.0}


async def test_a_disk_that_is_full_costs_no_call(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    book = Book(path, 10)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        assert book.add(BUDGET, "team", 1.0, NOW) == 1.0
        assert book.add(BUDGET, "team", 1.0, NOW) == 2.0
    assert book.errors == 1
    assert caplog.text.count("No space left on device") == 1
    await book.retire()
    assert sum(read(path).values()) == 2.0
    assert journals(path) == []


def test_the_journal_of_a_living_process_is_left_alone(path: str) -> None:
    journal = Journal(path)
    journal.add(ROW, Change(1.0, 100.0))
    journal.close()  # full: still its own
    Path(path).touch()
    assert list(of_the_dead(path)) == []
    assert len(journals(path)) == 1
    killed(journal)
    assert len(list(of_the_dead(path))) == 1
    assert journals(path) == []


LINE = b'["b","tokens","team","2026-11",1.5,100]\n'


def a_pipe(file: Path) -> None:
    os.mkfifo(file)


def a_link(file: Path) -> None:
    target = file.with_name("other")
    target.write_bytes(LINE)
    file.symlink_to(target)


def an_endless_link(file: Path) -> None:
    file.symlink_to("/dev/zero")


def a_huge_file(file: Path) -> None:
    with file.open("wb") as made:
        made.truncate(1 << 40)


def a_socket(file: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(file))


@pytest.mark.parametrize(
    "make", [Path.mkdir, a_pipe, a_link, an_endless_link, a_huge_file, a_socket]
)
def test_what_only_has_the_name_of_a_journal_is_told_of_and_left_alone(
    path: str, make: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    file = Path(f"{path}-journal-0")
    make(file)
    Path(f"{path}-journal-1").write_bytes(LINE)
    assert read(path) == {ROW: 1.5}
    assert f"{file} is not read" in caplog.text
    assert os.path.lexists(file)


def test_a_journal_of_another_user_is_left_alone(
    path: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    read(path)
    file = Path(f"{path}-journal-0")
    file.write_bytes(LINE)
    real = os.fstat

    def theirs(fd: int) -> os.stat_result:
        found = list(real(fd))
        found[stat.ST_UID] = 4242
        return os.stat_result(found)

    monkeypatch.setattr(os, "fstat", theirs)
    assert read(path) == {}
    assert "another user's" in caplog.text
    assert file.exists()


@pytest.mark.parametrize(
    "line",
    [
        b'["b","tokens","team","2026-11",-9000,100]',
        b'["b","tokens","team","2026-11",1e308,100]',
        b'["b","tokens","team","2026-11",1e400,100]',
        b'["b","tokens","team","2026-11",NaN,100]',
        b'["b","tokens","team","2026-11",Infinity,100]',
        b'["b","tokens","team","2026-11","1",100]',
        b'["b","tokens","team","2026-11",1]',
        b'["b","tokens","team","zzzz",1,100]',
        b'["b","apples","team","2026-11",1,100]',
        b"[1,2,3,4,5,6]",
        b"[" * 100_000,
        b'["\xff","tokens","team","2026-11",1,100]',
        b"\0" * 4096,
        b"",
    ],
)
def test_a_line_that_nobody_has_written_so_is_passed_over(line: bytes) -> None:
    said = LINE + line + b"\n" + LINE
    assert changes(said, 0) == {ROW: Change(3.0, 100.0)}


def test_more_journals_than_there_are_descriptors_are_read(path: str) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(300):
        Path(f"{path}-journal-{number}").write_bytes(LINE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, limits[1]))
    try:
        assert read(path) == {ROW: 450.0}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert journals(path) == []


def test_a_ledger_may_have_a_name_with_brackets(tmp_path: Path) -> None:
    path = str(tmp_path / "a[1]*.db")
    Path(f"{path}-journal-0").write_bytes(LINE)
    assert read(path) == {ROW: 1.5}
