"""Which calls go to an upstream now, which wait, and which are refused at once.

A server computes answers more slowly the more calls it has, so it gets `max_in_flight`; a queue
smooths bursts, but a call that can't be served before its deadline only takes the slot of one that
can, and a server's work for it is wasted. Sources: Google, "Site Reliability Engineering",
chapters 21 (criticality) and 22 (queues, load shedding); Little's law, for how long a queue takes.

State: `in_flight`, and a queue for each priority, in which clients take turns. After every step
either no call waits or no slot is free; `wake` is called only when the state is whole, so it may
call back.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final, Literal, NamedTuple

from sidecar.policy.fair_queue import FairQueue

Reason = Literal["full", "shed", "bytes", "deadline"]
"""The queue is full; full but for high priority; holds too many bytes; would take too long."""

_PRIORITIES: Final = 3
"""0 high, 1 normal, 2 low."""
_WEIGHT: Final = 0.1
"""Weight of the newest call in the average service time: about the last twenty count."""
_SOONEST: Final = 1.0
"""Least seconds in `retry-after`: an estimate of 0 would bring all callers back at once."""


class AdmissionSettings(NamedTuple):
    """Times in seconds, sizes in bytes."""

    max_in_flight: int
    """At least 1."""
    max_queued: int
    max_queued_bytes: int
    shed_at: float
    """Share of `max_queued` from which only high priority may still queue."""
    max_wait: float
    """A call with a longer estimated wait does not queue. Queued calls have a timer."""


class Wanted(NamedTuple):
    """What a call asks for."""

    priority: int = 1
    size: int = 0
    """Bytes of its body."""
    deadline: float = inf
    """Time by which it must have been served."""
    begin_by: float = inf
    """Time by which it must be granted: its caller waits no longer for a reply to begin."""
    client: str = ""
    """Its client; clients take turns."""


class Ticket:
    """A call at `admission`: in flight when `granted`, queued, or `refused` after all."""

    __slots__ = ("_since", "granted", "queued_at", "refused", "wake", "wanted")

    def __init__(self, now: float, wanted: Wanted) -> None:
        self.wanted = wanted
        self.queued_at = now
        self.granted = False
        self.refused: Refused | None = None
        self.wake: Callable[[], None] | None = None
        """Called once, when the call may go or is refused. It must not raise, though its waiter
        may be gone."""
        self._since: float | None = None
        """When it was granted; None again once it has ended."""


class Refused(NamedTuple):
    """Why a call may not wait, and after how many seconds another try may succeed."""

    reason: Reason
    retry_after: float


class Admission:
    """Limits the calls in flight; others queue. `settings` may be replaced; see `adjust`."""

    __slots__ = (
        "_queues", "deviation", "in_flight", "queued", "queued_bytes", "service_time", "settings",
    )  # fmt: skip

    def __init__(self, settings: AdmissionSettings) -> None:
        self.settings = settings
        self.in_flight = 0
        self.queued = 0
        self.queued_bytes = 0
        self.service_time = 0.0
        """Average seconds from grant to end; 0 while no call has ended."""
        self.deviation = 0.0
        """Average difference from that (as for TCP's timers, RFC 6298)."""
        self._queues: tuple[FairQueue[Ticket], ...] = tuple(FairQueue() for _ in range(_PRIORITIES))

    def enter(self, now: float, wanted: Wanted) -> Ticket | Refused:
        """Admit a call at once if a slot is free; else queue it, or refuse it if that is hopeless.

        It may displace a queued call of a client that has more of them waiting.
        """
        if self.queued:
            self.adjust(now)
        ticket = Ticket(now, wanted)
        if self.in_flight < self.settings.max_in_flight:
            self._grant(ticket, now)
            return ticket
        refused = self._hopeless(now, wanted)
        if refused is not None and not self._makes_room(refused, wanted):
            return refused
        self._queues[wanted.priority].add(wanted.client, ticket)
        self.queued += 1
        self.queued_bytes += wanted.size
        return ticket

    def spare(self, now: float) -> Ticket | None:
        """Grant one more slot to a call that has one (for a hedge), if no call waits.

        `abandon` ends it: its time does not count in the service time.
        """
        if self.in_flight >= self.settings.max_in_flight or self.queued:
            return None
        ticket = Ticket(now, Wanted())
        self._grant(ticket, now)
        return ticket

    def leave(self, ticket: Ticket, now: float) -> None:
        """End a call that was served; its slot goes to the next in the queue."""
        if ticket._since is not None:
            self._learn(now - ticket._since)
        self.abandon(ticket, now)

    def _learn(self, seconds: float) -> None:
        if not self.service_time:
            self.service_time = seconds
            return
        error = seconds - self.service_time
        self.service_time += _WEIGHT * error
        self.deviation += _WEIGHT * (abs(error) - self.deviation)

    def abandon(self, ticket: Ticket, now: float) -> None:
        """End a call that was not served, whether it waits or was just granted.

        Nothing happens to a ticket that has ended.
        """
        if ticket._since is not None:
            ticket._since = None
            self.in_flight -= 1
            if self.queued:
                self.adjust(now)
        else:
            self._take_out(ticket)

    def adjust(self, now: float) -> None:
        """Grant the free slots: high priority first, then the clients in turn.

        Call it after replacing `settings`; else slots are passed on as they become free. Calls that
        can no longer be served in time are refused.
        """
        while self.queued and self.in_flight < self.settings.max_in_flight:
            ticket = next(queue for queue in self._queues if queue).pop()
            self.queued -= 1
            self.queued_bytes -= ticket.wanted.size
            if now > self._latest(ticket.wanted, crowded=self.queued > 0):
                self._turn_away(ticket, self.too_late(ticket.wanted))
                continue
            self._grant(ticket, now)
            if ticket.wake is not None:
                ticket.wake()

    def estimate(self, wanted: Wanted) -> float:
        """Estimate the seconds that a call would wait behind those before it."""
        higher = sum(map(len, self._queues[: wanted.priority]))
        ahead = higher + self._queues[wanted.priority].ahead(wanted.client)
        return ahead * self.service_time / self.settings.max_in_flight

    def patience(self, ticket: Ticket) -> float:
        """Return the seconds that a call may wait in all."""
        latest = self._latest(ticket.wanted, crowded=False)
        return max(0.0, min(self.settings.max_wait, latest - ticket.queued_at))

    def _latest(self, wanted: Wanted, *, crowded: bool) -> float:
        """Return the latest time at which granting a call makes sense, by the time calls take.

        While others wait, it must probably be served in time; else it must possibly be.
        """
        spread = self.deviation if crowded else -self.deviation
        return min(wanted.begin_by, wanted.deadline - max(0.0, self.service_time + spread))

    def _makes_room(self, refused: Refused, wanted: Wanted) -> bool:
        """Whether another call was refused instead: one of a client that has more waiting."""
        if refused.reason not in ("full", "shed"):
            return False
        loser = self._queues[wanted.priority].surplus(wanted.client)
        if loser is None:
            return False
        self._take_out(loser)
        self._turn_away(loser, refused)
        return True

    def _grant(self, ticket: Ticket, now: float) -> None:
        self.in_flight += 1
        ticket.granted = True
        ticket._since = now

    def too_late(self, wanted: Wanted) -> Refused:
        """Make the refusal of a call that has waited too long."""
        return Refused("deadline", max(self.estimate(wanted), _SOONEST))

    def _turn_away(self, ticket: Ticket, refused: Refused) -> None:
        ticket.refused = refused
        if ticket.wake is not None:
            ticket.wake()

    def _take_out(self, ticket: Ticket) -> None:
        """Take *ticket* out of the queue, if it waits."""
        wanted = ticket.wanted
        if self._queues[wanted.priority].remove(wanted.client, ticket):
            self.queued -= 1
            self.queued_bytes -= wanted.size

    def _hopeless(self, now: float, wanted: Wanted) -> Refused | None:
        settings = self.settings
        wait = self.estimate(wanted)
        latest = self._latest(wanted, crowded=self.queued > 0)
        if self.queued_bytes + wanted.size > settings.max_queued_bytes:
            reason: Reason = "bytes"
        elif wait > settings.max_wait or now + wait > latest:
            reason = "deadline"
        elif self.queued >= settings.max_queued:
            reason = "full"
        elif wanted.priority and self.queued >= settings.shed_at * settings.max_queued:
            reason = "shed"
        else:
            return None
        return Refused(reason, max(wait, _SOONEST))
