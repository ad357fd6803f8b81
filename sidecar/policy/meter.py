"""What one route, model or client used of requests and tokens."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from sidecar.policy.minute import Minute

Kind = Literal["requests", "input", "output", "total"]
Scope = Literal["route", "model", "client"]
KINDS: Final[tuple[Kind, ...]] = ("requests", "input", "output", "total")


class Amounts(NamedTuple):
    """Requests and tokens, in the order of KINDS."""

    requests: int
    input: int
    output: int
    total: int


class Bounds(NamedTuple):
    """Most of each kind in a minute; None: any number."""

    requests: int | None = None
    input: int | None = None
    output: int | None = None
    total: int | None = None


class Meter:
    """What one route, model or client used in the last minute, of each kind that is limited."""

    __slots__ = ("minutes", "name", "open")

    def __init__(self, bounds: Bounds) -> None:
        self.minutes: list[Minute | None] = [None] * len(KINDS)
        self.open = 0
        """Calls that are not settled."""
        self.name: tuple[Scope, str] = ("route", "")
        """Whose it is."""
        self.configure(bounds)

    def configure(self, bounds: Bounds) -> None:
        """Use other bounds from now on. What was used stays used."""
        for index, bound in enumerate(bounds):
            minute = self.minutes[index]
            if bound is None or minute is None:
                self.minutes[index] = None if bound is None else self.minute(bound)
            else:
                minute.adjust(bound)

    def minute(self, bound: int) -> Minute:
        """Make what counts one kind."""
        return Minute(bound)

    def idle(self, now: float) -> bool:
        """Whether a new one would decide the same."""
        return not self.open and not any(m is not None and m.used(now) for m in self.minutes)
