"""Every centre: a start, a change, an outage, a start without it, and what is refused."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sidecar.check import check
from sidecar.cli import main
from sidecar.control.inspection import Inspection
from sidecar.control.reload import Reloader
from sidecar.control.serving import Serving
from sidecar.control.sources import nacos
from sidecar.control.sources.base import Source
from sidecar.control.sources.centre import pause
from sidecar.control.sources.opened import BadSource, source_of
from sidecar.observe.stats import Stats
from tests.control.sources.centres import KINDS, Centre, Consul, Etcd
from tests.sockets.peers import until

BASE = """\
listeners: [{address: "127.0.0.1:0"}]
upstreams: {u: {endpoints: [{url: http://127.0.0.1:1}]}}
routes: [{upstream: u, policy: order-service}]
policies: {order-service: {retry: {max: %s}}}
access_log: {path: null}
admin: {address: null}
"""


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIDECAR_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(nacos, "_EVERY", 0.2)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def centre(request: pytest.FixtureRequest) -> Iterator[Centre]:
    made: Centre = request.param()
    made.start()
    yield made
    with suppress(AssertionError):
        made.stop()


class Following:
    """A source that is watched as the reloader does it."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.texts: list[str] = [source.read().text]
        self.task = asyncio.create_task(source.watch(self.changed))

    async def changed(self) -> None:
        text = await asyncio.to_thread(lambda: self.source.read().text)
        if text != self.texts[-1]:
            self.texts.append(text)

    async def __aenter__(self) -> Following:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def test_changes_arrive(centre: Centre, tmp_path: Path) -> None:
    centre.put("one")
    async with Following(source_of(centre.arguments(tmp_path))) as it:
        assert it.texts == ["one"]
        first = it.source.stats.revision
        assert first
        await asyncio.sleep(0.3)  # it may watch already, or not yet
        for text in ("two", "three\nlines: é"):
            centre.put(text)
            await until(lambda text=text: it.texts[-1] == text)  # type: ignore[misc]
        assert it.source.stats.revision != first
        assert it.source.stats.last_error == ""


async def test_a_change_during_an_outage_is_not_missed(centre: Centre, tmp_path: Path) -> None:
    centre.put("one")
    async with Following(source_of(centre.arguments(tmp_path))) as it:
        await asyncio.sleep(0.2)
        centre.stop()
        await until(lambda: it.source.stats.last_error)
        assert it.source.read().text == "one"  # another source may have changed meanwhile
        await asyncio.to_thread(centre.start)
        centre.put("two")
        await until(lambda: it.texts[-1] == "two")
        assert it.source.stats.last_error == ""
        centre.put("three")
        await until(lambda: it.texts[-1] == "three")


def test_a_start_without_the_centre(centre: Centre, tmp_path: Path, caplog: Any) -> None:
    centre.put("one")
    arguments = centre.arguments(tmp_path)
    first = source_of(arguments)
    assert first.read().text == "one"
    first.accepted()
    centre.put("bad")
    first.read()  # which is refused, so that it is not kept
    centre.stop()
    second = source_of(arguments)
    assert second.read().text == "one"
    assert second.stats.last_error
    assert second.stats.last_heard > 0
    assert "starting with the configuration of" in caplog.text
    [file] = (tmp_path / "state").iterdir()
    assert file.stat().st_mode & 0o077 == 0  # it may have keys


def test_what_is_not_there_is_told(centre: Centre, tmp_path: Path) -> None:
    source = source_of(centre.arguments(tmp_path))
    with pytest.raises(OSError, match=r"no such|404"):
        source.read()
    assert source.stats.errors == 1


async def test_a_table_over_a_file_is_followed_and_a_bad_one_refused(
    centre: Centre, tmp_path: Path
) -> None:
    file = tmp_path / "base.yaml"
    file.write_text(BASE % 1)
    centre.put("order-service: {retries: 2, breaker: 50%}")
    sources = [source_of(str(file)), source_of(centre.arguments(tmp_path))]
    serving = Serving(Stats(0.0))
    reloader = Reloader(sources, serving)
    await reloader.start()

    def retries() -> int:
        return reloader.loaded.effective[0, "u"].policy.retry.max

    watching = asyncio.create_task(reloader.watch())
    try:
        assert retries() == 2
        centre.put("order-service: {retries: 3}")
        await until(lambda: retries() == 3)
        centre.put("order-service:\n  retries: many")
        await until(lambda: serving.stats.reloads.rejected)
        name = sources[1].stats.name
        assert f"{name}:2: policies.order-service.retry.max" in serving.stats.reloads.last_error
        file.write_text(BASE.replace("u:", "v:").replace("upstream: u", "upstream: v") % 1)
        centre.put("order-service: {retries: 4}")
        await until(lambda: "v" in reloader.loaded.config.upstreams)
        shown = Inspection(serving, reloader, lambda: None).config()["sources"]
        assert [each["name"] for each in shown] == [str(file), name]
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await serving.drain(0.0)


JSON = [kind for kind in KINDS if kind.__name__ in ("Nacos1", "Nacos3", "Apollo", "ConfigMap")]


@pytest.mark.parametrize("garbage", [b"{}", b"[3]", b"<html>", b'{"data": 3, "metadata": []}'])
@pytest.mark.parametrize("kind", JSON)
async def test_an_answer_of_another_form_is_an_error_and_ends_nothing(
    kind: type[Centre], garbage: bytes, tmp_path: Path
) -> None:
    centre = kind()
    centre.start()
    try:
        centre.put("one")
        async with Following(source_of(centre.arguments(tmp_path))) as it:
            centre.garbage = garbage
            with centre.changed:
                centre.index += 1
                centre.changed.notify_all()
            await asyncio.sleep(0.5)
            centre.garbage = None
            centre.put("two")
            await until(lambda: it.texts[-1] == "two")
            assert not it.task.done()
    finally:
        centre.stop()


@pytest.mark.parametrize("garbage", [b"{}", b"[3]", b"<html>", b'{"header": 3}'])
def test_garbage_at_the_start_is_told(garbage: bytes, tmp_path: Path) -> None:
    page = Consul()  # whose server any URL may name by mistake
    page.garbage = garbage
    page.start()
    try:
        place = f"127.0.0.1:{page.port}"
        (tmp_path / "jwt").write_text("jwt")
        k8s = f"k8s://a/b/c?server=http://{place}&token_file={tmp_path}/jwt"
        for url in (f"etcd://{place}/k", f"apollo://{place}/a/b/c", k8s):
            with pytest.raises(OSError, match=r"answer|not a namespace"):
                source_of(url).read()
            assert check([url]) == 1
    finally:
        page.stop()


@pytest.mark.skipif(Etcd not in KINDS, reason="needs etcd-server")
async def test_etcd_that_has_compacted_what_was_not_seen(tmp_path: Path) -> None:
    etcd = Etcd()
    etcd.start()
    try:
        etcd.put("one")
        source = source_of(etcd.arguments(tmp_path))
        source.read()
        for text in ("two", "three"):
            etcd.put(text)
        revision = etcd.ask("kv/range", {"key": "eA=="})["header"]["revision"]
        etcd.ask("kv/compaction", {"revision": revision, "physical": True})
        etcd.put("four")
        async with Following(source) as it:
            await until(lambda: it.texts[-1] == "four")
    finally:
        etcd.stop()


@pytest.mark.skipif(Etcd not in KINDS, reason="needs etcd-server")
async def test_etcd_asks_who_it_is(tmp_path: Path) -> None:
    etcd = Etcd()
    etcd.start()
    try:
        etcd.put("one")
        etcd.ask("auth/user/add", {"name": "root", "password": "pass"})
        etcd.ask("auth/role/add", {"name": "root"})
        etcd.ask("auth/user/grant", {"user": "root", "role": "root"})
        etcd.ask("auth/enable", {})
        with pytest.raises(OSError, match="user"):
            source_of(etcd.arguments(tmp_path)).read()
        (tmp_path / "password").write_text("pass")
        arguments = f"{etcd.arguments(tmp_path)}?user=root&password_file={tmp_path}/password"
        async with Following(source_of(arguments)) as it:
            assert it.texts == ["one"]
            assert "pass" not in it.source.stats.name
    finally:
        etcd.stop()


async def test_a_centre_that_wakes_for_others_is_not_asked_without_end(tmp_path: Path) -> None:
    consul = Consul()
    consul.start()
    try:
        consul.put("one")
        async with Following(source_of(consul.arguments(tmp_path))) as it:
            consul.index = 1  # it was restored from a backup: the index goes back
            consul.put("one")
            asked = len(consul.asked)
            await asyncio.sleep(1.0)
            assert len(consul.asked) - asked < 15
            consul.put("two")
            await until(lambda: it.texts[-1] == "two")
    finally:
        consul.stop()


def test_check_reads_where_run_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    consul = Consul()
    consul.start()
    try:
        file = tmp_path / "base.yaml"
        file.write_text(BASE % 1)
        consul.put("order-servce: {retries: 2}")
        arguments = consul.arguments(tmp_path)
        assert check([str(file), arguments]) == 1
        told = capsys.readouterr().err
        assert f"consul://127.0.0.1:{consul.port}/team/sidecar.yaml:1: order-servce" in told
        assert "token" not in told.splitlines()[0]
        consul.put("order-service: {retries: 2}")
        assert check([str(file), arguments]) == 0
    finally:
        consul.stop()
    assert check([arguments]) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("zookeeper://h/key", "zookeeper:// is no source; expected a path, or one of etcd://"),
        ("etcd://h", "expected a key, as etcd://h/sidecar.yaml"),
        ("etcd://ann:pass@h/key", "name that with ?password_file="),
        ("etcd://h/key?tsl=on", "?tsl= is unknown; expected one of"),
        ("etcd://h/key?ca=x", "need ?tls=on"),
        ("etcd://h/key?tls=on&key=x", "?key= needs ?cert="),
        ("etcd://h/key?tls=yes", "?tls= must be on or off"),
        ("etcd://:x/key", "expected a host after etcd://"),
        ("nacos://h/only", "nacos://HOST/NAMESPACE/GROUP/DATA-ID"),
        ("apollo://h/a/b", "apollo://HOST/APP/CLUSTER/NAMESPACE"),
        ("k8s://ns/map", "k8s://NAMESPACE/CONFIGMAP/KEY"),
        ("k8s://ns/map/key", "name the API server with ?server="),
        ("http://example.com/x", "use https://"),
    ],
)
def test_a_url_that_names_no_source(text: str, says: str) -> None:
    with pytest.raises(BadSource) as refused:
        source_of(text)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("tls=on&ca={0}/none", "?ca={0}/none: No such file or directory"),
        ("tls=on&ca={0}/prose", "?ca={0}/prose has no certificate, which begins with -----BEGIN"),
        ("tls=on&ca={0}/binary", "?ca={0}/binary is not UTF-8 text"),
        ("tls=on&cert={0}/prose", "?cert={0}/prose has no certificate"),
        ("user=me&password_file={0}/none", "?password_file={0}/none: No such file or directory"),
        ("user=me&password_file={0}/empty", "?password_file={0}/empty is empty"),
        ("user=me&password_file={0}/binary", "?password_file={0}/binary is not UTF-8 text"),
        ("user=me&password_file={0}", "?password_file={0}: Is a directory"),
    ],
)
def test_files_of_a_source_that_cannot_be_used(
    query: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prose").write_text("my certificate")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\x00")
    url = f"etcd://127.0.0.1:1/key?{query.format(tmp_path)}"
    for command, arguments in (("check", [url]), ("run", ["-c", url])):
        assert main([command, *arguments]) == 1
        *_, told = capsys.readouterr().err.splitlines()
        assert told.startswith(f"sidecar {command}: {says.format(tmp_path)}")


def test_retries_spread_and_have_a_bound() -> None:
    chance = random.Random(1)
    pauses = [pause(failures, chance.random()) for failures in range(1, 2000)]
    assert all(0.12 <= each <= 15.0 for each in pauses)
    assert len({round(each, 3) for each in pauses[10:]}) > 1000
    assert pauses[0] <= 0.25
