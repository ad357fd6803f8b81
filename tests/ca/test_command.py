"""`sidecar ca`, and what the files that it writes are good for."""

import shutil
import subprocess
from pathlib import Path

import pytest

from sidecar import cli
from sidecar.ca.authority import open_authority
from sidecar.ca.bundle import roots
from sidecar.ca.folder import PASSWORD


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "llm-sidecar" / "ca"


def says(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert cli.main(["ca", *arguments]) == 0
    return capsys.readouterr().out.strip()


def test_init_makes_it_and_path_finds_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert says(capsys, "init") == says(capsys, "path") == str(folder / "ca.crt")
    pem = (folder / "ca.crt").read_bytes()
    assert pem == open_authority(folder).pem
    (folder / "ca.crt").unlink()
    says(capsys, "path")
    assert (folder / "ca.crt").read_bytes() == pem


def test_show(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ca", "show"]) == 1
    assert "there is no CA in " in capsys.readouterr().err
    says(capsys, "init")
    shown = says(capsys, "show")
    assert "CN=llm-sidecar local CA" in shown
    assert str(folder / "ca.crt") in shown


def certificates(file: str) -> list[str]:
    """PEM blocks; system roots are too old for some parsers."""
    text = Path(file).read_text()
    return [block.strip() for block in text.split("-----BEGIN CERTIFICATE-----")[1:]]


def certificate_of(folder: Path) -> str:
    return certificates(str(folder / "ca.crt"))[0]


def test_the_bundle_has_the_system_s_roots_and_ours(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [system] = roots({})
    both = certificates(says(capsys, "bundle"))
    assert both[-1] == certificate_of(folder)
    assert set(both[:-1]) == set(certificates(str(system)))


def test_what_the_user_trusts_already_stays_trusted(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_authority(tmp_path / "company")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "company" / "ca.crt"))
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", "/nowhere")
    bundle = says(capsys, "bundle")
    assert certificate_of(tmp_path / "company") in certificates(bundle)
    # Pointed at the bundle itself, as in a shell that `sidecar env` has set up: the same again.
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    size = len(certificates(bundle))
    assert len(certificates(says(capsys, "bundle"))) == size - 1


def test_it_goes_where_it_is_asked_for(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "roots.pem"
    assert says(capsys, "bundle", "-o", str(out)) == str(out)
    assert out.stat().st_mode & 0o777 == 0o644
    other = tmp_path / "other"
    assert says(capsys, "bundle", "--folder", str(other)) == str(other / "bundle.pem")


@pytest.mark.skipif(shutil.which("keytool") is None, reason="Java is not installed")
def test_java_reads_the_trust_store(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = says(capsys, "truststore")
    listed = subprocess.run(
        ["keytool", "-list", "-v", "-keystore", store, "-storepass", PASSWORD],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    count = len(certificates(says(capsys, "bundle")))
    assert f"Your keystore contains {count} entries" in listed
    assert listed.count("trustedCertEntry") == count
    assert "CN=llm-sidecar local CA" in listed


def test_what_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.main(["ca", "init", "--folder", str(tmp_path / "file" / "ca")]) == 1
    assert "file" in capsys.readouterr().err
