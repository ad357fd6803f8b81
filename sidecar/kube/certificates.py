"""Certificates of the webhook, made here. Pure, but for randomness.

Every renewal makes a new CA, which signs one certificate and is then forgotten: there is no CA key
to steal. The CA before stays in the bundle until the next renewal, so that replicas
which have not switched yet are still trusted.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LIFETIME: Final = timedelta(days=90)
_SKEW: Final = timedelta(minutes=10)
"""Clocks of API servers may be behind ours."""
_RENEW_AFTER: Final = 2 / 3
_KEPT: Final = 2
"""CAs in a bundle."""


class Certificate(Struct, frozen=True):
    """As a Secret has it, in PEM: a chain, its key, and the CAs to trust."""

    chain: bytes
    key: bytes
    bundle: bytes

    @property
    def pem(self) -> bytes:
        """What a server needs: its key and the chain."""
        return self.key + b"\n" + self.chain


def make(
    names: tuple[str, ...],
    now: datetime,
    *,
    before: Certificate | None = None,
    lifetime: timedelta = LIFETIME,
) -> Certificate:
    """A certificate for these DNS names. Its bundle has the newest CA of *before* too."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = _signed(ca_key, ca_key, None, names, now, lifetime)
    leaf = _signed(key, ca_key, ca, names, now, lifetime)
    pem = serialization.Encoding.PEM
    older = authorities(before.bundle)[: _KEPT - 1] if before is not None else []
    return Certificate(
        chain=leaf.public_bytes(pem),
        key=key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
        bundle=ca.public_bytes(pem) + b"".join(older),
    )


def due(certificate: Certificate, names: tuple[str, ...], now: datetime) -> bool:
    """Whether it is time for another one: two thirds are over, or it is for other names."""
    from cryptography import x509

    try:
        leaf = x509.load_pem_x509_certificate(certificate.chain)
        own = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return True
    lasts = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    over = now >= leaf.not_valid_before_utc + lasts * _RENEW_AFTER
    return over or set(own.get_values_for_type(x509.DNSName)) != set(names)


def expiry(chain: bytes) -> datetime:
    """When the first certificate of *chain* ends. Raise ValueError when there is none."""
    from cryptography import x509

    return x509.load_pem_x509_certificate(chain).not_valid_after_utc


def authorities(bundle: bytes) -> list[bytes]:
    """The certificates of a bundle, each as PEM."""
    end = b"-----END CERTIFICATE-----\n"
    return [part + end for part in bundle.split(end)[:-1]]


def _signed(
    key: EllipticCurvePrivateKey,
    by: EllipticCurvePrivateKey,
    issuer: x509.Certificate | None,
    names: tuple[str, ...],
    now: datetime,
    lifetime: timedelta,
) -> x509.Certificate:
    """A certificate of *key*: a CA's without an *issuer*, else a server's."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID

    from sidecar.ca.signing import begin, key_usage, named

    subject = named("llm-sidecar injector" if issuer is not None else "llm-sidecar injector CA")
    identity = x509.SubjectKeyIdentifier
    builder = (
        begin(
            subject, issuer.subject if issuer is not None else subject, now - _SKEW, now + lifetime
        )
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(key_usage(ca=issuer is None), critical=True)
        .add_extension(identity.from_public_key(key.public_key()), critical=False)
    )
    if issuer is not None:
        own = issuer.extensions.get_extension_for_class(identity).value
        authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = (
            builder.add_extension(authority, critical=False)
            .add_extension(alternatives, critical=False)
            .add_extension(usage, critical=False)
        )
    return builder.sign(by, hashes.SHA256())
