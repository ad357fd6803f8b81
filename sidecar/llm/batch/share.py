"""Share a number out."""

from __future__ import annotations

from collections.abc import Sequence


def shares(total: int, weights: Sequence[int]) -> list[int]:
    """Return *total*, which is not negative, in proportion to *weights*; the sum is exact.

    What rounding leaves goes to the largest remainders (Hamilton's method), the first ones if they
    are equal. Weights that are all 0 count as equal.
    """
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    each = [divmod(total * weight, whole) for weight in weights]
    found = [quotient for quotient, _ in each]
    left = total - sum(found)
    if left:
        order = sorted(range(len(each)), key=lambda at: -each[at][1])
        for at in order[:left]:
            found[at] += 1
    return found
