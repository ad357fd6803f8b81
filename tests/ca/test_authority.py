"""The local CA: its files, and leaves that strict clients take."""

import socket
import ssl
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sidecar.ca.authority import Authority, open_authority, read_authority
from sidecar.ca.folder import Unusable, default_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ca"


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_it_is_made_once_and_private(folder: Path) -> None:
    first = open_authority(folder)
    assert (mode(folder), mode(folder / "ca.pem"), mode(folder / "ca.crt")) == (0o700, 0o600, 0o644)
    assert sorted(file.name for file in folder.iterdir()) == ["ca.crt", "ca.pem"]
    assert (folder / "ca.crt").read_bytes() == first.pem
    assert open_authority(folder).pem == first.pem


def test_a_folder_that_is_there_keeps_its_mode(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    open_authority(folder)
    assert (mode(folder), mode(folder / "ca.pem")) == (0o755, 0o600)


def test_whoever_comes_at_the_same_time_gets_the_same(folder: Path) -> None:
    start = threading.Barrier(8)

    def opened(_: int) -> bytes:
        start.wait()
        return open_authority(folder).pem

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(opened, range(8)))) == 1


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Both ends of TLS in memory; the client's."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = server.wrap_bio(up, down, server_side=True)
    theirs = client.wrap_bio(down, up, server_hostname=name)
    for _ in range(3):
        for side in (theirs, ours):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return theirs


def strict_client(authority: Authority) -> ssl.SSLContext:
    """As Python 3.13 and later are by default: RFC 5280 to the letter."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("host", ["api.openai.com", "127.0.0.1", "::1", "a" * 60 + ".example.com"])
def test_a_leaf_satisfies_a_strict_client(folder: Path, host: str) -> None:
    authority = open_authority(folder)
    client = strict_client(authority)
    client.set_alpn_protocols(["h2", "http/1.1"])
    done = handshake(authority.context(host), client, host)
    assert done.version() == "TLSv1.3"
    assert done.selected_alpn_protocol() == "http/1.1"


def test_a_leaf_is_for_its_host_only(folder: Path) -> None:
    authority = open_authority(folder)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(authority.context("a.example"), strict_client(authority), "b.example")


def test_who_trusts_another_ca_refuses(tmp_path: Path) -> None:
    ours, other = open_authority(tmp_path / "a"), open_authority(tmp_path / "b")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(ours.context("a.example"), strict_client(other), "a.example")


def test_what_stands_in_a_leaf(folder: Path) -> None:
    authority = open_authority(folder)
    leaf = authority.leaf("a.example")
    public = leaf.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    signer = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    names = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert names.key_identifier == signer.value.digest
    now = datetime.now(UTC)
    assert leaf.not_valid_before_utc < now - timedelta(minutes=30)
    assert now + timedelta(days=1) < leaf.not_valid_after_utc < now + timedelta(days=90)
    assert leaf.serial_number != authority.leaf("a.example").serial_number


def test_a_leaf_can_sign_nothing(folder: Path) -> None:
    for certificate, is_ca in (
        (open_authority(folder).certificate, True),
        (open_authority(folder).leaf("a.example"), False),
    ):
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert (constraints.critical, constraints.value.ca) == (True, is_ca)
        assert usage.value.key_cert_sign is is_ca


def test_the_key_is_nowhere_but_in_its_file(folder: Path, tmp_path: Path) -> None:
    open_authority(folder).context("a.example")
    keys = [
        file
        for file in tmp_path.rglob("*")
        if file.is_file() and b"PRIVATE KEY" in file.read_bytes()
    ]
    assert keys == [folder / "ca.pem"]


def test_a_broken_file_is_told(folder: Path) -> None:
    whole = open_authority(folder)
    file = folder / "ca.pem"
    key = file.read_bytes().partition(b"-----BEGIN CERT")[0]
    foreign = rsa.generate_private_key(65537, 2048).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    other = open_authority(folder.parent / "other")
    for content in (b"", key, whole.pem, key + other.pem, foreign + whole.pem):
        file.write_bytes(content)
        with pytest.raises(Unusable, match=r"ca\.pem is no CA"):
            read_authority(file)


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(Unusable, match="file"):
        open_authority(file / "ca")


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    assert default_folder({"XDG_STATE_HOME": "/s"}) == Path("/s/llm-sidecar/ca")
    assert default_folder({}) == Path.home() / ".local/state/llm-sidecar/ca"
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError()))
    with pytest.raises(Unusable, match="no home"):
        default_folder({})


def test_sockets_serve_it_too(folder: Path) -> None:
    """A leaf whose chain a real client checks over a real connection."""
    authority = open_authority(folder)
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        accepted = pool.submit(
            lambda: authority.context("a.example").wrap_socket(ours, server_side=True)
        )
        client = strict_client(authority).wrap_socket(theirs, server_hostname="a.example")
        with client, accepted.result() as server:
            client.sendall(b"x")
            assert server.recv(1) == b"x"
