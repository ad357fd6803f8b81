"""Which of several upstreams a call goes to, by shares."""

from __future__ import annotations

from collections.abc import Sequence


def choose(shares: Sequence[float], point: float) -> int:
    """Return 0 for the primary, which gets the rest; else 1 + an index into *shares*.

    *shares* add up to at most 1; *point* lies in [0, 1): random, or a stable hash if a
    caller must stay on its side. Shares grow by turns from the two ends of that interval toward the
    primary in its middle. With one or two of them, raising one moves calls from the primary into it
    and no others. With more, no rule that sees only shares and a point can promise that (where the
    third has room depends on both others); then those behind it at the same end shift too.
    """
    low, high = 0.0, 1.0
    for index, share in enumerate(shares, 1):
        if index % 2:
            low += share
        else:
            high -= share
        if point < low or point >= high:
            return index
    return 0
