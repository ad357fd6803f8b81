"""Keys whose files come after the start, and a start with a text that is bad."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from sidecar.cli import main
from sidecar.config.load import ConfigErrors, load
from sidecar.control import termination
from sidecar.control.reload import Reloader
from sidecar.control.serving import Serving
from sidecar.control.sources.file import FileSource
from sidecar.control.sources.kept import Kept
from sidecar.control.sources.opened import source_of
from sidecar.observe.stats import Stats
from tests.control.reloading import Scene, says, scene
from tests.sockets.peers import GET, Reply, until


async def asks(it: Scene) -> Reply:
    client = await it.client()
    await client.sends(GET)
    reply = await client.reply()
    client.closes()
    return reply


@asynccontextmanager
async def without_key(folder: Path, name: str = "key") -> AsyncIterator[Scene]:
    """A sidecar that was started while `aa`'s key is not there. Nothing else needs one."""
    async with scene(folder) as made:
        made.config["upstreams"]["bb"] = {"endpoints": [{"url": made.urls["bb"]}]}
        bb = {"upstream": "bb", "match": {"path": "/b"}}
        made.config["routes"] = [bb, {"upstream": "aa"}]
        made.secret = folder / name
        made.secret.unlink(missing_ok=True)
        made.config["upstreams"]["aa"] = made.upstream("aa")
        made.write()
        await made.serving.drain(0)
        made.stats = Stats(0.0)
        made.serving = Serving(made.stats)
        made.reloader = Reloader([FileSource(made.file)], made.serving)
        await made.reloader.start()
        watching = asyncio.create_task(made.reloader.watch())
        try:
            yield made
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching


async def test_a_key_that_comes_after_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with without_key(tmp_path) as it:
        refused = await asks(it)
        assert (refused.status, refused["x-sidecar-error"]) == (503, "key_awaited")
        assert refused["retry-after"] == "1"
        message = json.loads(refused.body)["error"]["message"]
        assert message.startswith("upstream aa has no key yet: its file is not there")
        assert str(tmp_path) not in message
        assert it.heads == []
        (told,) = [each.getMessage() for each in caplog.records if "waits for" in each.getMessage()]
        assert f"upstreams.aa.credentials.value: cannot read file {it.secret}" in told
        assert it.stats.reloads.awaited[0] in told
        it.secret.write_text("late")
        await until(lambda: it.stats.reloads.accepted == 2)
        assert it.stats.reloads.awaited == ()
        client = await it.client()
        assert await says(client) == "aa"
        assert b"\r\nx-key: late\r\n" in it.heads[-1]
        client.closes()


async def test_a_volume_of_the_kubelet_that_gets_the_key(tmp_path: Path) -> None:
    """It swaps a link to a folder, and all files are links into that."""
    volume = tmp_path / "volume"
    (volume / "..1").mkdir(parents=True)
    (volume / "..data").symlink_to("..1")
    async with without_key(tmp_path, "volume/key") as it:
        (volume / "..2").mkdir()
        (volume / "..2/key").write_text("swapped")
        (volume / "..tmp").symlink_to("..2")
        (volume / "..tmp").rename(volume / "..data")
        it.secret.symlink_to("..data/key")
        await until(lambda: it.stats.reloads.accepted == 2)
        await asks(it)
        assert b"\r\nx-key: swapped\r\n" in it.heads[-1]


async def test_all_else_serves_meanwhile_and_can_be_changed(tmp_path: Path) -> None:
    async with without_key(tmp_path) as it:
        client = await it.client()
        await client.sends(b"GET /b HTTP/1.1\r\nhost: a\r\n\r\n")
        assert (await client.reply()).body == b"bb"
        it.config["drain"] = "1s"
        it.write()
        await until(lambda: it.stats.reloads.accepted == 2)
        assert (await asks(it)).status == 503
        it.config["routes"][1]["fallback"] = [{"upstream": "bb"}]
        it.write()
        await until(lambda: it.stats.reloads.accepted == 3)
        assert (await asks(it)).body == b"bb"
        client.closes()


async def test_what_serves_has_its_keys_for_good(tmp_path: Path) -> None:
    """A file that goes, or that a new text names, is no reason to send calls without a key."""
    async with scene(tmp_path) as it:
        it.secret.unlink()
        await it.reloader.reload()
        assert "cannot read file" in it.stats.reloads.last_error
        assert (await asks(it)).status == 200


TEXT = """\
listeners: [{address: "127.0.0.1:0"}]
upstreams:
  a:
    endpoints: [{url: "http://a"}]
    credentials: %s
routes: [{upstream: a}]
"""
ONE = '{header: x-key, value: "Bearer ${file:/none/a}"}'
TWO = f'[{ONE}, {{header: x-key, value: "two", quota: q}}]'


def started(text: str) -> tuple[frozenset[str], Any]:
    loaded = load(text, file="f.yaml", awaits=lambda name: name.startswith("/none/"))
    return loaded.waiting, loaded.config.upstreams["a"].credentials


def test_of_several_keys_those_that_are_there_serve() -> None:
    waiting, keys = started(TEXT % TWO)
    assert waiting == frozenset()
    assert [(key.name, str(key.value)) for key in keys] == [("key-2", "two")]
    assert started(TEXT % TWO.replace('"two"', '"${file:/none/b}"')) == (frozenset("a"), "drop")
    assert started(TEXT % ONE) == (frozenset("a"), "drop")


@pytest.mark.parametrize(
    "text",
    [
        TEXT % ONE.replace("/none/", "/other/"),
        TEXT % ONE.replace("file:/none/a", "env:NONE_SUCH"),
        TEXT % "null" + "tracing: {headers: {x-key: '${file:/none/a}'}}",
        TEXT % "null" + "access_log: {path: '${file:/none/a}'}",
        TEXT % ONE.replace("header: x-key", "header: '${file:/none/a}'"),
        TEXT % "null" + "store: {redis: {url: 'rediss://r', ca: /none/a}}",
    ],
)
def test_nothing_else_is_waited_for(text: str) -> None:
    with pytest.raises(ConfigErrors, match=r"cannot read|is not set"):
        started(text)


def test_check_refuses_what_would_wait(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f.yaml").write_text(TEXT % ONE)
    assert main(["check", str(tmp_path / "f.yaml")]) == 1
    assert "f.yaml:5: upstreams.a.credentials.value: cannot read file" in capsys.readouterr().err


# -- a start with a bad text --


async def test_a_bad_text_at_a_start_leaves_the_last_good_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SIDECAR_STATE", str(tmp_path / "state"))
    file = tmp_path / "f.yaml"
    more = "access_log: {path: null}\nadmin: {address: null}\n"
    file.write_text(TEXT % "null" + more)
    first = Serving(Stats(0.0))
    await Reloader([source_of(str(file))], first).start()
    await first.drain(0)
    for bad in ("routes: []", "", "\0"):
        file.write_text(bad)
        second = Serving(Stats(0.0))
        source = source_of(str(file))
        reloader = Reloader([source], second)
        await reloader.start()
        assert second.snapshot.config.upstreams.keys() == {"a"}
        assert f"{file}:1: " in second.stats.reloads.last_error
        assert "refused, and the one before it serves" in caplog.records[-1].getMessage()
        await reloader.reload()
        assert second.stats.reloads.rejected == 2
        file.write_text((TEXT % "null" + more).replace(" a", " b"))
        await reloader.reload()
        assert second.stats.reloads.last_error == ""
        assert second.snapshot.config.upstreams.keys() == {"b"}
        file.write_text(TEXT % "null" + more)
        await reloader.reload()
        await second.drain(0)


async def test_a_last_text_that_is_no_better_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_text("routes: []")
    kept = Kept("f", tmp_path)
    for text in (None, TEXT % ONE.replace("/none/a", "/none/${")):
        if text is not None:
            (tmp_path / "good.yaml").write_text(text)
            kept.save(FileSource(tmp_path / "good.yaml").read())
        with pytest.raises(ConfigErrors, match="routes: must not be empty"):
            await Reloader([FileSource(file, kept)], Serving(Stats(0.0))).start()


def test_a_file_is_kept_on_request_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIDECAR_STATE", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "f.yaml").write_text("text")
    source = source_of(str(tmp_path / "f.yaml"))
    source.read()
    source.accepted()
    assert source.last_good() is None
    assert [each.name for each in tmp_path.iterdir()] == ["f.yaml"]


# -- what `kubectl describe` shows --


def test_the_reason_of_a_refusal_is_left_for_the_kubelet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "termination-log"
    monkeypatch.setattr(termination.say_why, "__defaults__", (str(place),))
    (tmp_path / "f.yaml").write_text("routes: []")
    assert main(["run", "-c", str(tmp_path / "f.yaml")]) == 1
    assert not place.exists()
    place.touch()
    for arguments, code in (
        ([str(tmp_path / "f.yaml")], 1),
        ([str(tmp_path / "none.yaml")], 1),
        (["gopher://x"], 2),
    ):
        capsys.readouterr()
        assert main(["run", "-c", *arguments]) == code
        said = capsys.readouterr().err.splitlines()
        assert place.read_text().splitlines() == [each for each in said if each[0] != "{"]


def test_a_long_reason_is_cut_between_lines(tmp_path: Path) -> None:
    place = tmp_path / "termination-log"
    place.touch()
    lines = [f"f.yaml:{number}: ä" for number in range(1000)]
    termination.say_why("\n".join(lines), str(place))
    *kept, end = place.read_text().splitlines()
    assert kept == lines[: len(kept)]
    assert end == "... the log has the rest"
    assert 4000 < place.stat().st_size <= 4096
    termination.say_why("x" * 5000, str(place))
    assert 4000 < place.stat().st_size <= 4096


def test_a_device_at_that_place_is_left_alone() -> None:
    termination.say_why("reason", "/dev/full")
    termination.say_why("reason", "/none/such")
