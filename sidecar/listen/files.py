"""What the files of a listener hold. They are read before it serves, off the loop."""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sidecar.config.model import Listener as Config
    from sidecar.policy.jwks import PublicKey


class Files(NamedTuple):
    """What a listener serves with, besides its configuration."""

    context: ssl.SSLContext | None = None
    """None: no TLS."""
    digest: str = ""
    """Of what `context` was made of."""
    authorities: str = ""
    """Digest of the CAs of callers' certificates."""
    keys: tuple[PublicKey, ...] = ()
    """Those of the issuer of callers' tokens."""


NO_FILES: Final = Files()


def read_files(config: Config, known: Files) -> Files:
    """Read the files of *config*; what is the same is taken from *known*.

    Raise OSError for those that can't be used.
    """
    tls, access = config.tls, config.access
    keys: tuple[PublicKey, ...] = ()
    if access is not None:
        from sidecar.listen.callers import token_keys

        keys = token_keys(access)
    if tls is None:
        return Files(keys=keys)
    certificates = access.certificates if access is not None else None
    ca = certificates.ca if certificates is not None else None
    digest = _digest(tls.cert, tls.key, ca)
    if digest == known.digest:
        return known._replace(keys=keys)
    return Files(_server_context(tls.cert, tls.key, ca), digest, _digest(ca), keys)


def _server_context(cert: str, key: str | None, ca: str | None) -> ssl.SSLContext:
    """Make a context for HTTP/1.1. With *ca*, clients are asked for a certificate of it.

    Who shows another one fails in the handshake. Who shows none does not: it may be known by a
    key, and is told in the words of its API if it is not.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(cert, key, lambda: "")  # no question at the terminal
    if ca is not None:
        context.load_verify_locations(ca)
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _digest(*names: str | None) -> str:
    contents = [None if name is None else Path(name).read_bytes() for name in names]
    return hashlib.sha256(repr(contents).encode()).hexdigest()
