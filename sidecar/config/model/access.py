"""Who may call at a listener, and TLS there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Name, Section
from sidecar.config.model.units import Duration

if TYPE_CHECKING:
    from sidecar.policy.client_certificates import Certificates as CertificateNames
    from sidecar.policy.jwt import TokenRules

NameKind = Literal["spiffe", "dns", "cn"]
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
        from sidecar.policy.client_certificates import Allowed  # who knows no callers needs neither
        from sidecar.policy.client_certificates import Certificates as CertificateNames

        return CertificateNames(self.name, Allowed(self.allow))


class Tokens(Section, frozen=True):
    """Callers with a token of a Kubernetes service account (a JWT), which is checked offline."""

    keys: Annotated[
        str,
        Meta(
            description="File with the issuer's public keys: a JWK set, or keys in PEM. It is read "
            "again when it changes. RS256 and ES256."
        ),
    ]
    issuer: Annotated[str, Meta(min_length=1, description="The issuer of tokens, word for word.")]
    audiences: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        Meta(min_length=1, max_length=100, description="A token is for at least one of these."),
    ]
    header: Annotated[
        str,
        Meta(description="The header with the token, with or without `Bearer`. It stays here."),
    ] = "authorization"
    leeway: Annotated[Duration, Meta(description="How far clocks may differ.")] = Duration("60s")
    allow: Globs = ("*",)

    def settings(self) -> TokenRules:
        """Make what tokens are checked by."""
        from sidecar.policy.client_certificates import Allowed
        from sidecar.policy.jwt import TokenRules

        return TokenRules(
            issuer=self.issuer,
            audiences=frozenset(self.audiences),
            leeway=float(self.leeway),
            allowed=Allowed(self.allow),
            header=self.header.lower().encode(),
        )


class Access(Section, frozen=True):
    """Only calls of known callers are served: by key, token or client certificate. Others get 401.

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
    tokens: Annotated[
        Tokens | None, Meta(description="Callers by tokens of service accounts. `null`: none.")
    ] = None
    certificates: Annotated[
        Certificates | None, Meta(description="Callers by client certificates. `null`: none.")
    ] = None
