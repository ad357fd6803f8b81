"""Which members of an upstream serve when some have failed (outlier ejection).

The earliest to fail are ejected first: if not all may be ejected, those that failed together with
all others stay. When every member is out, the fault is more likely ours or the network's than
theirs, and a call that may fail is better than one that is refused: in panic (Envoy's term) all of
them serve.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_ROUNDING = 1e-9
"""29 % of 100 members are 29, though 0.29 * 100 is a little less."""


class EjectionSettings(NamedTuple):
    """`max_ejected`: the share of members that may be ejected at once; None: all but one."""

    max_ejected: float | None
    panic: bool
    """Whether all serve when all are out. If not, none does."""


class Rotation(NamedTuple):
    """Indices of members: `ready` in their order, `ejected` the earliest out first."""

    ready: list[int]
    ejected: list[int]
    panic: bool


def rotation(opened: Sequence[float | None], settings: EjectionSettings) -> Rotation:
    """Return who serves; `opened[i]` is the time when member i failed, None while it is fine.

    If all have failed, `max_ejected` does not apply.
    """
    out = sorted((when, index) for index, when in enumerate(opened) if when is not None)
    everybody = list(range(len(opened)))
    if not out:
        return Rotation(everybody, [], False)
    if len(out) == len(opened):
        return Rotation(everybody, [], True) if settings.panic else Rotation([], everybody, False)
    share = settings.max_ejected
    allowed = len(out) if share is None else int(len(opened) * share + _ROUNDING)
    ejected = [index for _, index in out[:allowed]]
    gone = frozenset(ejected)
    return Rotation([index for index in everybody if index not in gone], ejected, False)
