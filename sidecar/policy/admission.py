"""Which calls an upstream is given now, which wait, and which are told at once to go away.

A server that computes answers slower the more it is given, so it gets `max_in_flight`; a queue
smooths bursts, but a call that would wait until its deadline only takes the place of one that would
not. Sources: Google, "Site Reliability Engineering", chapters 21 (criticality) and 22 (queues, load
shedding); Little's law, for how long a queue takes.

State: `in_flight`, and a queue for each priority. After every step either no call waits or no place
is free; `wake` is called only when the state is whole, so it may call back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

Reason = Literal["full", "shed", "bytes", "deadline"]
"""The queue is full; full but for high priority; holds too many bytes; would take too long."""

_PRIORITIES: Final = 3
"""0 high, 1 normal, 2 low."""
_WEIGHT: Final = 0.1
"""Of the newest call in the average service time: about the last twenty count."""
_SOONEST: Final = 1.0
"""Seconds. An estimate of nothing must not bring everybody back at once."""


class AdmissionSettings(NamedTuple):
    """Times in seconds, sizes in bytes."""

    max_in_flight: int
    """At least 1."""
    max_queued: int
    max_queued_bytes: int
    shed_at: float
    """Share of `max_queued` from which only high priority may still queue."""
    max_wait: float
    """Nobody queues who would wait longer by estimate. Whoever waits holds a timer for the rest."""


class Ticket:
    """A call's place, in flight when `granted`, else in the queue."""

    __slots__ = ("_since", "granted", "priority", "queued_at", "size", "wake")

    def __init__(self, now: float, priority: int, size: int) -> None:
        self.priority = priority
        self.size = size
        self.queued_at = now
        self.granted = False
        self.wake: Callable[[], None] | None = None
        """Called once, when the call may go. It must not raise, though its waiter may be gone."""
        self._since: float | None = None
        """When it was granted; None again once it has ended."""


class Refused(NamedTuple):
    """Why a call may not even wait, and in how many seconds another try has a chance."""

    reason: Reason
    retry_after: float


class Admission:
    """Calls in flight and in line. `settings` may be replaced any time; see `adjust`."""

    __slots__ = ("_lines", "in_flight", "queued", "queued_bytes", "service_time", "settings")

    def __init__(self, settings: AdmissionSettings) -> None:
        self.settings = settings
        self.in_flight = 0
        self.queued = 0
        self.queued_bytes = 0
        self.service_time = 0.0
        """Average seconds from grant to end; 0 while no call has ended."""
        self._lines: tuple[OrderedDict[Ticket, None], ...] = tuple(
            OrderedDict() for _ in range(_PRIORITIES)
        )
        """Ordered sets: who leaves the middle of a line is gone from it in one step."""

    def enter(
        self, now: float, priority: int, size: int, deadline: float | None
    ) -> Ticket | Refused:
        """A call of *priority* with a body of *size* that must be served by *deadline*, a moment.

        It goes at once if a place is free. Else it waits, or is refused where that is hopeless.
        """
        if self.queued:
            self.adjust(now)
        ticket = Ticket(now, priority, size)
        if self.in_flight < self.settings.max_in_flight:
            self.in_flight += 1
            ticket.granted = True
            ticket._since = now
            return ticket
        refused = self._hopeless(now, priority, size, deadline)
        if refused is not None:
            return refused
        self.queued += 1
        self.queued_bytes += size
        self._lines[priority][ticket] = None
        return ticket

    def leave(self, ticket: Ticket, now: float) -> None:
        """The call has ended: its place goes to the next in line."""
        if ticket._since is not None:
            seconds = now - ticket._since
            weight = _WEIGHT if self.service_time else 1.0
            self.service_time += weight * (seconds - self.service_time)
        self.abandon(ticket, now)

    def abandon(self, ticket: Ticket, now: float) -> None:
        """The call goes without having been served, whether it waits or was just granted.

        Nothing happens to a ticket that has ended.
        """
        if ticket._since is not None:
            ticket._since = None
            self.in_flight -= 1
            if self.queued:
                self.adjust(now)
        elif ticket in self._lines[ticket.priority]:
            self._lines[ticket.priority].pop(ticket)
            self.queued -= 1
            self.queued_bytes -= ticket.size

    def adjust(self, now: float) -> None:
        """Grant what places are free: high priority first, then in order of arrival.

        For whoever has replaced `settings`; else places are given on as they fall free.
        """
        while self.queued and self.in_flight < self.settings.max_in_flight:
            line = next(line for line in self._lines if line)
            ticket, _ = line.popitem(last=False)
            self.queued -= 1
            self.queued_bytes -= ticket.size
            self.in_flight += 1
            ticket.granted = True
            ticket._since = now
            if ticket.wake is not None:
                ticket.wake()

    def estimate(self, priority: int) -> float:
        """Seconds that a call of *priority* would wait: those before it, each for its share."""
        ahead = sum(map(len, self._lines[: priority + 1]))
        return ahead * self.service_time / self.settings.max_in_flight

    def _hopeless(
        self, now: float, priority: int, size: int, deadline: float | None
    ) -> Refused | None:
        settings = self.settings
        wait = self.estimate(priority)
        if self.queued >= settings.max_queued:
            reason: Reason = "full"
        elif priority and self.queued >= settings.shed_at * settings.max_queued:
            reason = "shed"
        elif self.queued_bytes + size > settings.max_queued_bytes:
            reason = "bytes"
        elif wait > settings.max_wait or (deadline is not None and now + wait > deadline):
            reason = "deadline"
        else:
            return None
        return Refused(reason, max(wait, _SOONEST))
