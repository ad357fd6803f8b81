"""The ledger: a file that several processes add to, that can be killed at any moment."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest

from sidecar import cli
from sidecar.policy.spending import BudgetSettings, Change, Row
from sidecar.store.book import Book
from sidecar.store.ledger import Ledger, read, read_shared
from tests.sockets.peers import until

ROW = Row("b", "tokens", "team", "2026-11")
BUDGET = BudgetSettings("b", "tokens", 100.0, "month")
NOW = datetime(2026, 11, 27, tzinfo=UTC).timestamp()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "ledger.db")


def add(path: str, row: Row, spent: float, amount: float = 100.0) -> None:
    with closing(Ledger(path)) as ledger:
        ledger.add({row: Change(spent, amount)})


def test_sums_are_kept(path: str) -> None:
    add(path, ROW, 1.0)
    add(path, ROW, 2.5)
    add(path, ROW._replace(client="other"), 4.0)
    assert read(path) == {ROW: 3.5, ROW._replace(client="other"): 4.0}


def test_only_what_is_new_is_read_again(path: str) -> None:
    with closing(Ledger(path)) as ledger:
        add(path, ROW, 1.0)
        add(path, ROW._replace(client="other"), 1.0)
        assert len(ledger.news()) == 2
        assert ledger.news() == {}
        add(path, ROW, 1.0)
        assert ledger.news() == {ROW: 2.0}


def test_writers_side_by_side_lose_nothing(path: str) -> None:
    def write() -> None:
        with closing(Ledger(path)) as ledger:
            for _ in range(50):
                ledger.add({ROW: Change(1.0, 100.0)})

    threads = [Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read(path) == {ROW: 200.0}


def test_a_batch_that_fails_leaves_nothing(path: str) -> None:
    with closing(Ledger(path)) as ledger:
        bad = ROW._replace(client=None)  # type: ignore[arg-type]
        with pytest.raises(sqlite3.Error):
            ledger.add({ROW: Change(1.0, 1.0), bad: Change(1.0, 1.0)})
        ledger.add({ROW: Change(2.0, 1.0)})
    assert read(path) == {ROW: 2.0}


def test_old_sums_are_deleted(path: str) -> None:
    old = ROW._replace(period="2025-09-30T23")
    add(path, old, 1.0)
    add(path, ROW, 1.0)
    with closing(Ledger(path)) as ledger:
        ledger.clean(datetime(2026, 11, 27, tzinfo=UTC))
    assert read(path) == {ROW: 1.0}


@pytest.mark.parametrize("content", [b"not a database" * 100, None])
def test_what_is_no_ledger_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "gone" / "ledger.db" if content is None else tmp_path / "ledger.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OSError, match="cannot open the ledger"):
        read(str(path))


async def test_two_books_see_each_others_sums(path: str) -> None:
    one, two = Book(path, 10), Book(path, 10)
    for book, spent in ((one, 5.0), (two, 7.0)):
        assert book.spent(BUDGET, "team", NOW) == 0.0
        assert book.add(BUDGET, "team", spent, NOW) == spent
    await until(lambda: one.spent(BUDGET, "team", NOW) == 12.0 == two.spent(BUDGET, "team", NOW))
    for book in (one, two):
        await book.retire()
    assert read(path) == {ROW: 12.0}
    assert Book(path, 10).spending.spent(ROW) == 12.0


async def test_what_is_spent_last_is_written_too(path: str) -> None:
    book = Book(path, 10)
    for _ in range(100):
        book.add(BUDGET, "team", 1.0, NOW)
    await book.retire()
    assert read(path) == {ROW: 100.0}
    book.add(BUDGET, "team", 1.0, NOW)  # a call that ended after the reload
    await until(lambda: read(path) == {ROW: 101.0})
    await until(lambda: book._writer is None)


def put_a_folder_there(path: str) -> None:
    for each in (path, path + "-wal", path + "-shm"):
        Path(each).unlink(missing_ok=True)
    os.mkdir(path)


async def test_a_ledger_that_cant_be_written_is_written_later(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    book = Book(path, 10)
    put_a_folder_there(path)
    book.add(BUDGET, "team", 1.0, NOW)
    await until(lambda: book.errors > 0)
    assert book.add(BUDGET, "team", 1.0, NOW) == 2.0  # budgets go on
    os.rmdir(path)
    await until(lambda: os.path.isfile(path) and read(path) == {ROW: 2.0})
    await until(lambda: len(caplog.records) == 2)
    await book.retire()
    told = [record.message.partition(":")[0] for record in caplog.records]
    assert told == ["the ledger can't be written", "the ledger can be written again"]


def test_the_command_prints_a_table_and_csv(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    add(path, ROW, 50.0)
    money = Row("m", "money", 'a,"b"\n', "2026-11-27")
    add(path, money, 0.1 + 0.2, 10.0)
    with closing(Ledger(path)) as ledger:  # of shared budgets
        others = {money: Change(4.0, 10.0), Row("z", "tokens", "", "2026-11-27"): Change(7.0, 10.0)}
        ledger.note_others({money: Change(1.0, 5.0)})
        ledger.note_others(others)
    name, known = read_shared(path)
    assert (name, len(name)) == (read_shared(path)[0], 32)
    assert list(known.values()) == [4.0, 7.0]
    assert cli.main(["budget", path]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "period      budget  client   unit    spent  others  amount  share",
        "2026-11     b       team     tokens  50             100     50%",
        '2026-11-27  m       a,"b"\\n  money   0.3    4       10      43%',
        "2026-11-27  z                tokens  0      7       10      70%",
    ]
    assert cli.main(["budget", path, "--csv", "--budget", "m"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "period,budget,client,unit,spent,others,amount",
        '2026-11-27,m,"a,""b""\\n",money,0.3,4,10',
    ]
    assert cli.main(["budget", path, "--csv", "--period", "2026-10"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_the_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["budget", str(tmp_path / "gone.db")]) == 1
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "gone.db").exists()
    (tmp_path / "text").write_bytes(b"text" * 1000)
    assert cli.main(["budget", str(tmp_path / "text")]) == 1
    assert "cannot open the ledger" in capsys.readouterr().err
