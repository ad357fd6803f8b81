"""What a program is to trust: the roots that it trusted before, and the local CA.

Programs take such a file *instead* of the system's roots (SSL_CERT_FILE, REQUESTS_CA_BUNDLE, a
Java trust store), so that ours alone would cut them off from everything else.
"""

from __future__ import annotations

import re
import ssl
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import (
    PKCS12Certificate,
    serialize_java_truststore,
)

from sidecar.ca.folder import PASSWORD

_VARIABLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Where a user may have said already what is to be trusted, such as a company's own root."""
_WELL_KNOWN: Final = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, Red Hat
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # macOS, the BSDs
)
_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----\s.+?-----END CERTIFICATE-----", re.DOTALL)


def roots(environ: Mapping[str, str]) -> list[Path]:
    """Files with what is trusted now: the system's roots, and what *environ* names."""
    named = [Path(environ[name]) for name in _VARIABLES if environ.get(name)]
    system = [Path(path) for path in (ssl.get_default_verify_paths().cafile, *_WELL_KNOWN) if path]
    there = next((file for file in system if file.is_file()), None)
    return [file for file in (there, *named) if file is not None and file.is_file()]


def bundle(files: Iterable[Path], ours: bytes) -> bytes:
    """Certificates of *files* and *ours*, each once, as PEM. Raise OSError."""
    blocks = [block for file in files for block in _BLOCK.findall(file.read_bytes())]
    return b"\n".join(dict.fromkeys([*blocks, ours.strip()])) + b"\n"


def trust_store(pem: bytes) -> bytes:
    """The certificates of *pem* as PKCS#12 that Java takes for trusted. Unreadable ones are left
    out: a system's roots have some that are older than today's rules."""
    entries = [
        PKCS12Certificate(certificate, b"root-%d" % number)
        for number, block in enumerate(_BLOCK.findall(pem))
        if (certificate := _readable(block)) is not None
    ]
    return serialize_java_truststore(entries, BestAvailableEncryption(PASSWORD.encode()))


def _readable(block: bytes) -> x509.Certificate | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return x509.load_pem_x509_certificate(block)
        except ValueError:
            return None
