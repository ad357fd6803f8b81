"""Which caller a key belongs to. Only digests of keys are known here."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.policy.rate import Keyed, Rate

PREFIX: Final = "sha256:"
FAILURES: Final = 10
"""Wrong keys that one address may send at once."""
_PER_SECOND: Final = 0.2
"""And later on."""
_ADDRESSES: Final = 10_000


class Access:
    """The callers of one listener, by name, and the failures of each address.

    Keys are random and long, so that a fast hash is enough: nobody can try all of them. How long a
    look-up takes tells nothing of a digest that is known: it goes by a hash with a secret of this
    process, and what it finds is compared in constant time.
    """

    def __init__(self, callers: Mapping[str, Iterable[str]]) -> None:
        self._secret = os.urandom(32)
        self._failures: Keyed[Rate] = Keyed(lambda: Rate(_PER_SECOND, FAILURES), _ADDRESSES)
        self._names: dict[bytes, tuple[bytes, str]] = {}
        self.configure(callers)

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

    def caller(self, key: bytes) -> str | None:
        """Return the name of the caller whose *key* this is."""
        digest = hashlib.sha256(key).digest()
        known, name = self._names.get(self._place(digest), (b"", ""))
        return name if hmac.compare_digest(known, digest) else None

    def failed(self, address: str, now: float) -> float:
        """Count a failure of *address*. Return the seconds that it must wait; 0.0: none."""
        return self._failures.get(address, now).take(now)

    def _place(self, digest: bytes) -> bytes:
        return hashlib.blake2b(digest, key=self._secret, digest_size=16).digest()
