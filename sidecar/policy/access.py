"""Who calls: by a key, of which only a digest is known here, a token or a client certificate."""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from sidecar.policy.rate import Keyed, Rate

if TYPE_CHECKING:
    from sidecar.policy.client_certificates import Certificates
    from sidecar.policy.jwt import Tokens

PREFIX: Final = "sha256:"
FAILURES: Final = 10
"""Failures that one address may have at once."""
_PER_SECOND: Final = 0.2
"""And later on."""
_ADDRESSES: Final = 10_000
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""How IPv6 addresses begin that stand for one of IPv4."""


class Access:
    """The callers of one listener, by name, and the failures of each address.

    Keys are random and long, so that a fast hash is enough: nobody can try all of them. How long a
    look-up takes tells nothing of a digest that is known: it goes by a hash with a secret of this
    process, and what it finds is compared in constant time.
    """

    certificates: Certificates | None = None
    """How client certificates name callers; None: they don't."""

    tokens: Tokens | None = None
    """Which tokens name callers; None: none does."""

    def __init__(self) -> None:
        self._secret = os.urandom(32)
        self._failures: Keyed[Rate] = Keyed(lambda: Rate(_PER_SECOND, FAILURES), _ADDRESSES)
        self._names: dict[bytes, tuple[bytes, str]] = {}

    def __repr__(self) -> str:
        return f"<Access of {len(self._names)} keys>"

    def configure(self, callers: Mapping[str, Iterable[str]]) -> None:
        """Know these *callers* from now on, each with its `sha256:HEX` of keys."""
        digests = (
            (bytes.fromhex(each.removeprefix(PREFIX)), name)
            for name, keys in callers.items()
            for each in keys
        )
        self._names = {self._place(digest): (digest, name) for digest, name in digests}

    @property
    def ways(self) -> tuple[str, ...]:
        """What a caller may show."""
        ways = {
            "a key": self._names,
            "a token": self.tokens,
            "a client certificate": self.certificates,
        }
        return tuple(way for way, known in ways.items() if known)

    def caller(self, key: bytes) -> str | None:
        """Return the name of the caller whose *key* this is."""
        digest = hashlib.sha256(key).digest()
        known, name = self._names.get(self._place(digest), (b"", ""))
        return name if hmac.compare_digest(known, digest) else None

    def failed(self, address: str, now: float) -> float:
        """Count a failure of *address*. Return the seconds that it must wait; 0.0: none."""
        return self._failures.get(_network(address), now).take(now)

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._secret, digest_size=16).digest()


def _network(address: str) -> str:
    """Return what one host surely has: of IPv6, all addresses of its network (RFC 4291, 2.5.1)."""
    if ":" not in address:
        return address
    try:
        whole = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except OSError:
        return address
    return (
        address
        if whole[:12] == _MAPPED
        else socket.inet_ntop(socket.AF_INET6, whole[:8] + bytes(8))
    )
