"""The four timers in seconds, and which of them expires next."""

from __future__ import annotations

from typing import Final, NamedTuple

FIRST_BYTE: Final = 600.0
"""A model may take minutes to its first token; the SDKs wait as long."""


class Timers(NamedTuple):
    """Seconds. `first_byte` is None if it is not configured, `total` if there is none."""

    connect: float
    first_byte: float | None
    idle: float
    total: float | None


class Due(NamedTuple):
    """When the next timer expires, and its name."""

    seconds: float
    name: str


class Patience(NamedTuple):
    """How long a call waits for a connection: in seconds, but `deadline` on the monotonic clock."""

    connect: float
    """For the name, TCP and TLS."""
    queue: float
    """For another call's connection to become free, if no more can be opened."""
    deadline: float | None = None
    """Deadline of the whole call."""

    def less(self, seconds: float) -> Patience:
        """Return the rest of it after *seconds* in the queue."""
        return self._replace(queue=max(0.0, self.queue - seconds))


def first_byte(timers: Timers) -> float:
    """Return the seconds to wait for the first byte of a reply's body, or the reply's end."""
    return FIRST_BYTE if timers.first_byte is None else timers.first_byte


def within(seconds: float, name: str, deadline: float | None, now: float) -> Due:
    """Return the timer *name* of *seconds*, or the call's deadline if that comes first."""
    if deadline is None or deadline - now >= seconds:
        return Due(seconds, name)
    return Due(max(0.0, deadline - now), "total")
