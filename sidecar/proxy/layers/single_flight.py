"""The same calls at the same time become one upstream call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.proxy.detached import detach
from sidecar.proxy.layers.flight import Flight

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sidecar.observe.savings import Savings
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_JOINED: Final = b"\r\nx-sidecar-shared: true"


class SingleFlight:
    """Around all attempts: one retry, one fallback, one copy for a mirror for all who share."""

    def __init__(self, inner: Layer, most: int, saved: Savings) -> None:
        """*most*: bytes of a reply that are kept for who joins late."""
        self._inner = inner
        self._most = most
        self._saved = saved
        self._flights: dict[Hashable, Flight] = {}

    def __repr__(self) -> str:
        return f"<SingleFlight, {len(self._flights)} in flight>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Join the call in flight that is the same; begin one if there is none."""
        # A trusted caller may have set other timers and retries.
        key = (request.key, request.anew, request.timers, request.retries)
        flight = self._flights.get(key)
        if flight is None:
            flight = Flight(self._most, partial(self._forget, key), self._served)
            self._flights[key] = flight
            member = flight.join(call)
            flight.start(self._inner, *detach(call, request))
        else:
            member = flight.join(call)
            call.told += _JOINED
            call.note("joined", "the same was asked just now, and that reply is shared")
        await member.arrival()
        return member

    def _forget(self, key: Hashable) -> None:
        del self._flights[key]

    def _served(self, flight: Flight) -> None:
        """Count what a call saved that was served by another's."""
        attempt, carried = flight.attempt, flight.call
        if attempt is None or attempt.status >= 400:
            return
        said, cost = attempt.said, None
        usage = None if said is None else said.usage
        if usage is not None and said is not None and carried.route is not None:
            cost = carried.route.pricing.cost(said.model or carried.model or "", usage)
        self._saved.add("joined", usage, cost)
