"""The timers of an exchange: its phase has one at a time, its call a deadline."""

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
    """What an exchange waits for, and since when."""

    call: Call
    endpoint: Endpoint
    connection: UpstreamConnection
    state: ExchangeState
    _timers: Timers
    _phase = ""
    """Names the timer that runs; nothing while none does."""
    _due = ""
    """Which timer runs out next: that of the phase, or the whole call's."""
    _limit = 0.0
    """Seconds of the phase's timer."""
    _last = 0.0
    """When something moved last."""
    _backlog = sys.maxsize
    """What the slow reader had not taken when we last looked."""
    _sink: Sink | None = None
    """Where the reply is written, once it is."""
    _relay: Relay | None = None
    """Passes on the chunks of the reply."""

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
        """A timer ran out. Two of them only count from the last progress on."""
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
                again=self._timers.first_byte is not None,  # who has waited 600 s waits no more
            )
            self.fail(error)

    def _idle_left(self, seconds: float) -> float:
        """Seconds that are left; a slow reader who takes what it was sent makes progress too."""
        backlog = self._not_taken()
        if backlog < self._backlog and backlog:
            self._last = time.monotonic()
        self._backlog = backlog
        last = self._last if self._relay is None else max(self._last, self._relay.last)
        return last + seconds - time.monotonic()

    def _not_taken(self) -> int:
        """Bytes of what was written that whoever is slow has not taken."""
        if self.state in UNSENT:
            return 0 if self.connection.writable else unsent(self.connection.transport)
        sink = self._sink
        return 0 if sink is None or sink.writable else sink.unsent()
