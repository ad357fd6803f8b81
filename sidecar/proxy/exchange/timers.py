"""The timers of an exchange: one for its phase, and the call's deadline."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from sidecar.policy.timeouts import Timers, within
from sidecar.proxy.exchange.backlog import unsent
from sidecar.proxy.exchange.overdue import overdue
from sidecar.proxy.exchange.state import SENDING, UNSENT, ExchangeState

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.proxy.call import Call
    from sidecar.proxy.sink import Relay, Sink
    from sidecar.upstream.connect.connection import UpstreamConnection
    from sidecar.upstream.endpoints.endpoint import Endpoint


class ExchangeTimers:
    """Tracks what an exchange waits for, and since when."""

    call: Call
    endpoint: Endpoint
    connection: UpstreamConnection
    state: ExchangeState
    _timers: Timers
    _phase = ""
    """Name of the phase's timer; empty while none runs."""
    _due = ""
    """Name of the timer that expires next: the phase's, or `total`."""
    _limit = 0.0
    """Seconds of the phase's timer."""
    _last = 0.0
    """When bytes last moved."""
    _backlog = sys.maxsize
    """Unread bytes of the slow reader at the last look."""
    _sink: Sink | None = None
    """The sink, once the reply is written into it."""
    _relay: Relay | None = None
    """The fast path for the reply's chunks."""

    def fail(self, error: CallError) -> None:
        """End the exchange."""
        raise NotImplementedError

    def _arm(self, seconds: float, name: str, wait: float | None = None) -> None:
        """Start the timer *name* of *seconds*, of which *wait* are left."""
        self._phase = self._due = name
        self._limit = seconds
        left = seconds if wait is None else wait
        now = time.monotonic()
        if self.call.deadline is not None:
            left, self._due = within(left, name, self.call.deadline, now)
        self.connection.wake_at(now + left)

    def on_time(self) -> None:
        """A timer has fired. Two of the timers count from the last progress."""
        left = self._idle_left(self._limit) if self._due in ("idle", "upload") else 0.0
        if left > 0:
            self._arm(self._limit, self._due, left)
        else:
            error = overdue(
                self._due,
                self._limit,
                self.endpoint.name,
                sending=self.state is SENDING and self.connection.writable,
                stalled=self._sink is not None and not self._sink.writable,
                again=self._timers.first_byte
                is not None,  # a caller that has waited 600 s waits no longer
            )
            self.fail(error)

    def _idle_left(self, seconds: float) -> float:
        """Return the seconds left. A slow reader that reads makes progress too."""
        backlog = self._not_taken()
        if backlog < self._backlog and backlog:
            self._last = time.monotonic()
        self._backlog = backlog
        last = self._last if self._relay is None else max(self._last, self._relay.last)
        return last + seconds - time.monotonic()

    def _not_taken(self) -> int:
        """Return the written bytes that the slow side has not read."""
        if self.state in UNSENT:
            return 0 if self.connection.writable else unsent(self.connection.transport)
        sink = self._sink
        return 0 if sink is None or sink.writable else sink.unsent()
