from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from sidecar.control import watcher
from sidecar.control.watcher import FileWatch, contents

HOUR = 3600.0
"""A poll that never comes: what is noticed was notified."""


class Watched:
    """A watch over *paths*, and what the first of them held at each call of `changed`."""

    def __init__(self, *paths: Path, poll: float = HOUR) -> None:
        self.paths = list(paths)
        self.looks = 0
        self.calls: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        self.idle = asyncio.Event()
        self.adds: list[Path] = []
        self.fails = 0
        self.watch = FileWatch(self.list_paths, self.changed, debounce=0.2, poll=poll)

    def list_paths(self) -> list[Path]:
        self.looks += 1
        return self.paths

    async def changed(self) -> None:
        texts = {p.name: p.read_text() if p.exists() else "-" for p in self.paths}
        self.calls.put_nowait(texts)
        self.paths += self.adds
        self.adds = []
        if self.fails:
            self.fails -= 1
            raise ValueError("line 3: not what was expected")

    async def resting(self) -> None:
        """Wait until the watch has nothing to do but wait."""
        self.idle.clear()
        await self.idle.wait()


Script = Callable[[Watched], Awaitable[None]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Watched, Script], None]:
    """Run a script beside a watch, telling the script each time that the watch rests."""

    async def both(watched: Watched, script: Script) -> None:
        loop, wait = asyncio.get_running_loop(), watcher._Watching.wait

        def telling(watching: watcher._Watching) -> None:
            loop.call_soon_threadsafe(watched.idle.set)
            wait(watching)

        monkeypatch.setattr(watcher._Watching, "wait", telling)
        task = asyncio.create_task(watched.watch.run())
        try:
            await watched.idle.wait()
            await script(watched)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    return lambda watched, script: asyncio.run(both(watched, script))


Run = Callable[[Watched, Script], None]


def write(path: Path, text: str) -> None:
    """Truncate and write, in place."""
    path.write_text(text)


def rename(path: Path, text: str) -> None:
    """Write beside *path* and rename over it, as editors and careful programs do."""
    draft = path.with_name(".draft.swp")
    draft.write_text(text)
    draft.rename(path)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mount" / "sidecar.yaml"
    path.parent.mkdir()
    path.write_text("one")
    return path


def test_written_in_place(run: Run, config: Path) -> None:
    async def script(watched: Watched) -> None:
        write(config, "two")
        assert (await watched.calls.get())["sidecar.yaml"] in ("two", "")
        write(config, "three")
        while (await watched.calls.get())["sidecar.yaml"] != "three":
            pass

    run(Watched(config), script)


def test_a_half_written_file_is_read_again_when_it_is_whole(run: Run, config: Path) -> None:
    async def script(watched: Watched) -> None:
        watched.fails = 1  # what the caller makes of half a file
        with config.open("w") as file:
            file.write("listeners: [")
            file.flush()
            while (await watched.calls.get())["sidecar.yaml"] != "listeners: [":
                watched.fails = 1
            file.write("]")
        assert await watched.calls.get() == {"sidecar.yaml": "listeners: []"}

    run(Watched(config), script)


def test_renamed_over_as_editors_do_again_and_again(run: Run, config: Path) -> None:
    async def script(watched: Watched) -> None:
        for text in ("two", "three", "four"):
            rename(config, text)
            assert await watched.calls.get() == {"sidecar.yaml": text}
            await watched.resting()

    run(Watched(config), script)


def test_deleted_and_created_again(run: Run, config: Path) -> None:
    async def script(watched: Watched) -> None:
        os.unlink(config)
        assert await watched.calls.get() == {"sidecar.yaml": "-"}
        await watched.resting()
        rename(config, "two")
        assert await watched.calls.get() == {"sidecar.yaml": "two"}

    run(Watched(config), script)


class ConfigMap:
    """A volume as the kubelet's AtomicWriter keeps it.

    Each version is a hidden directory; `..data` points to the current one and is replaced by a
    rename; files are links through it; the old version is removed after.
    """

    def __init__(self, mount: Path) -> None:
        self.mount = mount
        self.version = 0

    def publish(self, **files: str) -> None:
        self.version += 1
        new = self.mount / f"..2026_11_23_19_00_{self.version:02}.123456789"
        old = (self.mount / "..data").resolve()
        new.mkdir()
        for name, text in files.items():
            (new / name).write_text(text)
        (self.mount / "..data_tmp").symlink_to(new.name)
        (self.mount / "..data_tmp").rename(self.mount / "..data")
        for name in files:
            if not (self.mount / name).is_symlink():
                (self.mount / name).symlink_to(f"..data/{name}")
        if old.name.startswith("..2026"):
            shutil.rmtree(old)


def test_a_config_map_swapped_again_and_again(run: Run, tmp_path: Path) -> None:
    volume = ConfigMap(tmp_path)
    volume.publish(config="one")

    async def script(watched: Watched) -> None:
        for text in ("two", "three", "four"):
            volume.publish(config=text)
            assert await watched.calls.get() == {"config": text}
            await watched.resting()

    run(Watched(tmp_path / "config"), script)


def test_a_referenced_secret_in_another_directory(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    volume = ConfigMap(tmp_path / "secret")
    volume.publish(key="k1")

    async def script(watched: Watched) -> None:
        volume.publish(key="k2")
        assert await watched.calls.get() == {"sidecar.yaml": "one", "key": "k2"}

    run(Watched(config, tmp_path / "secret" / "key"), script)


def test_a_file_that_is_referenced_from_now_on(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    key = tmp_path / "secret" / "key"
    key.write_text("k1")

    async def script(watched: Watched) -> None:
        watched.adds = [key]
        rename(config, "two")
        assert await watched.calls.get() == {"sidecar.yaml": "two"}
        # It may have changed since the caller read it: told once more.
        assert await watched.calls.get() == {"sidecar.yaml": "two", "key": "k1"}
        await watched.resting()
        rename(key, "k2")
        assert await watched.calls.get() == {"sidecar.yaml": "two", "key": "k2"}

    run(Watched(config), script)


def test_the_directory_deleted_and_recreated(run: Run, config: Path) -> None:
    async def script(watched: Watched) -> None:
        for text in ("two", "three"):
            shutil.rmtree(config.parent)
            assert await watched.calls.get() == {"sidecar.yaml": "-"}
            await watched.resting()
            draft = config.parent.with_name("draft")
            draft.mkdir()
            (draft / config.name).write_text(text)
            draft.rename(config.parent)
            assert await watched.calls.get() == {"sidecar.yaml": text}
            await watched.resting()

    run(Watched(config), script)


def test_the_directory_replaced_in_one_go(run: Run, config: Path) -> None:
    async def script(watched: Watched) -> None:
        for text in ("two", "three"):  # the second shows that the new directory is watched
            shutil.rmtree(config.parent)
            config.parent.mkdir()
            write(config, text)
            while (await watched.calls.get())["sidecar.yaml"] != text:
                pass
            await watched.resting()

    run(Watched(config), script)


def test_a_path_whose_directories_do_not_exist_yet(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "sidecar.yaml"

    async def script(watched: Watched) -> None:
        path.parent.mkdir(parents=True)
        rename(path, "one")
        assert await watched.calls.get() == {"sidecar.yaml": "one"}

    run(Watched(path), script)


def test_the_same_text_again_is_no_change(run: Run, config: Path) -> None:
    async def script(watched: Watched) -> None:
        rename(config, "one")
        os.utime(config)
        looks = watched.looks
        while watched.looks < looks + 3:
            await watched.resting()
        assert watched.calls.empty()

    run(Watched(config, poll=0.05), script)


def test_a_change_that_gives_no_event_is_found_by_the_poll(run: Run, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "here").mkdir()
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "here" / "sidecar.yaml"
    target.write_text("one")
    link.symlink_to(target)

    async def script(watched: Watched) -> None:
        rename(target, "two")
        assert await watched.calls.get() == {"sidecar.yaml": "two"}

    run(Watched(link, poll=0.05), script)


def test_a_failing_change_does_not_end_the_watch(
    run: Run, config: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(watched: Watched) -> None:
        watched.fails = 1
        for text in ("bad", "good"):
            rename(config, text)
            assert await watched.calls.get() == {"sidecar.yaml": text}
            await watched.resting()

    run(Watched(config), script)
    assert "was not taken up" in caplog.text


def test_what_changed_before_the_watch_began_is_told(config: Path) -> None:
    async def script() -> None:
        known = contents([config])
        write(config, "two")
        told = asyncio.Event()

        async def changed() -> None:
            told.set()

        watch = FileWatch(lambda: [config], changed, known=known, poll=HOUR)
        task = asyncio.create_task(watch.run())
        await told.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(script())


def test_told_to_look_again_it_asks_for_the_paths_anew(
    run: Run, config: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").write_text("two")

    async def script(watched: Watched) -> None:
        for _ in range(2):
            watched.watch.look_again()
            await watched.resting()
        assert watched.calls.empty()
        watched.paths = [tmp_path / "elsewhere"]
        watched.watch.look_again()
        assert await watched.calls.get() == {"elsewhere": "two"}
        await watched.resting()
        rename(tmp_path / "elsewhere", "three")  # it is watched from now on
        assert await watched.calls.get() == {"elsewhere": "three"}

    run(Watched(config), script)


def test_without_notifications_it_polls(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from watchfiles import _rust_notify

    def no_watches_left(*_: object) -> None:
        raise OSError(28, "inotify watch limit reached")

    monkeypatch.setattr(_rust_notify, "RustNotify", no_watches_left)

    async def script(watched: Watched) -> None:
        rename(config, "two")
        assert await watched.calls.get() == {"sidecar.yaml": "two"}

    run(Watched(config, poll=0.05), script)
    assert "only polled" in caplog.text


def test_notifications_that_fail_are_begun_again(
    run: Run, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from watchfiles import _rust_notify

    real, made = _rust_notify.RustNotify, []

    class Broken:
        def __init__(self, *_: object) -> None:
            made.append(self)
            monkeypatch.setattr(_rust_notify, "RustNotify", real)

        def watch(self, *_: object) -> None:
            raise RuntimeError("queue overflow")

        def close(self) -> None:
            pass

    monkeypatch.setattr(_rust_notify, "RustNotify", Broken)
    monkeypatch.setattr(watcher, "_PAUSE", 0.0)

    async def script(watched: Watched) -> None:
        rename(config, "two")
        assert await watched.calls.get() == {"sidecar.yaml": "two"}

    run(Watched(config), script)
    assert len(made) == 1
