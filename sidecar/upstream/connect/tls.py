"""TLS towards endpoints: verified always, against the system's roots or a given CA."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sidecar.config.model import Tls
    from sidecar.config.model import Upstream as UpstreamConfig

PLAIN = ""
"""The digest of no TLS."""


_OURS: Final = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_NO_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""Alerts of a server (RFC 8446, section 6.2) that can only mean its client's certificate. With TLS
1.3 they come after the handshake, in place of a reply."""


def refusal_of_ours(error: Exception | None) -> str | None:
    """Return the alert about our client certificate, if *error* is one."""
    reason: str | None = error.reason if isinstance(error, ssl.SSLError) else None
    return reason if reason in _OURS else None


class Secured(NamedTuple):
    """What an upstream's https endpoints connect with."""

    digest: str
    """Of the settings and all files behind them; endpoints are made anew when it changes."""
    context: ssl.SSLContext | None
    """None where no endpoint has TLS."""


def system_roots() -> list[Path]:
    """Return where OpenSSL looks for the system's roots: a file and folders, if they exist."""
    paths = ssl.get_default_verify_paths()
    file = os.environ.get(paths.openssl_cafile_env, paths.openssl_cafile)
    folders = os.environ.get(paths.openssl_capath_env, paths.openssl_capath)
    return [Path(path) for path in (file, *folders.split(os.pathsep)) if path]


def stamp(paths: Iterable[Path]) -> str:
    """Return a text that changes when a file, or what is in a folder, is replaced or changed."""
    return " ".join(map(_stamp, paths))


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return "-"
    return f"{status.st_dev}:{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"


def uses_system_roots(config: UpstreamConfig) -> bool:
    """Whether an endpoint is verified against the system's roots."""
    return config.tls.ca is None and _is_secure(config)


def secured(config: UpstreamConfig, known: dict[str, ssl.SSLContext]) -> Secured:
    """Make what *config* asks for, or take it from *known* contexts, which are by digest.

    Reads files. Raise OSError for those that can't be used.
    """
    if not _is_secure(config):
        return Secured(PLAIN, None)
    digest = digest_of(config.tls)
    return Secured(digest, known.get(digest) or client_context(config.tls))


def _is_secure(config: UpstreamConfig) -> bool:
    return any((e.url or e.dns or "").startswith("https:") for e in config.endpoints)


def digest_of(tls: Tls) -> str:
    """Return a digest of *tls* and of all files behind it. Raise OSError if one can't be read."""
    digest = hashlib.sha256(repr(tls).encode())
    for path in (tls.ca, tls.cert, tls.key):
        if path is not None:
            digest.update(Path(path).read_bytes())
    if tls.ca is None:
        digest.update(stamp(system_roots()).encode())
    return digest.hexdigest()


def client_context(tls: Tls) -> ssl.SSLContext:
    """Make a context for *tls*, in about 17 ms. Raise OSError for unusable files."""
    context = ssl.create_default_context(cafile=tls.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # RFC 9110, section 4.3.4: a certificate is for its subjectAltName, never for its common name.
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(["http/1.1"])
    if tls.cert is not None:
        context.load_cert_chain(tls.cert, tls.key, _no_passphrase)
    return context


def _no_passphrase() -> str:
    """Keep OpenSSL from asking on the terminal."""
    return ""
