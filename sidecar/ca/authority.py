"""A CA on P-256, and the leaves that it signs (RFC 5280).

Imported late, where a certificate is needed: `cryptography` takes time and memory that a sidecar
that intercepts nothing has no use for.
"""

from __future__ import annotations

import secrets
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

from sidecar.ca.folder import (
    CERTIFICATE_FILE,
    KEY_FILE,
    Unusable,
    make_private,
    write,
    write_first,
)
from sidecar.ca.in_memory import load_pem
from sidecar.ca.signing import begin, key_usage, named

_CA_DAYS: Final = 3650
_LEAF_DAYS: Final = 30
"""A leaf lives as long as a process remembers it; clients refuse those of years."""
_SKEW: Final = timedelta(hours=1)
"""A client's clock may be this much behind ours."""
_LONGEST_NAME: Final = 64
"""What a common name holds (RFC 5280, appendix A.1)."""


class Authority:
    """A CA with its key. All its leaves of one process have one key, made with it."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        identifier = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        self._identifier = identifier.value

    @property
    def pem(self) -> bytes:
        """Its certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    def context(self, host: str) -> ssl.SSLContext:
        """What a server needs to be *host*, a name or an address, over HTTP/1.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        load_pem(context, self.identity(host))
        return context

    def identity(self, host: str) -> bytes:
        """A key and a leaf for *host*, as PEM."""
        return _private(self._leaf_key) + self.leaf(host).public_bytes(Encoding.PEM)

    def leaf(self, host: str) -> x509.Certificate:
        """A certificate for *host*."""
        now = datetime.now(UTC)
        until = min(now + timedelta(days=_LEAF_DAYS), self.certificate.not_valid_after_utc)
        public = self._leaf_key.public_key()
        name, issuer = named(host[:_LONGEST_NAME]), self.certificate.subject
        return (
            begin(name, issuer, now - _SKEW, until)
            .public_key(public)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_name(host)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier),
                critical=False,
            )
            .sign(self._key, SHA256())
        )


def open_authority(folder: Path) -> Authority:
    """The CA in *folder*; it is made if there is none. Raise Unusable."""
    file = folder / KEY_FILE
    try:
        if file.exists():
            return read_authority(file)
        make_private(folder)
        made = write_first(file, _new_authority())
        authority = _parse(made, file)
        write(folder / CERTIFICATE_FILE, authority.pem)
    except Unusable:
        raise
    except OSError as error:
        raise Unusable(f"{error.filename or folder}: {error.strerror}") from error
    return authority


def read_authority(file: Path) -> Authority:
    """The CA in *file*. Raise Unusable, or OSError if the file can't be read."""
    return _parse(file.read_bytes(), file)


def _parse(content: bytes, file: Path) -> Authority:
    try:
        key = load_pem_private_key(content, None)
        certificate = x509.load_pem_x509_certificate(content)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("its key is not an elliptic-curve key")
        if key.public_key() != certificate.public_key():
            raise ValueError("key and certificate belong to different CAs")
        return Authority(certificate, key)
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise Unusable(f"{file} is no CA of ours: {error}") from error


def _new_authority() -> bytes:
    """PEM of a new key and its own certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    now = datetime.now(UTC)
    name = named(f"llm-sidecar local CA {secrets.token_hex(4)}")
    certificate = (
        begin(name, name, now - _SKEW, now + timedelta(days=_CA_DAYS))
        .public_key(public)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, SHA256())
    )
    return _private(key) + certificate.public_bytes(Encoding.PEM)


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
