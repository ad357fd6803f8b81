"""Limits on calls per second and in flight, of a route and of each client."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import Limited
from sidecar.policy.rate import Concurrency, Rate

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.policy.rate import Keyed
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

_SOON: Final = 1.0
"""Seconds in `retry-after`: by then another call may have ended."""


class LimiterSettings(NamedTuple):
    """None: no limit."""

    per_second: float | None = None
    burst: int = 1
    concurrency: int | None = None


class Limiter:
    """Limits the calls per second and in flight of one route or client."""

    def __init__(self, settings: LimiterSettings) -> None:
        self._concurrency = Concurrency(sys.maxsize)
        self._rate: Rate | None = None
        self.configure(settings)

    def __repr__(self) -> str:
        return f"<Limiter {self._concurrency.max} at once, {self._rate!r}>"

    def configure(self, settings: LimiterSettings) -> None:
        """Use new settings from now on; keep the counts."""
        self._concurrency.max = settings.concurrency or sys.maxsize
        if settings.per_second is None:
            self._rate = None
        elif self._rate is None:
            self._rate = Rate(settings.per_second, settings.burst)
        else:
            self._rate.adjust(settings.per_second, settings.burst)

    def enter(self, now: float, who: str) -> None:
        """Count a call in. Raise Limited, without counting, if there are too many."""
        if not self._concurrency.enter():
            raise Limited(
                f"{who} has {self._concurrency.max} calls in flight, as many as its limit allows",
                retry_after=_SOON,
                code="concurrency_limited",
            )
        wait = 0.0 if self._rate is None else self._rate.take(now)
        if wait:
            self._concurrency.release()
            message = f"{who} makes more calls per second than its limit allows"
            raise Limited(message, retry_after=wait)

    def leave(self) -> None:
        """Count a call out."""
        self._concurrency.release()

    def idle(self, now: float) -> bool:
        """Whether it can be dropped without effect."""
        return self._concurrency.idle(now) and (self._rate is None or self._rate.idle(now))


class Limits:
    """Wraps everything that waits, so that calls over the limit cost nothing."""

    def __init__(
        self,
        inner: Layer,
        whole: Limiter | None,
        clients: Keyed[Limiter] | None,
        client: Callable[[Call], str],
        counted: Callable[[str], None],
    ) -> None:
        self._inner = inner
        self._whole = whole
        self._clients = clients
        self._client = client
        self._counted = counted

    def __repr__(self) -> str:
        return f"<Limits {self._whole!r}, each client {'too' if self._clients else 'free'}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Count the call in. Raise Limited (429) if there are too many."""
        try:
            entered = self._enter(call, time.monotonic())
        except Limited as error:
            self._counted(error.code)
            raise
        try:
            reply = await self._inner(call, request)
        except BaseException:
            _leave(entered)
            raise
        reply.on_settled(lambda: _leave(entered))
        return reply

    def _enter(self, call: Call, now: float) -> list[Limiter]:
        """Check the client's limit first: its refused calls must not use up the route's."""
        entered: list[Limiter] = []
        try:
            if self._clients is not None:
                limiter = self._clients.get(self._client(call), now)
                limiter.enter(now, "this client")
                entered.append(limiter)
            if self._whole is not None:
                self._whole.enter(now, f"route {call.route.name if call.route else ''}")
                entered.append(self._whole)
        except Limited:
            _leave(entered)
            raise
        return entered


def _leave(entered: list[Limiter]) -> None:
    for limiter in entered:
        limiter.leave()
