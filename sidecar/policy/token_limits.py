"""Limits on tokens and requests a minute, of a route, of each model and of each client.

A call reserves what it will probably use, in all limits that it counts in or in none, and is
settled when its usage is known. Between calls nothing is refused that fits and nothing is let in
that does not: only what a call uses beyond its own estimate can exceed a limit, and that counts
against the calls after it.

Calls may wait, in the order in which they came. One that waits for a limit keeps later ones from
taking it, but not those that count in other limits only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import inf
from typing import Final, NamedTuple

from sidecar.policy.meter import KINDS, Amounts, Bounds, Kind, Meter, Scope
from sidecar.policy.minute import Minute, Slot
from sidecar.policy.outputs import Outputs
from sidecar.policy.rate import Keyed

_SOONEST: Final = 1.0
"""Least seconds in `retry-after`."""


class TokenSettings(NamedTuple):
    """None: no such limit."""

    route: Bounds | None = None
    model: Bounds | None = None
    """Of each model by itself."""
    client: Bounds | None = None
    """Of each client by itself."""
    max_models: int = 1000
    max_clients: int = 10_000
    max_waiting: int = 0
    """Calls that may wait; the others are refused at once."""
    max_wait: float = 0.0
    """Seconds that a call may wait."""


class Wanted(NamedTuple):
    """What a call will probably use, and whose it is."""

    input: int
    output: int
    guessed: bool = False
    """Whether the output is only a guess. Then it is never the reason why a call can't go."""
    model: str = ""
    client: str = ""
    latest: float = inf
    """Time after which its caller does not wait."""


class Refused(NamedTuple):
    """Which limit the call exceeds, and the seconds until it may go.

    Infinity: it is larger than the limit itself.
    """

    scope: Scope
    kind: Kind
    limit: int
    retry_after: float


class Ticket:
    """A call that has reserved what it needs (`granted`), or waits for it."""

    __slots__ = ("_meters", "_slots", "amounts", "granted", "queued_at", "wake", "wanted")

    def __init__(
        self, now: float, wanted: Wanted, amounts: Amounts, meters: list[tuple[Scope, Meter]]
    ) -> None:
        self.wanted = wanted
        self.amounts = amounts
        """What it reserves."""
        self.queued_at = now
        self.granted = False
        self.wake: Callable[[], None] | None = None
        """Called once, when the call may go. It must not raise."""
        self._meters = meters
        self._slots: list[tuple[int, Minute, Slot]] = []

    def _parts(self) -> Iterator[tuple[Scope, int, Minute]]:
        """The limits that it counts in."""
        for scope, meter in self._meters:
            for index, minute in enumerate(meter.minutes):
                if minute is not None:
                    yield scope, index, minute

    def _lacks(self, taken: set[Minute], now: float) -> list[tuple[Scope, int, Minute]]:
        """The limits in which it does not fit, or for which an earlier call waits (*taken*)."""
        amounts = self.amounts
        return [
            part
            for part in self._parts()
            if amounts[part[1]] and (part[2] in taken or not part[2].fits(amounts[part[1]], now))
        ]


class TokenLimits:
    """The limits of a route at one upstream, with the calls that wait for them."""

    def __init__(self, settings: TokenSettings, meter: Callable[[Bounds], Meter] = Meter) -> None:
        """*meter* makes what counts the calls of a route, model or client."""
        self._meter = meter
        self.outputs = Outputs()
        self.reserved: dict[str, int] = dict.fromkeys(KINDS, 0)
        """By kind: what calls in flight have reserved."""
        self.used: dict[str, int] = dict.fromkeys(KINDS, 0)
        """By kind: what settled calls have used."""
        self.refused: dict[str, int] = dict.fromkeys(KINDS, 0)
        """Refused calls, by the kind that they exceed."""
        self._waiting: dict[Ticket, None] = {}
        self._route: Meter | None = None
        self._models: Keyed[Meter] | None = None
        self._clients: Keyed[Meter] | None = None
        self.configure(settings, 0.0)

    def __repr__(self) -> str:
        return f"<TokenLimits {self._settings.route}, {self.waiting} waiting>"

    @property
    def shared(self) -> bool:
        """Whether other sidecars have the same limits with this one."""
        return self._meter is not Meter

    @property
    def waiting(self) -> int:
        """Number of calls that wait."""
        return len(self._waiting)

    def configure(self, settings: TokenSettings, now: float) -> None:
        """Use other settings from now on. What was used stays used."""
        self._settings = settings
        if settings.route is None or self._route is None:
            self._route = None if settings.route is None else self._meter(settings.route)
        else:
            self._route.configure(settings.route)
        self._models = self._keyed(self._models, settings.model, settings.max_models)
        self._clients = self._keyed(self._clients, settings.client, settings.max_clients)
        for ticket in self._waiting:
            _close(ticket)
            ticket._meters = self._meters(now, ticket.wanted)
            _open(ticket)
        self.advance(now)

    def needed(self, now: float, wanted: Wanted) -> list[tuple[Minute, int]]:
        """Return what *wanted* counts in, and how much of each it would reserve."""
        meters = self._meters(now, wanted)
        amounts = _bounded(wanted, meters)
        return [
            (minute, amounts[index])
            for _, meter in meters
            for index, minute in enumerate(meter.minutes)
            if minute is not None
        ]

    def enter(self, now: float, wanted: Wanted) -> Ticket | Refused:
        """Reserve what a call wants, have it wait, or refuse it."""
        meters = self._meters(now, wanted)
        ticket = Ticket(now, wanted, _bounded(wanted, meters), meters)
        taken = self._grant_in_turn(now) if self._waiting else set()
        lacks = ticket._lacks(taken, now)
        if not lacks:
            self._grant(ticket, now)
            return ticket
        settings = self._settings
        wait = max(minute.wait(ticket.amounts[index], now) for _, index, minute in lacks)
        may_wait = self.waiting < settings.max_waiting and wait <= settings.max_wait
        if may_wait and now + wait <= wanted.latest:
            self._waiting[ticket] = None
            _open(ticket)
            return ticket
        return self._refuse(ticket, lacks, now)

    def settle(self, ticket: Ticket, now: float, used: Amounts) -> None:
        """End a call that has used so much. Nothing happens to one that has ended."""
        if not ticket.granted:
            return
        ticket.granted = False
        for kind, reserved, true in zip(KINDS, ticket.amounts, used, strict=True):
            self.reserved[kind] -= reserved
            self.used[kind] += true
        for index, minute, slot in ticket._slots:
            minute.amend(slot, used[index] - ticket.amounts[index], now)
        _close(ticket)
        self.advance(now)

    def give_up(self, ticket: Ticket, now: float) -> bool:
        """End a call that waits no longer. Return whether it waited."""
        if ticket not in self._waiting:
            return False
        del self._waiting[ticket]
        _close(ticket)
        self._grant_in_turn(now)
        return True

    def turn_away(self, ticket: Ticket, now: float) -> Refused | None:
        """Refuse a call that has waited too long. None: it does not wait."""
        if not self.give_up(ticket, now):
            return None
        return self._refuse(ticket, ticket._lacks(set(), now) or list(ticket._parts()), now)

    def advance(self, now: float) -> float | None:
        """Let calls go that fit now. Return the seconds until others may; None if none waits."""
        if not self._waiting:
            return None
        self._grant_in_turn(now)
        waits = (
            minute.wait(ticket.amounts[index], now)
            for ticket in self._waiting
            for _, index, minute in ticket._lacks(set(), now)
        )
        return min(waits, default=None)

    def patience(self, ticket: Ticket) -> float:
        """Return the seconds that a call may wait in all."""
        latest = ticket.wanted.latest - ticket.queued_at
        return max(0.0, min(self._settings.max_wait, latest))

    def _grant_in_turn(self, now: float) -> set[Minute]:
        """Let calls go that fit now; return the limits for which the others wait."""
        taken: set[Minute] = set()
        for ticket in list(self._waiting):
            lacks = ticket._lacks(taken, now)
            if lacks:
                taken.update(minute for _, _, minute in lacks)
                continue
            del self._waiting[ticket]
            _close(ticket)
            self._grant(ticket, now)
            if ticket.wake is not None:
                ticket.wake()
        return taken

    def _grant(self, ticket: Ticket, now: float) -> None:
        ticket.granted = True
        for kind, amount in zip(KINDS, ticket.amounts, strict=True):
            self.reserved[kind] += amount
        for _, index, minute in ticket._parts():
            ticket._slots.append((index, minute, minute.add(ticket.amounts[index], now)))
        _open(ticket)

    def _keyed(
        self, meters: Keyed[Meter] | None, bounds: Bounds | None, most: int
    ) -> Keyed[Meter] | None:
        if bounds is None:
            return None
        make = partial(self._meter, bounds)
        if meters is None:
            return Keyed(make, most)
        meters.make, meters.max_keys = make, most
        for meter in meters.limiters():
            meter.configure(bounds)
        return meters

    def _meters(self, now: float, wanted: Wanted) -> list[tuple[Scope, Meter]]:
        meters: list[tuple[Scope, Meter]] = []
        if self._clients is not None:
            meter = self._clients.get(wanted.client, now)
            meter.name = "client", wanted.client
            meters.append(("client", meter))
        if self._models is not None:
            meter = self._models.get(wanted.model, now)
            meter.name = "model", wanted.model
            meters.append(("model", meter))
        if self._route is not None:
            meters.append(("route", self._route))
        return meters

    def _refuse(
        self, ticket: Ticket, lacks: list[tuple[Scope, int, Minute]], now: float
    ) -> Refused:
        """Name the limit that the call would wait for longest."""
        wait, scope, index, minute = max(
            (
                (minute.wait(ticket.amounts[index], now), scope, index, minute)
                for scope, index, minute in lacks
            ),
            key=lambda part: part[0],
        )
        self.refused[KINDS[index]] += 1
        return Refused(scope, KINDS[index], minute.limit, max(wait, _SOONEST))


def _open(ticket: Ticket) -> None:
    for _, meter in ticket._meters:
        meter.open += 1


def _close(ticket: Ticket) -> None:
    for _, meter in ticket._meters:
        meter.open -= 1


def _bounded(wanted: Wanted, meters: list[tuple[Scope, Meter]]) -> Amounts:
    """What a call reserves. A guess is at most what the limits leave beside the input."""
    output = wanted.output
    if wanted.guessed:
        for _, meter in meters:
            _, _, of_output, of_total = meter.minutes
            if of_output is not None:
                output = min(output, of_output.limit)
            if of_total is not None:
                output = min(output, max(0, of_total.limit - wanted.input))
    return Amounts(1, wanted.input, output, wanted.input + output)
