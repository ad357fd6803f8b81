"""Who may call at a listener, and TLS there."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sidecar.config.model.base import Name, Section
from sidecar.policy.client_certificates import Allowed, NameKind
from sidecar.policy.client_certificates import Certificates as CertificateNames

Globs = Annotated[
    tuple[str, ...],
    Meta(
        min_length=1,
        max_length=1000,
        description="Names that may call, as globs (`*` and `?`); others get 403.",
    ),
]


class ServerTls(Section, frozen=True):
    """TLS of a listener. Both files are read again when they change."""

    cert: Annotated[
        str,
        Meta(description="File with the certificate, and those between it and its root (PEM)."),
    ]
    key: Annotated[
        str | None, Meta(description="File with its key (PEM). `null`: it is in `cert`.")
    ] = None


class Certificates(Section, frozen=True):
    """Callers with a client certificate (mTLS); the listener needs `tls`."""

    ca: Annotated[str, Meta(description="File with the CAs (PEM) that sign callers' certificates.")]
    name: Annotated[
        tuple[NameKind, ...],
        Meta(
            min_length=1,
            description="Where the caller's name is, the first that the certificate has: a "
            "SPIFFE ID (`spiffe`) or a DNS name (`dns`) among its alternative names, or the "
            "common name of its subject (`cn`).",
        ),
    ] = ("spiffe", "dns", "cn")
    allow: Globs = ("*",)

    def settings(self) -> CertificateNames:
        """Make what names callers."""
        return CertificateNames(self.name, Allowed(self.allow))


class Access(Section, frozen=True):
    """Only calls of known callers are served: by key or client certificate. Others get 401.

    A key comes in `authorization`, `x-api-key`, `api-key`, `x-goog-api-key` or `x-sidecar-key`, and
    does not go upstream.
    """

    callers: Annotated[
        dict[Name, Annotated[tuple[str, ...], Meta(min_length=1, max_length=10)]],
        Meta(
            max_length=1000,
            description="Names of callers, each with the SHA-256 digests of its keys: `sha256:` "
            "and 64 hexadecimal digits in lower case. Two keys let one be replaced.",
        ),
    ] = {}
    certificates: Annotated[
        Certificates | None, Meta(description="Callers by client certificates. `null`: none.")
    ] = None
