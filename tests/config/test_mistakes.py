"""Each mistake is told with file, line, key and remedy; without it, nothing is told."""

from __future__ import annotations

import base64
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
import yaml
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from sidecar.cli import main
from sidecar.config.read import tree
from tests.config.mistakes.table import GOOD, MISTAKES, Mistake, page

KEY = "sk-test-of-openai"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the configurations name."""
    made = tmp_path_factory.mktemp("files")
    authority = trustme.CA()
    leaf, other = authority.issue_cert("client"), authority.issue_cert("client")
    old = authority.issue_cert("client", not_after=datetime(2025, 1, 2, tzinfo=UTC))
    root, cert = authority.cert_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    key = leaf.private_key_pem.bytes()
    files = {
        "openai-key": f"{KEY}\n".encode(),
        "two-lines": f"{KEY}\n{KEY}\n".encode(),
        "empty": b"\n",
        "bom": f"\ufeff{KEY}\n".encode(),
        "binary": b"\xff\xfe\x00",
        "umlaut": "sk-schlüssel".encode(),
        "bearer": f"Bearer {KEY}".encode(),
        "quoted": f'"{KEY}"'.encode(),
        "base64": base64.b64encode(f"{KEY}\n".encode()),
        "ca.pem": root,
        "ca.der": ssl.PEM_cert_to_DER_cert(root.decode()),
        "cert.pem": cert,
        "key.pem": key,
        "other-key.pem": other.private_key_pem.bytes(),
        "reversed.pem": root + cert,
        "expired.pem": old.cert_chain_pems[0].bytes() + old.private_key_pem.bytes(),
        "locked.pem": load_pem_private_key(key, None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"phrase")
        ),
    }
    for name, content in files.items():
        (made / name).write_bytes(content)
    (made / "folder").mkdir()
    return made


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OWN_KEY", "own-key")
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    return folder


def test_without_a_mistake_nothing_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "sidecar.yaml").write_text(GOOD)
    assert main(["check", "--strict", "sidecar.yaml"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("sidecar.yaml is valid\n", "")


def test_there_are_enough() -> None:
    names = [mistake.name for mistake in MISTAKES]
    assert len(set(names)) == len(names) >= 75


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_each_mistake_is_told(
    mistake: Mistake, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sidecar.yaml").write_text(mistake.text)
    assert main(["check", "sidecar.yaml"]) == (0 if mistake.only else 1)
    told = capsys.readouterr().err.splitlines()
    if not mistake.only:
        assert told.pop().endswith(" in sidecar.yaml")  # how many there are
    (found,) = [each for each in told if f": {mistake.key}" in each and mistake.told in each]
    place, _, rest = found.removeprefix("sidecar.yaml:").partition(": ")
    assert mistake.on in mistake.text.splitlines()[int(place) - 1], found
    assert rest.startswith(f"{mistake.key}: " if mistake.key else ""), found
    assert rest.endswith(" (warning)") == bool(mistake.only)
    assert KEY not in found
    assert len(told) <= 2, told  # nor is much else told


def test_without_libyaml_the_same_is_told_of_syntax(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "Loader", yaml.SafeLoader)
    broken = [mistake for mistake in MISTAKES if not mistake.key]
    assert len(broken) > 8
    for mistake in broken:
        with pytest.raises(tree.Unreadable, match=re.escape(mistake.told)) as caught:
            tree.read(mistake.text)
        line = mistake.text.splitlines()[(caught.value.problem.line or 0) - 1]
        assert mistake.on in line, (mistake.name, line)


def test_the_page_shows_the_tables() -> None:
    written = Path(__file__).parents[2] / "docs/mistakes.md"
    assert written.read_text(encoding="utf-8") == page() + "\n", "run `make docs`"
