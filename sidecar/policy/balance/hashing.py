"""Hashes that are the same in every process, and the bound on what a hash may send somewhere."""

from __future__ import annotations

from hashlib import blake2b
from math import ceil

from sidecar.policy.load import Load


def stable_hash(data: bytes) -> int:
    """64 bits of *data* (Python's own `hash` differs from process to process)."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")


class Bound:
    """Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018).

    A member may have *overload* times its fair share of the calls in flight, the next one included;
    what would be more goes to the key's next choice.
    """

    __slots__ = ("_overload", "_weights")

    def __init__(self, overload: float) -> None:
        self._overload = overload
        self._weights = 1.0

    def update(self, weights: float) -> None:
        """All members together weigh this much."""
        self._weights = weights

    def admits(self, member: Load, ramp: float) -> bool:
        """Whether *member*, with the share *ramp* of its weight, may have one more call."""
        share = (member.total.in_flight + 1) * member.weight / self._weights
        return member.in_flight < ceil(self._overload * share * ramp)
