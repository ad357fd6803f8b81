"""An attempt's lease of an endpoint: its result is reported once, then it is released."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from sidecar.policy.outcome import RATE_LIMITED, cooldown, endpoint_failed

if TYPE_CHECKING:
    from sidecar.http.message import ResponseHead
    from sidecar.policy.breaker import Breaker, Permit
    from sidecar.upstream.endpoints.endpoint import Endpoint

_LEFT: Final = 3.0
"""An attempt whose caller leaves has failed if it took so many times the usual latency."""
_LEAST: Final = 0.5
"""Seconds that it must have taken as well: a caller that leaves sooner is in a hurry."""
_OUTRUN: Final = 2.0
"""An attempt that a hedge outran has failed if it took so many times the usual latency."""


class Lease:
    """An attempt counts in the endpoint's load until `release`.

    `report` feeds the endpoint's breaker and averages.
    """

    __slots__ = (
        "_decay",
        "_failed",
        "_permit",
        "_released",
        "_sent",
        "began",
        "breaker",
        "endpoint",
    )

    def __init__(
        self,
        endpoint: Endpoint,
        breaker: Breaker | None,
        permit: Permit | None,
        now: float,
        decay: float,
    ) -> None:
        self.endpoint = endpoint
        self.breaker = breaker
        self.began = now
        """Monotonic seconds. Connecting counts; waiting in our own pool's queue does not."""
        self._sent = False
        """Whether the request was sent."""
        self._permit = permit
        self._decay = decay
        self._failed: bool | None = None
        """What was reported; None: nothing yet."""
        self._released = False
        endpoint.load.begin()

    def __repr__(self) -> str:
        held = "released" if self._released else "held"
        return f"<Lease at {self.endpoint.name}, {held}>"

    def sent(self, now: float) -> None:
        """Note that the request was sent. It may be sent twice, where its connection had died."""
        if not self._sent:
            self._sent = True
            self.endpoint.load.ask(now)

    def answered(self, head: ResponseHead, now: float) -> None:
        """Report the status of *head*, and obey what it says of rate limits."""
        status = head.status
        if status < 400:
            self.report(False, now)
            return
        if status == RATE_LIMITED:
            self._limited(now)
        else:
            self.report(endpoint_failed(status), now)
        if status >= RATE_LIMITED:
            seconds = cooldown(status, head.fields, time.time())
            if seconds:
                self.endpoint.load.cool(now + seconds)

    def _limited(self, now: float) -> None:
        """Note that a quota is used up, which speaks neither for nor against the endpoint."""
        if self._failed is None:
            self._learn(False, now)
            self._cancel()
            self.endpoint.load.limit(now)

    def _learn(self, failed: bool, now: float) -> None:
        self._failed = failed
        if self._sent:
            self.endpoint.load.answer(now)

    def report(self, failed: bool, now: float) -> None:
        """Report whether the endpoint has *failed*. Only the first report counts."""
        if self._failed is not None:
            return
        self._learn(failed, now)
        seconds = now - self.began
        if self._permit is not None and self.breaker is not None:
            self.breaker.settle(self._permit, now, failed, seconds)
        self.endpoint.load.observe(seconds, failed, now, self._decay)

    def give_up(self, now: float, *, outrun: bool) -> None:
        """Report that the attempt was given up; *outrun*: because a later attempt was faster.

        All that is known is how long it has taken already. Several times the usual latency counts
        as a timeout of the endpoint, whether the caller's timer ran out or the hedge's.
        """
        if self._failed is not None or self._released or not self._sent:
            return
        load, seconds = self.endpoint.load, now - self.began
        usual = load.total.usual
        if usual and seconds >= (_OUTRUN * usual if outrun else max(_LEAST, _LEFT * usual)):
            self.report(True, now)
            return
        load.at_least(seconds)
        if outrun:
            self._learn(False, now)
            load.outrun(now)
            if self._permit is not None and self.breaker is not None:
                self.breaker.outrun(self._permit, now)

    def report_broken(self, now: float) -> None:
        """Report that the reply broke after its head, which was reported as a success.

        How long the head took was reported already; how long the rest took depends on the request.
        """
        if self._failed is not False:
            return
        self._failed = True
        if self._permit is not None and self.breaker is not None:
            self.breaker.fail_late(self._permit, now)
        self.endpoint.load.observe(0.0, True, now, self._decay)

    def release(self) -> None:
        """End the lease. An attempt that was not reported says nothing about the endpoint."""
        if self._released:
            return
        self._released = True
        self.endpoint.load.end()
        if self._failed is None:
            self._cancel()
            if self._sent:
                self.endpoint.load.answer(time.monotonic())

    def _cancel(self) -> None:
        if self._permit is not None and self.breaker is not None:
            self.breaker.cancel(self._permit)
            self._permit = None
