"""The four timers as plain seconds, and which of them runs out next."""

from __future__ import annotations

from typing import Final, NamedTuple

FIRST_BYTE: Final = 600.0
"""A model may think for minutes before its first word; the SDKs wait as long."""


class Timers(NamedTuple):
    """Seconds. `first_byte` is None where it is not configured; `total` where there is none."""

    connect: float
    first_byte: float | None
    idle: float
    total: float | None


class Due(NamedTuple):
    """When the next timer runs out, and its name."""

    seconds: float
    name: str


class Patience(NamedTuple):
    """How long a call waits for a connection: in seconds, but `deadline` on the monotonic clock."""

    connect: float
    """For the name, TCP and TLS."""
    queue: float
    """For another call's connection to fall free, where there can't be one more."""
    deadline: float | None = None
    """When the whole call is over, whatever it waits for."""

    def less(self, seconds: float) -> Patience:
        """What is left of it after *seconds* in the queue."""
        return self._replace(queue=max(0.0, self.queue - seconds))


def first_byte(timers: Timers) -> float:
    """Seconds to wait for the first byte of a reply's body, or the end of a reply without one."""
    return FIRST_BYTE if timers.first_byte is None else timers.first_byte


def within(seconds: float, name: str, deadline: float | None, now: float) -> Due:
    """The timer *name* of *seconds*, cut short where the call's deadline comes first."""
    if deadline is None or deadline - now >= seconds:
        return Due(seconds, name)
    return Due(max(0.0, deadline - now), "total")
