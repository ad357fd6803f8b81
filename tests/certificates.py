"""CAs, and the certificates of servers and callers that they sign."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_USAGES: Final = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
    "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Issued:
    """A certificate with its key, both PEM."""

    def __init__(self, cert: bytes, key: bytes) -> None:
        self.cert = cert
        self.key = key

    def write(self, folder: Path, name: str) -> tuple[str, str]:
        """Paths of both, written anew."""
        for suffix, content in (("crt", self.cert), ("key", self.key)):
            folder.joinpath(f"{name}.{suffix}").write_bytes(content)
        return str(folder / f"{name}.crt"), str(folder / f"{name}.key")

    def both(self, folder: Path, name: str) -> str:
        """Path of one file with both."""
        file = folder / f"{name}.pem"
        file.write_bytes(self.cert + self.key)
        return str(file)


class Ca:
    """A root of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test CA")])
        self.pem = self._sign(self._name, self._key.public_key(), ca=True).public_bytes(
            Encoding.PEM
        )

    def issue(
        self,
        cn: str | None = None,
        *,
        dns: Sequence[str] = (),
        uri: Sequence[str] = (),
        days: float = 1,
    ) -> Issued:
        """Sign a certificate that is good for so many more days."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn)] if cn else [])
        names: list[x509.GeneralName] = [
            *map(x509.UniformResourceIdentifier, uri),
            *map(x509.DNSName, dns),
        ]
        if dns == ("localhost",):
            names.append(x509.IPAddress(ip_address("127.0.0.1")))
        made = self._sign(subject, key.public_key(), names=names, days=days)
        return Issued(made.public_bytes(Encoding.PEM), private(key))

    def client(self, folder: Path, issued: Issued | None = None) -> ssl.SSLContext:
        """What a client needs that trusts this CA, and shows *issued*."""
        context = ssl.create_default_context(cadata=self.pem.decode())
        if issued is not None:
            context.load_cert_chain(issued.both(folder, "client"))
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        ca: bool = False,
        names: Sequence[x509.GeneralName] = (),
        days: float = 10,
    ) -> x509.Certificate:
        until = datetime.now(UTC) + timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - timedelta(days=20))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        # What RFC 5280 asks for, and Python from 3.13 on.
        own = self._key.public_key()
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(own), critical=False
        ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        if ca:
            usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True}
            builder = builder.add_extension(x509.KeyUsage(**usage), critical=True)
        if names:
            alternative = x509.SubjectAlternativeName(names)
            builder = builder.add_extension(alternative, critical=not list(subject))
        return builder.sign(self._key, SHA256())
