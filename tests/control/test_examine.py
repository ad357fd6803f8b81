"""What `run` would refuse for the state of its machine, `check` refuses in the same words."""

from __future__ import annotations

import os
import socket
import ssl
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sidecar.ca.authority import open_authority
from sidecar.cli import main
from sidecar.config.defaults import default_text
from sidecar.config.load import ConfigErrors, Loaded, load
from sidecar.control.examine import examine, examine_offline
from sidecar.upstream.connect import pem
from sidecar.upstream.connect.tls import client_context
from tests.control.reloading import scene

BASE = """\
listeners: [{{address: "127.0.0.1:0"}}]
upstreams:
  a:
    endpoints: [{{url: "https://localhost:1"}}]
    tls: {{{tls}}}
routes: [{{upstream: a{route}}}]
access_log: {{path: null}}
admin: {{address: null}}
{more}
"""


def text(tls: str = "", route: str = "", more: str = "") -> str:
    return BASE.format(tls=tls, route=route, more=more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files, good and bad."""
    made = tmp_path_factory.mktemp("files")
    authority, other = trustme.CA(), trustme.CA()
    leaf, second = authority.issue_cert("client"), other.issue_cert("client")
    expired = authority.issue_cert("old", not_after=datetime(2025, 1, 2, tzinfo=UTC))
    ending = authority.issue_cert("soon", not_after=datetime.now(UTC) + timedelta(days=3))
    root = authority.cert_pem.bytes()
    cert, key = leaf.cert_chain_pems[0].bytes(), leaf.private_key_pem.bytes()
    secret = load_pem_private_key(key, None)
    locked = secret.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"phrase")
    )
    old_style = secret.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"phrase")
    )
    files = {
        "ca.pem": root,
        "cert.pem": cert,
        "key.pem": key,
        "both.pem": key + cert + root,
        "reversed.pem": root + cert,
        "crlf.pem": cert.replace(b"\n", b"\r\n"),
        "other-key.pem": second.private_key_pem.bytes(),
        "locked.pem": locked,
        "old-locked.pem": old_style,
        "bom.pem": b"\xef\xbb\xbf" + root,
        "empty.pem": b"\n",
        "cut.pem": cert[:200],
        "damaged.pem": cert[:40] + b"A" + cert[41:],
        "bad.pem": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        "bad-key.pem": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "prose.pem": b"the certificate\n",
        "ca.der": ssl.PEM_cert_to_DER_cert(root.decode()),
        "expired.pem": expired.cert_chain_pems[0].bytes() + expired.private_key_pem.bytes(),
        "ending.pem": ending.cert_chain_pems[0].bytes() + ending.private_key_pem.bytes(),
    }
    for name, content in files.items():
        (made / name).write_bytes(content)
    (made / "folder").mkdir()
    open_authority(made / "authority")
    (made / "no-authority").mkdir()
    (made / "no-authority/ca.pem").write_bytes(cert)
    return made


PAIR = "cert: {0}/cert.pem, key: {0}/%s"
FILES = [
    ("ca: {0}/none.pem", "tls.ca: cannot read the file: No such file"),
    ("ca: {0}/folder", "tls.ca: cannot read the file: not a regular file"),
    ("ca: {0}/empty.pem", "tls.ca: {0}/empty.pem is empty"),
    ("ca: {0}/prose.pem", "tls.ca: {0}/prose.pem has no certificate, which begins with"),
    ("ca: {0}/key.pem", "tls.ca: {0}/key.pem has a key, but no certificate: are the two"),
    ("ca: {0}/cut.pem", "tls.ca: {0}/cut.pem is cut short"),
    ("ca: {0}/bom.pem", "tls.ca: {0}/bom.pem begins with a byte order mark"),
    ("ca: {0}/bad.pem", "tls.ca: {0}/bad.pem has a damaged certificate"),
    ("ca: {0}/ca.der", "tls.ca: cannot read the file: not UTF-8 text; PEM is expected: openssl"),
    ("cert: {0}/cert.pem", "tls.cert: {0}/cert.pem has no private key: name its file in `key`"),
    ("cert: {0}/key.pem, key: {0}/cert.pem", "tls.cert: {0}/key.pem has a key, but no cert"),
    (PAIR % "cert.pem", "tls.key: {0}/cert.pem has a certificate, but no private key"),
    (PAIR % "prose.pem", "tls.key: {0}/prose.pem has no private key, which begins with"),
    (PAIR % "other-key.pem", "tls.key: {0}/other-key.pem is not the key of the first certificate"),
    (PAIR % "locked.pem", "tls.key: {0}/locked.pem has an encrypted key, and there is nobody"),
    (PAIR % "old-locked.pem", "tls.key: {0}/old-locked.pem has an encrypted key"),
    (PAIR % "bad-key.pem", "tls.key: {0}/bad-key.pem does not load together with its certificate"),
    ("cert: {0}/reversed.pem, key: {0}/key.pem", "tls.key: {0}/key.pem is not the key of the fir"),
]  # fmt: skip
ELSEWHERE = [
    ("access_log: {{path: {0}}}", "7: access_log.path: is a folder; expected the path of a file"),
    ("access_log: {{path: {0}/none/log}}", "7: access_log.path: its folder does not exist"),
    ("budgets: {{ledger: {0}/none/b.db, limits: {{l: {{per: day, tokens: 1}}}}}}",
     "9: budgets.ledger: its folder does not exist; make it"),
    ("budgets: {{ledger: {0}/cert.pem, limits: {{l: {{per: day, tokens: 1}}}}}}",
     "9: budgets.ledger: is no SQLite file; name another one"),
    ("budgets: {{ledger: {0}/folder, limits: {{l: {{per: day, tokens: 1}}}}}}",
     "9: budgets.ledger: is a folder"),
    ("listeners: [{{address: 'localhost:0', tls: {{cert: {0}/cert.pem, key: {0}/locked.pem}}}}]",
     "1: listeners[0].tls.key: {0}/locked.pem has an encrypted key"),
    ("listeners: [{{address: 'localhost:0', tls: {{cert: {0}/both.pem}}, "
     "access: {{certificates: {{ca: {0}/prose.pem}}}}}}]",
     "1: listeners[0].access.certificates.ca: {0}/prose.pem has no certificate"),
    ("listeners: [{{address: 'localhost:0', "
     "access: {{tokens: {{keys: {0}/prose.pem, issuer: i, audiences: [a]}}}}}}]",
     "1: listeners[0].access.tokens.keys: {0}/prose.pem is no JWK set"),
    ("listeners: [{{path: {0}/none/s}}]", "1: listeners[0].path: its folder does not exist"),
    ("listeners: [{{path: {0}/cert.pem}}]", "1: listeners[0].path: is there already, and is no so"),
    ("listeners: [{{address: '192.0.2.7:0'}}]",
     "1: listeners[0].address: this machine does not have this address"),
    ("listeners: [{{address: 'no.such.invalid:0'}}]",
     "1: listeners[0].address: the name does not resolve"),
    ("admin: {{address: null, health: '192.0.2.7:1'}}",
     "8: admin.health: this machine does not have this address"),
    ("intercept: {{publish: {0}/cert.pem/x}}", "9: intercept.publish: cannot be made: its folder"),
    ("intercept: {{ca: {0}/no-authority, publish: {0}/p}}",
     "9: intercept.ca: is no CA of ours"),
    ("intercept: {{ca: {0}/cert.pem/x, publish: {0}/p}}",
     "9: intercept.ca: cannot be made"),
    ("tracing: {{endpoint: 'https://localhost:1', tls: {{ca: {0}/prose.pem}}}}",
     "9: tracing.tls.ca: {0}/prose.pem has no certificate"),
]  # fmt: skip
"""A line of the configuration, which replaces the one with the same key."""


def replaced(folder: Path, line: str) -> str:
    given = line.format(folder)
    key = given.split(":")[0]
    lines = text().splitlines()
    kept = [given if each.startswith(f"{key}:") else each for each in lines]
    return "\n".join(kept if given in kept else [*lines, given])


def both(file: Path, written: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that `check` says, which `run` says too."""
    file.write_text(written)
    assert main(["check", str(file)]) == 1
    *checked, count = capsys.readouterr().err.splitlines()
    assert count == f"{len(checked)} mistake{'s' if len(checked) > 1 else ''} in {file}"
    assert main(["run", "-c", str(file)]) == 1
    said = capsys.readouterr().err.splitlines()
    assert [each for each in said if each[0] != "{"] == checked  # all else is of the log
    return checked


@pytest.mark.parametrize(("tls", "expected"), FILES)
def test_certificates_and_keys(
    tls: str, expected: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f.yaml"
    (told,) = both(file, text(tls.format(folder)), capsys)
    assert told.startswith(f"{file}:5: upstreams.a.{expected.format(folder)}")


@pytest.mark.parametrize(("line", "expected"), ELSEWHERE)
def test_places(
    line: str, expected: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "f.yaml"
    expected = expected.format(folder).replace("9: ", f"{len(text().splitlines()) + 1}: ")
    told = both(file, replaced(folder, line), capsys)
    assert any(each.startswith(f"{file}:{expected}") for each in told), told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_of_another_user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    line = f"access_log: {{{{path: {tmp_path}/closed/log}}}}"
    (told,) = both(tmp_path / "f.yaml", replaced(tmp_path, line), capsys)
    assert "cannot be written by this user (uid " in told


SHARED = ", policy: {cache: {}}"


def test_the_package_of_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "redis.exceptions", None)
    written = text(route=SHARED, more="store: {redis: {url: 'redis://x'}}")
    (told,) = both(tmp_path / "f.yaml", written, capsys)
    assert "store.redis: needs the package redis: pip install 'llm-sidecar-proxy[redis]'" in told


def test_what_redis_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = text(route=SHARED, more="store: {redis: {url: 'redis://x/3', cluster: true}}")
    (told,) = both(tmp_path / "f.yaml", written, capsys)
    assert "9: store.redis: redis-py refuses this: " in told
    assert seen(written.replace("/3", "/0"))
    assert seen(text(more="store: {redis: {url: 'redis://x/3', cluster: true}}")).warnings


def seen(written: str, look: Callable[..., object] = examine) -> Loaded:
    return load(written, file="f.yaml", examine=look)  # type: ignore[arg-type]


GOOD = [
    "ca: {0}/ca.pem",
    "ca: {0}/both.pem",
    "ca: {0}/crlf.pem",
    "cert: {0}/both.pem",
    "cert: {0}/cert.pem, key: {0}/key.pem",
    "cert: {0}/crlf.pem, key: {0}/key.pem",
]


@pytest.mark.parametrize("tls", GOOD)
def test_what_is_good_passes_and_loads(tls: str, folder: Path) -> None:
    loaded = seen(text(tls.format(folder)))
    assert loaded.warnings == ()
    assert client_context(loaded.config.upstreams["a"].tls)


def test_good_places_pass_and_nothing_is_made(folder: Path, tmp_path: Path) -> None:
    lines = [
        f"access_log: {{{{path: {tmp_path}/log}}}}",
        f"budgets: {{{{ledger: {tmp_path}/b.db, limits: {{{{l: {{{{per: day, tokens: 1}}}}}}}}}}}}",
        f"listeners: [{{{{path: {tmp_path}/s}}}}]",
        "listeners: [{{address: '[::]:0'}}]",
        f"intercept: {{{{ca: {tmp_path}/ca, publish: {tmp_path}/p/q}}}}",
        "intercept: {{ca: {0}/authority, publish: {0}}}",
    ]
    for line in lines:
        assert seen(replaced(folder, line)).warnings == ()
    assert list(tmp_path.iterdir()) == []
    socket.socket(socket.AF_UNIX).bind(f"{tmp_path}/s")
    assert seen(replaced(folder, lines[2]))


def test_a_user_without_a_home_serves_the_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a container: nothing is intercepted, since no CA can be made."""

    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    assert load(default_text(), file="f", examine=examine).warnings == ()
    lines = "listeners: [{mode: forward, address: '127.0.0.1:0'}]\nintercept: {publish: /tmp/p}\n"
    with pytest.raises(ConfigErrors, match="this user has no home: say where the CA is to lie"):
        load(text().replace("listeners", "#") + lines, file="f", examine=examine)


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("expired.pem", "has expired on 2025-01-02: others will refuse it. Renew it"),
        ("ending.pem", "expires on 2"),
    ],
)
def test_the_end_of_a_certificate_is_told(file: str, told: str, folder: Path) -> None:
    (warning,) = seen(text(f"cert: {folder}/{file}")).warnings
    assert (warning.line, warning.key) == (5, "upstreams.a.tls.cert")
    assert warning.message.startswith(f"{folder}/{file} {told}")


def test_a_path_from_a_reference_is_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", str(folder))
    with pytest.raises(ConfigErrors, match=r"tls\.ca: the file is empty") as caught:
        seen(text('ca: "${env:WHERE}/empty.pem"'))
    assert str(folder) not in str(caught.value)


async def test_a_reload_looks_at_what_is_new(tmp_path: Path) -> None:
    async with scene(tmp_path) as it:
        (tmp_path / "logs").mkdir()
        it.config["access_log"] = {"path": str(tmp_path / "logs/log")}
        it.write()
        await it.reloader.reload()
        (tmp_path / "logs/log").unlink()
        (tmp_path / "logs").rmdir()  # it is open
        it.config["drain"] = "1s"
        it.write()
        await it.reloader.reload()
        assert (it.stats.reloads.accepted, it.stats.reloads.last_error) == (3, "")
        for key, value, told in (
            ("access_log", {"path": "/no/folder/log"}, "access_log.path: its folder does not"),
            ("listeners", [{"path": "/no/folder/s"}], "listeners[0].path: its folder does not"),
            ("admin", {"address": None, "health": "192.0.2.7:1"}, "admin.health: this machine"),
        ):
            right, it.config[key] = it.config[key], value
            it.write()
            await it.reloader.reload()
            assert f":1: {told}" in it.stats.reloads.last_error
            it.config[key] = right
        it.write()
        await it.reloader.reload()
        assert it.stats.reloads.last_error == ""


def test_offline_the_files_that_are_here_are_looked_at(folder: Path) -> None:
    lines = "access_log: {path: /none/log}\nlisteners: [{path: /none/s}, {address: 10.9.9.9:1}]"
    written = text(f"ca: {folder}/empty.pem").replace("access_log: {path: null}", "")
    written = "\n".join(line for line in written.splitlines() if not line.startswith("listeners"))
    with pytest.raises(ConfigErrors, match=r"tls\.ca: .* is empty"):
        seen(f"{written}\n{lines}", examine_offline)
    written = written.replace(f"{folder}/empty.pem", "/none/ca.pem")
    loaded = load(f"{written}\n{lines}", file="f.yaml", offline=True, examine=examine_offline)
    assert {each.key for each in loaded.unchecked} == {
        "upstreams.a.tls.ca",
        "access_log.path",
        "listeners[0].path",
        "listeners[1].address",
    }


def test_validity_is_read_from_any_certificate(folder: Path) -> None:
    for year, tag in ((1985, "UTC"), (2049, "UTC"), (2050, "generalised")):
        end = datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
        begin = end - timedelta(days=9)
        cert = trustme.CA().issue_cert("x", not_before=begin, not_after=end)
        content = cert.cert_chain_pems[0].bytes().decode()
        assert pem.validity(ssl.PEM_cert_to_DER_cert(content)) == (begin, end), tag
    der = ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text())
    for end_of in range(0, len(der), 7):
        assert pem.validity(der[:end_of]) is None
