"""A configuration file that changes while calls go on."""

from __future__ import annotations

import asyncio
import json
import time
from functools import partial
from pathlib import Path

import pytest
import trustme

from sidecar.ca.authority import open_authority
from sidecar.ca.folder import KEY_FILE
from sidecar.config.load import ConfigErrors
from sidecar.control import watcher
from sidecar.control.inspection import Inspection
from sidecar.control.reload import Reloader
from sidecar.control.serving import Serving
from sidecar.control.sources.file import FileSource
from sidecar.listen.files import NO_FILES
from sidecar.observe.stats import Stats
from tests.certificates import Ca
from tests.control.reloading import says, scene
from tests.sockets.peers import until
from tests.tokens import Signer, jwks

BAD = ["", "listeners: [", "listeners: []", "{}", "a: &a [*a]", "\x00", "upstreams: {u: {x: 1}}"]


async def test_two_hundred_reloads_under_load(tmp_path: Path) -> None:
    """Good and bad by turns: no call fails, and no caller's connection is closed."""
    async with scene(tmp_path) as it:
        heard: dict[str, int] = {"aa": 0, "bb": 0}
        stopped = False

        async def calls() -> None:
            client = await it.client()
            while not stopped:
                heard[await says(client)] += 1
            client.closes()

        callers = [asyncio.create_task(calls()) for _ in range(16)]
        for number in range(100):
            it.write(BAD[number % len(BAD)])
            await it.reloader.reload()
            it.goes_to("bb" if number % 2 == 0 else "aa")
            it.write()
            await it.reloader.reload()
        stopped = True
        await asyncio.gather(*callers)
        reloads = it.stats.reloads
        assert (reloads.accepted, reloads.rejected, reloads.last_error) == (101, 100, "")
        assert heard["aa"] > 100
        assert heard["bb"] > 100
        assert it.stats.listeners["127.0.0.1:0"].accepted == 16
        assert sum(it.stats.listeners["127.0.0.1:0"].refused.values()) == 0
        assert all(not route.errors for route in it.stats.routes.values())
        assert list(it.stats.endpoints) == [("aa", it.urls["aa"])]
        assert list(it.serving.listeners) == ["127.0.0.1:0"]


@pytest.mark.parametrize("text", BAD)
async def test_a_bad_file_is_reported_and_changes_nothing(tmp_path: Path, text: str) -> None:
    async with scene(tmp_path) as it:
        before = it.stats.reloads.config_hash
        it.write(text)
        await it.reloader.reload()
        reloads = it.stats.reloads
        assert (reloads.accepted, reloads.rejected) == (1, 1)
        assert str(it.file) in reloads.last_error
        assert reloads.config_hash == before
        client = await it.client()
        assert await says(client) == "aa"
        it.goes_to("bb")
        it.write()
        await it.reloader.reload()
        assert (reloads.accepted, reloads.last_error) == (2, "")
        assert await says(client) == "bb"
        client.closes()


async def test_a_file_that_is_gone_is_reported(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.file.unlink()
        await it.reloader.reload()
        assert "No such file" in it.stats.reloads.last_error


async def test_the_same_again_is_nothing_new(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        snapshot = it.serving.snapshot
        it.write()
        await it.reloader.reload()
        assert it.serving.snapshot is snapshot
        assert (it.stats.reloads.accepted, it.stats.reloads.unchanged) == (1, 1)


async def test_all_who_ask_at_once_get_the_last(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        it.goes_to("bb")
        it.write()
        await asyncio.gather(*(it.reloader.reload() for _ in range(5)))
        assert (it.stats.reloads.accepted, it.stats.reloads.unchanged) == (2, 4)


async def test_a_bad_file_at_the_start(tmp_path: Path) -> None:
    file = tmp_path / "sidecar.yaml"
    file.write_text("routes: []")
    with pytest.raises(ConfigErrors, match=r"sidecar\.yaml"):
        await Reloader([FileSource(file)], Serving(Stats(0.0))).start()


# -- with the real watcher --


async def test_a_change_serves_within_a_second(tmp_path: Path) -> None:
    async with scene(tmp_path, watched=True) as it:
        client = await it.client()
        for word in ("bb", "aa", "bb"):
            it.goes_to(word)
            accepted = it.stats.reloads.accepted
            it.write()
            changed = time.monotonic()
            await until(lambda accepted=accepted: it.stats.reloads.accepted > accepted)  # type: ignore[misc]
            assert time.monotonic() - changed < 1
            assert await says(client) == word
        client.closes()


async def test_a_secret_that_is_rotated_is_sent_with_the_next_call(tmp_path: Path) -> None:
    async with scene(tmp_path, watched=True) as it:
        client = await it.client()
        await says(client)
        it.secret.write_text("two")
        await until(lambda: it.stats.reloads.accepted == 2)
        await says(client)
        keys = [head.partition(b"\r\nx-key: ")[2].partition(b"\r\n")[0] for head in it.heads]
        assert keys == [b"one", b"two"]
        assert b"two" not in json.dumps(it.reloader.loaded.shown).encode()
        client.closes()


async def test_a_secret_that_comes_after_the_file_that_names_it_is_taken(tmp_path: Path) -> None:
    """ConfigMaps and Secrets are refreshed independently of each other."""
    async with scene(tmp_path, watched=True) as it:
        it.secret = tmp_path / "later" / "key"
        it.goes_to("bb")
        it.write()
        await until(lambda: it.stats.reloads.rejected)
        assert "cannot read file" in it.stats.reloads.last_error
        it.secret.parent.mkdir()
        it.secret.write_text("late")
        await until(lambda: it.stats.reloads.accepted == 2)
        client = await it.client()
        assert await says(client) == "bb"
        assert b"\r\nx-key: late\r\n" in it.heads[-1]
        client.closes()


async def test_a_refused_configuration_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(tmp_path) as it:
        it.write("")
        for _ in range(3):
            await it.reloader.reload()
        assert it.stats.reloads.rejected == 3
        assert len(caplog.records) == 1
        it.write("routes: []")
        await it.reloader.reload()
        assert len(caplog.records) == 2


async def test_half_a_pair_of_certificate_and_key_is_taken_when_it_is_whole(tmp_path: Path) -> None:
    """The two files of a certificate that is renewed come one after the other."""
    authority = trustme.CA()
    pair, key = authority.issue_cert("client"), tmp_path / "key.pem"
    pair.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.issue_cert("client").private_key_pem.write_to_path(key)
    async with scene(tmp_path, watched=True) as it:
        tls = {"cert": str(tmp_path / "cert.pem"), "key": str(key)}
        it.config["upstreams"]["aa"] |= {"endpoints": [{"url": "https://a"}], "tls": tls}
        it.write()
        await until(lambda: it.stats.reloads.rejected)
        pair.private_key_pem.write_to_path(key)
        await until(lambda: it.stats.reloads.accepted == 2)


async def test_files_of_listeners_are_followed(tmp_path: Path) -> None:
    """Certificates, CAs of callers and keys of tokens that are renewed come without a signal."""
    authority = Ca()
    cert, key = authority.issue("old").write(tmp_path, "server")
    ca, keys = tmp_path / "ca.pem", tmp_path / "jwks.json"
    ca.write_bytes(authority.pem)
    keys.write_bytes(jwks(Signer("ES256", "old")))
    async with scene(tmp_path, watched=True) as it:
        listener = it.config["listeners"][0]
        others = {
            "address": "127.0.0.2:0",
            "tls": {"cert": cert, "key": key},
            "access": {
                "certificates": {"ca": str(ca)},
                "tokens": {"keys": str(keys), "issuer": "i", "audiences": ["a"]},
            },
        }
        it.config["listeners"] = [listener, others]
        it.write()
        await until(lambda: it.stats.reloads.accepted == 2)
        served = list(it.serving.listeners.values())[1]
        for renew in (
            lambda: authority.issue("new").write(tmp_path, "server"),
            lambda: ca.write_bytes(Ca().pem),
            lambda: keys.write_bytes(jwks(Signer("ES256", "new"))),
        ):
            before = served.files
            renew()
            await until(lambda before=before: served.files not in (before, NO_FILES))  # type: ignore[misc]
        keys.write_text("no keys")
        await until(lambda: "is no JWK set" in it.stats.reloads.last_error)
        assert [key.id for key in served.files.keys] == ["new"]


async def test_roots_of_the_system_that_change_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "roots.pem"
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    trustme.CA().cert_pem.write_to_path(roots)
    async with scene(tmp_path) as it:
        plain = it.serving.snapshot.upstreams["aa"].endpoints()[0]
        it.config["upstreams"]["tls"] = {"endpoints": [{"url": "https://a"}]}
        it.write()
        await it.reloader.reload()
        before = it.serving.snapshot.upstreams["tls"].endpoints()[0]
        await it.reloader.reload()
        assert it.stats.reloads.unchanged == 1
        trustme.CA().cert_pem.write_to_path(roots, append=True)
        await it.reloader.reload()
        assert it.stats.reloads.accepted == 3
        assert it.serving.snapshot.upstreams["tls"].endpoints()[0] is not before
        assert before.pool.retired
        assert it.serving.snapshot.upstreams["aa"].endpoints() == [plain]


async def test_a_local_ca_that_is_replaced_is_published(tmp_path: Path) -> None:
    ca, published = tmp_path / "ca", tmp_path / "published"
    async with scene(tmp_path) as it:
        it.config["intercept"] = {"ca": str(ca), "publish": str(published)}
        it.write()
        await it.reloader.reload()
        await it.reloader.reload()
        assert it.stats.reloads.unchanged == 1  # that it was made is no change
        open_authority(tmp_path / "other")
        (tmp_path / "other" / KEY_FILE).rename(ca / KEY_FILE)
        await it.reloader.reload()
        assert (published / "ca.crt").read_bytes() == open_authority(ca).pem


async def test_roots_are_looked_at_without_an_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = tmp_path / "elsewhere" / "roots.pem"
    roots.parent.mkdir()
    monkeypatch.setenv("SSL_CERT_FILE", str(roots))
    monkeypatch.setattr("sidecar.control.reload.FileWatch", partial(watcher.FileWatch, poll=0.05))
    async with scene(tmp_path) as it:
        it.config["upstreams"]["aa"]["endpoints"] = [{"url": "https://a"}]
        it.write()
        await it.reloader.reload()
        watching = asyncio.create_task(it.reloader.watch())
        trustme.CA().cert_pem.write_to_path(roots)
        await until(lambda: it.stats.reloads.accepted == 3)
        watching.cancel()
        await asyncio.wait([watching])


async def test_a_half_written_file_is_no_trouble(tmp_path: Path) -> None:
    async with scene(tmp_path, watched=True) as it:
        client = await it.client()
        it.goes_to("bb")
        text = json.dumps(it.config)
        it.write(text[: len(text) // 2])
        await until(lambda: it.stats.reloads.rejected)
        assert await says(client) == "aa"
        it.write(text)
        await until(lambda: it.stats.reloads.accepted == 2)
        assert await says(client) == "bb"
        client.closes()


async def test_what_a_file_hardly_means_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with scene(tmp_path) as it:
        assert not caplog.records
        it.config["upstreams"]["bb"] = {"endpoints": [{"url": it.urls["bb"]}]}
        it.config["routes"] = [{"upstream": "aa", "fallback": [{"upstream": "bb"}]}]
        it.write()
        await it.reloader.reload()
        (warning,) = [each for each in caplog.records if each.levelname == "WARNING"]
        assert "routes[0].fallback[0].upstream: bb gets no keys" in warning.getMessage()
        assert it.stats.reloads.last_error == ""


async def test_what_a_route_matches_is_shown_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM", "secret")
    async with scene(tmp_path) as it:
        match = {"path": "/", "headers": {"x-team": "${env:TEAM}"}}
        it.config["routes"] = [{"upstream": "aa", "match": match}, {"upstream": "aa"}]
        it.write()
        await it.reloader.reload()
        routes = Inspection(it.serving, it.reloader, lambda: None).routes()
        assert [route["match"] for route in routes] == [match, {}]


async def test_the_source_is_named_with_its_revision(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    async with scene(tmp_path) as it:
        inspection = Inspection(it.serving, it.reloader, lambda: None)
        first = inspection.config()["sources"][0]
        assert (first["name"], first["last_error"]) == (str(it.file), None)
        assert first["age_s"] < 3600
        it.goes_to("bb")
        it.write()
        await it.reloader.reload()
        second = inspection.config()["sources"][0]
        assert second["revision"] not in (first["revision"], "")
        (line,) = [each for each in caplog.records if "reloaded" in each.getMessage()]
        assert (line.__dict__["source"], line.__dict__["revision"]) == (
            str(it.file),
            second["revision"],
        )
        it.file.unlink()
        await it.reloader.reload()
        gone = inspection.config()["sources"][0]
        assert gone["revision"] == second["revision"]  # which serves on
        assert "No such file" in gone["last_error"]
