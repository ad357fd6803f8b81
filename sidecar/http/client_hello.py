"""Read the first message of TLS without answering it: the client's server name and protocols.

RFC 8446, sections 4.1.2 and 5.1; SNI is RFC 6066, section 3; ALPN is RFC 7301. No bytes raise an
exception, and bytes after the first `MAX_HELLO` are not read.
"""

from __future__ import annotations

import hashlib
import re
from enum import Enum
from typing import Final, NamedTuple

MAX_HELLO: Final = 32 * 1024
"""Bytes. A client with post-quantum keys sends about 2 KiB, one with many tickets some more."""

_MAX_RECORD: Final = 2**14
_MAX_RECORDS: Final = 64
"""Clients use one or two. The limit keeps a read cheap, because each new byte causes one."""
_SERVER_NAME: Final = 0
_ALPN: Final = 16
_OF_ONE_CONNECTION: Final = frozenset({21, 35, 41, 42, 44, 45})
"""Extensions that a client sends with some of its hellos: padding (RFC 7685), session_ticket (RFC
5077), pre_shared_key, early_data, cookie and psk_key_exchange_modes (RFC 8446, section 4.2)."""
_HOST: Final = re.compile(rb"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\.?")


class Unread(Enum):
    """Why there is no ClientHello."""

    MORE = "what came so far may be the beginning of one"
    OTHER = "it is none that we understand"


class ClientHello(NamedTuple):
    """The parts of a ClientHello that we use."""

    server_name: str | None
    """In lower case, without a trailing dot; None if the client named no (valid) host."""
    alpn: tuple[bytes, ...]
    """The client's protocols, preferred first; empty without ALPN."""
    fingerprint: bytes
    """Hash of ciphers and extensions: the same for all connections of one TLS stack, whether or
    not they resume a session."""


def read_hello(data: bytes) -> ClientHello | Unread:
    """Read the ClientHello at the beginning of a connection's *data*."""
    message = _message(data[:MAX_HELLO])
    if message is Unread.MORE and len(data) >= MAX_HELLO:
        return Unread.OTHER
    if isinstance(message, Unread):
        return message
    try:
        return _parse(_Reader(message))
    except _Broken:
        return Unread.OTHER


def _message(data: bytes) -> bytes | Unread:
    """Return the body of the first handshake message, which may span several records."""
    joined = b""
    at = 0
    for _ in range(_MAX_RECORDS):
        size = _record(data[at : at + 5])
        if isinstance(size, Unread):
            return size
        joined += data[at + 5 : at + 5 + size]
        at += 5 + size
        length = int.from_bytes(joined[1:4])
        if joined[:1] not in (b"", b"\x01") or length > MAX_HELLO:
            return Unread.OTHER
        if len(joined) >= 4 and len(joined) >= 4 + length:
            return joined[4 : 4 + length]
        if at > len(data):
            return Unread.MORE
    return Unread.OTHER


def _record(header: bytes) -> int | Unread:
    """Return the length of the record with *header*, if it is a handshake record."""
    if not b"\x16\x03".startswith(header[:2]) or header[2:3] > b"\x04":
        return Unread.OTHER
    if len(header) < 5:
        return Unread.MORE
    size = int.from_bytes(header[3:])
    return size if 0 < size <= _MAX_RECORD else Unread.OTHER


class _Broken(Exception):
    """A length exceeds the data, or an element occurs twice."""


class _Reader:
    """Reads bytes from the front, never more than there are."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise _Broken
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def vector(self, size: int) -> bytes:
        """Read a vector whose length is in its first *size* bytes (RFC 8446, section 3.4)."""
        return self.take(self.number(size))

    @property
    def rest(self) -> bool:
        return self._at < len(self._data)


def _parse(hello: _Reader) -> ClientHello:
    hello.take(2 + 32)  # version, random
    hello.vector(1)  # session
    ciphers = hello.vector(2)
    hello.vector(1)  # compression
    found: dict[int, bytes] = {}
    extensions = _Reader(hello.vector(2) if hello.rest else b"")
    while extensions.rest:
        kind, content = extensions.number(2), extensions.vector(2)
        if kind in found:
            raise _Broken  # RFC 8446, section 4.2
        found[kind] = content
    return ClientHello(
        _server_name(found.get(_SERVER_NAME)),
        _protocols(found.get(_ALPN)),
        _fingerprint(ciphers, found),
    )


def _server_name(content: bytes | None) -> str | None:
    """Return the first host name of a server_name extension."""
    names = _Reader(_Reader(content).vector(2) if content else b"")
    while names.rest:
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            valid = _HOST.fullmatch(name)
            return name.decode().lower().removesuffix(".") if valid else None
    return None


def _protocols(content: bytes | None) -> tuple[bytes, ...]:
    names = _Reader(_Reader(content).vector(2) if content else b"")
    found: list[bytes] = []
    while names.rest:
        found.append(names.vector(1))
    return tuple(found)


def _fingerprint(ciphers: bytes, extensions: dict[int, bytes]) -> bytes:
    """Return eight bytes that distinguish TLS stacks.

    They leave out the random reserved values (RFC 8701) and extensions that vary between
    connections, and ignore the order of extensions, which some stacks shuffle.
    """
    listed = [int.from_bytes(ciphers[at : at + 2]) for at in range(0, len(ciphers), 2)]
    kinds = sorted(k for k in extensions.keys() - _OF_ONE_CONNECTION if not _reserved(k))
    text = repr(([suite for suite in listed if not _reserved(suite)], kinds))
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _reserved(value: int) -> bool:
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF
