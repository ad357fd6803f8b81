"""A place that an attempt has taken at an endpoint: how it went is told once, then it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidecar.policy.breaker import Breaker, Permit
    from sidecar.upstream.endpoint import Endpoint


class Held:
    """Counts in the endpoint's load until `release`; `tell` feeds its breaker and its averages."""

    __slots__ = (
        "_decay",
        "_failed",
        "_permit",
        "_released",
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
        """Monotonic seconds; waiting for a connection counts."""
        self._permit = permit
        self._decay = decay
        self._failed: bool | None = None
        """What was told; None: nothing yet."""
        self._released = False
        endpoint.load.begin()

    def tell(self, failed: bool, now: float) -> None:
        """The endpoint has answered with a head, or has failed to."""
        if self._failed is not None:
            return
        self._failed = failed
        seconds = now - self.began
        if self._permit is not None and self.breaker is not None:
            self.breaker.settle(self._permit, now, failed, seconds)
        self.endpoint.load.observe(seconds, failed, now, self._decay)

    def broke(self, now: float) -> None:
        """Its reply broke after its head: what was told as a success was none.

        How long the head took was told already; how long the rest took depends on what was asked.
        """
        if self._failed is not False:
            return
        self._failed = True
        if self._permit is not None and self.breaker is not None:
            self.breaker.fail_late(self._permit, now)
        self.endpoint.load.observe(0.0, True, now, self._decay)

    def release(self) -> None:
        """The attempt is over. What was not told by now says nothing about the endpoint."""
        if self._released:
            return
        self._released = True
        self.endpoint.load.end()
        if self._failed is None and self._permit is not None and self.breaker is not None:
            self.breaker.cancel(self._permit)
            self._permit = None
