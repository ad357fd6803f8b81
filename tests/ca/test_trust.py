"""What is written for programs of other users."""

from pathlib import Path

import pytest

from sidecar.ca.authority import open_authority
from sidecar.ca.trust import publish


def test_everything_but_the_key(tmp_path: Path) -> None:
    ca, folder = tmp_path / "ca", tmp_path / "trust"
    publish(ca, folder, {})
    pem = open_authority(ca).pem
    assert sorted(file.name for file in folder.iterdir()) == [
        "bundle.pem", "ca.crt", "truststore.p12",
    ]  # fmt: skip
    assert (folder / "ca.crt").read_bytes() == pem
    assert (folder / "bundle.pem").read_bytes().endswith(pem)
    assert (folder / "bundle.pem").read_bytes().count(b"BEGIN CERT") > 1
    assert not any(b"PRIVATE" in file.read_bytes() for file in folder.iterdir())
    assert folder.stat().st_mode & 0o777 == 0o755
    assert all(file.stat().st_mode & 0o777 == 0o644 for file in folder.iterdir())


def test_again_changes_nothing(tmp_path: Path) -> None:
    ca, folder = tmp_path / "ca", tmp_path / "trust"
    publish(ca, folder, {})
    before = (folder / "bundle.pem").read_bytes()
    publish(ca, folder, {"SSL_CERT_FILE": str(folder / "bundle.pem")})
    assert (folder / "bundle.pem").read_bytes() == before


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for ca, folder in (("ca", "file/trust"), ("file/ca", "trust")):
        with pytest.raises(OSError, match="file"):
            publish(tmp_path / ca, tmp_path / folder, {})
