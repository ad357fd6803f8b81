"""A file as a source of configuration."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from sidecar.control import watcher
from sidecar.control.sources.base import Source
from sidecar.control.sources.file import FileSource
from tests.sockets.peers import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "sidecar.yaml"
    path.write_text("one")
    return path


def test_it_tells_its_name_and_a_digest(path: Path) -> None:
    source: Source = FileSource(path)
    digest = hashlib.sha256(b"one").hexdigest()
    assert source.read() == ("one", digest[:12])
    assert (source.stats.name, source.stats.revision) == (str(path), digest[:12])
    assert source.stats.last_heard
    assert source.stats.last_error == ""


def test_what_is_no_utf_8_is_read_for_its_errors_to_be_told(path: Path) -> None:
    path.write_bytes(b"a: \xff")
    assert FileSource(path).read().text == "a: \ufffd"


def test_one_that_is_gone_is_an_error_until_it_is_back(path: Path) -> None:
    source = FileSource(path)
    source.read()
    before = source.stats.revision, source.stats.last_heard
    path.unlink()
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            source.read()
    assert source.stats.errors == 2
    assert "No such file" in source.stats.last_error
    assert (source.stats.revision, source.stats.last_heard) == before
    path.write_text("two")
    source.read()
    assert (source.stats.errors, source.stats.last_error) == (2, "")


async def watched(source: FileSource) -> tuple[asyncio.Event, asyncio.Task[None]]:
    told = asyncio.Event()

    async def changed() -> None:
        source.read()
        told.set()

    return told, asyncio.create_task(source.watch(changed))


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("between", ["one", "two", None])
async def test_what_changed_since_it_was_read_is_told(path: Path, between: str | None) -> None:
    source = FileSource(path)
    source.read()
    if between is not None:  # read by somebody else than the watch, which began with "one"
        write(path, between)
        source.read()
    write(path, "one" if between == "two" else "two")
    before = source.stats.revision
    told, task = await watched(source)
    await told.wait()
    assert source.stats.revision != before
    await ended(task)


async def test_a_text_that_others_have_read_meanwhile_is_the_known_one(path: Path) -> None:
    source = FileSource(path)
    source.read()
    told, task = await watched(source)
    write(path, "two")
    source.read()  # a reload that a signal asked for, before the watch has looked
    write(path, "one")
    await until(lambda: source.stats.revision == hashlib.sha256(b"one").hexdigest()[:12])
    assert told.is_set()
    await ended(task)


def write(path: Path, text: str) -> None:
    path.write_text(text)


async def test_it_is_heard_from_while_nothing_changes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = partial(watcher.FileWatch, poll=0.01)
    monkeypatch.setattr("sidecar.control.sources.file.FileWatch", quick)
    source = FileSource(path)
    source.read()
    source.stats.last_heard = 1.0
    told, task = await watched(source)
    await until(lambda: source.stats.last_heard > 1.0)
    assert not told.is_set()
    await ended(task)
