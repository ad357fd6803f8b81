"""How an exchange judges its reply: what holds it back, whether it is an answer, when it is over.

A head says little: providers answer 200 and then stream an error, or nothing. So what the policy
wants judged is held back until it says something, within a bound of time and bytes. An error or
nothing before that is a failed attempt.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sidecar.llm.estimate import estimate
from sidecar.proxy.exchange.commit import BEGUN, HEAD, HELD, WHOLE
from sidecar.proxy.exchange.reading import ReadingRelay
from sidecar.proxy.exchange.state import RECEIVING, SETTLED
from sidecar.proxy.exchange.timers import ExchangeTimers

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.http.message import ResponseHead
    from sidecar.llm.failures import Failure
    from sidecar.llm.stream import Outcome
    from sidecar.proxy.exchange.reading import Reading
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.request import Request
    from sidecar.proxy.sink import Relay
    from sidecar.upstream.lease import Lease

_BEHIND_TERMINAL: Final = 1.0
"""Seconds of silence behind the last event of a stream after which its body is ended."""
_VALUE: Final = 2.0
"""Seconds that an error, or a value whose length is unknown, gets to arrive whole. After that it
goes on as it is: a server may send blanks to keep the connection alive while it works."""


class JudgedExchange(ExchangeTimers):
    """Adds the two timers that end nothing but a wait: `gate` and `terminal`."""

    head: ResponseHead
    """Head of the reply; set once `arrival` is done without an error."""
    attempt: AttemptRecord
    ended = False
    """Whether the reply is complete."""
    error: CallError | None = None
    """Why the reply will never be complete."""
    failure: Failure | None = None
    """What kind of failure the reply is, where it is one and was read."""
    reading: Reading | None = None
    """Reads what the reply says, where somebody wants to know."""
    _needed = HEAD
    """How much of the reply must be here before it is passed on."""
    _judged = False
    """Whether the result was reported to the endpoint's lease."""
    _lease: Lease
    _size: int

    request: Request

    def abandon(self) -> None:
        """Close the connection at once."""
        raise NotImplementedError

    def _wake(self) -> None:
        """Let the one that waits for the reply go on."""
        raise NotImplementedError

    def _pass_on(self) -> None:
        """Write what has arrived."""
        raise NotImplementedError

    # -- before it goes on --

    def _undecided(self, needed: int) -> bool:
        """Whether it is judged by what it says; *needed* of it must be here before it goes on."""
        reading = self.reading
        return reading is not None and (
            reading.verifies or (reading.gate is not None and needed == BEGUN)
        )

    def _judge(self) -> None:
        """Report to the endpoint's lease: from here on the reply may go on."""
        now = time.monotonic()
        self._judged = True
        reading = self.reading
        if reading is not None:
            gate = reading.gate
            reading.decide()
            if reading.stream is None:
                self.failure = reading.failed(time.time())
            elif reading.answers:
                self.attempt.content = now
            elif gate is not None and self._size > gate.bytes:
                self.call.note("gate", f"opened after {self._size} bytes without content")
        self.attempt.head = now
        self._lease.answered(self.head, now)

    def _fails(self, reading: Reading) -> bool:
        """Whether it is an error, or nothing, where its head promised an answer."""
        error = reading.fails(self.endpoint.name, ended=self.ended)
        if error is None:
            return False
        self.error = error
        self.abandon()
        self._wake()
        return True

    def _has_come(self) -> bool:
        """Whether enough of the reply is here, after its head."""
        if self.ended or self._needed == HEAD:
            return True
        if self._needed == WHOLE:
            return self._size > HELD  # it is longer than it said, or did not say
        reading = self.reading
        return self._size > 0 if reading is None else reading.may_pass(self._size)

    def _body_begins(self) -> None:
        """From here on the `idle` timer applies, and chunks may take the fast path."""
        if not self._has_come():
            if self._phase != "gate":
                self._hold_back()
            return
        self._arm(self._timers.idle, "idle")
        if self._relay is not None:
            self.connection.take_chunk = self._relay.take

    def _hold_back(self) -> None:
        """Start the timer after which it goes on as it is."""
        reading = self.reading
        if reading is None or self.state is not RECEIVING:
            return
        if reading.gate is not None:
            self._arm(reading.gate.seconds, "gate")
        elif self._needed == WHOLE and (self.head.status >= 400 or self.head.body < 0):
            self._arm(_VALUE, "gate")

    def _open_gate(self) -> None:
        """It has not come whole, or has said nothing, for so long that it goes on as it is."""
        self._needed = HEAD
        held = (
            "without content" if self.reading is not None and self.reading.gate else "half a reply"
        )
        self.call.note("gate", f"opened because its time was over, {held}")
        self._judge()  # an error was judged by its head, and is read now as far as it came
        self._arm(self._timers.idle, "idle")
        self._pass_on()

    # -- while it goes on --

    def _reads(self, relay: Relay | None) -> Relay | None:
        """Return *relay*, read as it passes."""
        reading = self.reading
        if relay is None or reading is None or reading.stream is None:
            return relay
        return ReadingRelay(relay, reading, self.attempt, self._on_terminal)

    def _note(self, reading: Reading) -> None:
        """See how far a stream has come, now that the caller has what came of it."""
        if self.attempt.content is None and reading.stream is not None and reading.answers:
            self.attempt.content = time.monotonic()
        if reading.terminal:
            self._on_terminal()

    def on_time(self) -> None:
        """A timer ran out; two of them end nothing but a wait."""
        if self._due == "gate":
            self._open_gate()
        elif self._phase == "terminal":
            self._end_behind_terminal()
        else:
            super().on_time()

    def _on_terminal(self) -> None:
        """The stream has said its last. Some servers keep the body open behind it, for ever.

        A body with a length has its end there, and nowhere else.
        """
        unbounded = self.head.body < 0 and not self.ended
        if unbounded and self._phase != "terminal" and self.state is not SETTLED:
            self._arm(_BEHIND_TERMINAL, "terminal")

    def _end_behind_terminal(self) -> None:
        """End the body, unless something still comes, or waits for a slow reader."""
        behind = self._sink is not None and not self._sink.writable
        left = self._idle_left(self._timers.idle if behind else _BEHIND_TERMINAL)
        if left > 0 and self._due == "terminal":
            self._arm(_BEHIND_TERMINAL, "terminal", min(left, _BEHIND_TERMINAL))
            return
        self.ended = True
        if self._sink is not None:
            self._sink.write([], True, ())
        self.abandon()
        self._wake()

    # -- after it --

    def _asked(self) -> bytes:
        """The body that was sent, as far as it is still here."""
        body = self.call.body
        if self.request.content is not None:
            return self.request.content
        return body.content() if body.complete and not body.streamed else b""

    def _finish_reading(self, reading: Reading, code: str) -> None:
        """Keep what the reply has said, and tell the endpoint of a stream that failed within."""
        if self.ended:
            how: Outcome = "ended"
        elif self.error is None:
            how = "aborted"
        else:
            how = "stalled" if code == "idle_timeout" else "cut"
        said = reading.end(how, time.time())
        if said.chunks:
            usage = estimate(said.usage, said.chunks, self._asked(), whole=how == "ended")
            said = said._replace(usage=usage)
        self.attempt.said = said
        self.endpoint.stats.verdicts[said.verdict] += 1
        failure = said.failure
        if self.head.status >= 400:
            self.failure = failure  # when it was judged, its body may not have been here
        within = self._judged and reading.stream is not None
        if within and failure is not None and failure.kind in ("overload", "server"):
            self._lease.report_broken(time.monotonic())
