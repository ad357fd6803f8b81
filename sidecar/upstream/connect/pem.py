"""What is wrong with files of certificates and keys, told before OpenSSL's words for it.

Without `cryptography`, which takes 10 MB: the labels of PEM (RFC 7468) tell most mistakes, and a
certificate's validity is found with a few steps through its DER (RFC 5280, section 4.1).
"""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, NamedTuple

_BLOCK: Final = re.compile(r"^-----BEGIN ([A-Z0-9 ]+)-----\s.*?^-----END \1-----", re.M | re.S)
_CERTIFICATES: Final = ("CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE")
_KEY: Final = "PRIVATE KEY"
_SEQUENCE: Final = 0x30
_VERSION: Final = 0xA0
_UTC_TIME: Final = 0x17


class Wrong(NamedTuple):
    """A mistake in one of the files."""

    key: Literal["ca", "cert", "key"]
    """Which setting names it."""
    message: str


def wrong_roots(ca: str) -> Wrong | None:
    """Tell what is wrong with the file *ca* of roots. Raise OSError if it can't be read."""
    if wrong := _wrong_certificates(Path(ca).read_bytes()):
        return Wrong("ca", wrong)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(ca)
    except ssl.SSLError as error:
        return Wrong("ca", f"has a damaged certificate ({_reason(error)})")
    return None


def wrong_pair(cert: str, key: str | None) -> Wrong | None:
    """Tell what is wrong with a certificate and its *key*, which else is in the file *cert*.

    Raise OSError for a file that can't be read.
    """
    content = Path(cert).read_bytes()
    if wrong := _wrong_certificates(content):
        return Wrong("cert", wrong)
    place: Literal["cert", "key"] = "cert" if key is None else "key"
    wrong = _wrong_key(content if key is None else Path(key).read_bytes(), alone=key is not None)
    if wrong:
        return Wrong(place, wrong)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert, key, lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            wrong = (
                "is not the key of the first certificate in `cert`; our own certificate has to be "
                "the first there, before those that signed it"
            )
            return Wrong(place, wrong)
        return Wrong(place, f"does not load together with its certificate ({_reason(error)})")
    return None


def first_validity(path: str) -> tuple[datetime, datetime] | None:
    """Return from when until when the first certificate of a file is valid; None if unreadable."""
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    for match in _BLOCK.finditer(text):
        if match[1] == _CERTIFICATES[0]:
            return validity(ssl.PEM_cert_to_DER_cert(match[0]))
    return None


def validity(der: bytes) -> tuple[datetime, datetime] | None:
    """Return from when until when a certificate is valid; None for one that can't be read."""
    try:
        tag, certificate, _ = _element(der)
        if tag != _SEQUENCE:
            return None
        _, rest, _ = _element(certificate)
        tag, _, after = _element(rest)
        if tag == _VERSION:
            rest = after
        for _ in range(3):  # serial number, signature algorithm, issuer
            _, _, rest = _element(rest)
        _, times, _ = _element(rest)
        first, begins, times = _element(times)
        second, ends, _ = _element(times)
        return _time(first, begins), _time(second, ends)
    except (IndexError, ValueError):
        return None


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Take an element from *data* (X.690): its tag, its contents and what follows."""
    tag, size, start = data[0], data[1], 2
    if size >= 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if start + size > len(data):
        raise ValueError("cut short")
    return tag, data[start : start + size], data[start + size :]


def _time(tag: int, text: bytes) -> datetime:
    digits = text.decode("ascii")
    if tag == _UTC_TIME:  # of two digits: 1950 to 2049
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _wrong_certificates(content: bytes) -> str | None:
    labels = _labels(content)
    if isinstance(labels, str):
        return labels
    if any(label in _CERTIFICATES for label in labels):
        return None
    if any(label.endswith(_KEY) for label in labels):
        return "has a key, but no certificate: are the two files mixed up?"
    return "has no certificate, which begins with -----BEGIN CERTIFICATE-----"


def _wrong_key(content: bytes, *, alone: bool) -> str | None:
    labels = _labels(content)
    if isinstance(labels, str):
        return labels
    if any(label == f"ENCRYPTED {_KEY}" for label in labels) or b"Proc-Type: 4,ENC" in content:
        return (
            "has an encrypted key, and there is nobody to ask for its passphrase; write it "
            "without one: openssl pkey -in FILE -out NEW"
        )
    if any(label.endswith(_KEY) for label in labels):
        return None
    if not alone:
        return "has no private key: name its file in `key`, or add it to this file"
    if any(label in _CERTIFICATES for label in labels):
        return "has a certificate, but no private key: are the two files mixed up?"
    return "has no private key, which begins with -----BEGIN PRIVATE KEY-----"


def _labels(content: bytes) -> list[str] | str:
    """List the labels of the blocks in *content*, or tell why there can't be any."""
    if not content.strip():
        return "is empty"
    if content.startswith(b"\xef\xbb\xbf"):
        return "begins with a byte order mark, which hides its first line; save it as plain UTF-8"
    if content[0] == _SEQUENCE and b"-----BEGIN" not in content:
        return "is DER, not PEM; convert it: openssl x509 -inform der -in FILE -out NEW"
    labels = [match[1] for match in _BLOCK.finditer(content.decode("utf-8", errors="replace"))]
    if not labels and b"-----BEGIN" in content:
        return "is cut short: a -----BEGIN line has no -----END line after it"
    return labels


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).lower().replace("_", " ")
