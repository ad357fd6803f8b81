"""Try another upstream or model when one has failed before a byte went downstream."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sidecar.errors import AttemptError, NoAnswer, forget_frames
from sidecar.http.keys import PROTOCOL, keys_among, protocols_without_keys, without_keys
from sidecar.policy.retry import condition_of
from sidecar.policy.split import choose
from sidecar.proxy.record import FALLBACK

if TYPE_CHECKING:
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


class Target:
    """One upstream of a route, the model to ask it for, and whether it gets callers' keys."""

    def __init__(
        self, upstream: str, inner: Layer, model: str | None, *, shows_keys: bool = True
    ) -> None:
        """*shows_keys*: callers' keys go there, except what our credentials replace."""
        self.upstream = upstream
        self.model = model
        self._inner = inner
        self._shows_keys = shows_keys

    def __repr__(self) -> str:
        return f"<Target {self.upstream}, model {self.model or 'as asked'}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Send the call there, independently of earlier targets."""
        if not self._shows_keys:
            request = _keyless(call, request)
        if self.model is not None:
            if call.unreadable is not None:
                raise call.unreadable
            if call.asked is not None and call.asked.named:
                content = call.asked.with_model(self.model)
                request = request.replace(content=content, model=self.model)
        if call.body.complete and not call.body.streamed:
            call.body.count_copies(len(request.content or b""))  # forget the earlier target's
        return await self._inner(call, request)


def _keyless(call: Call, request: Request) -> Request:
    """Return *request* without the caller's keys, which are meant for another upstream."""
    fields = call.head.fields
    edits = dict.fromkeys(keys_among(fields), b"")
    if PROTOCOL in fields:
        kept = protocols_without_keys(fields[PROTOCOL])
        edits[PROTOCOL] = b"\r\nSec-WebSocket-Protocol: " + kept if kept else b""
    return request.edited(edits).replace(target=without_keys(request.target))


class Split:
    """One of several targets, each with its share of the calls.

    *point* of a call is in [0, 1): random, or fixed by its client, header or cookie.
    """

    def __init__(
        self,
        targets: Sequence[Layer],
        shares: Sequence[float],
        point: Callable[[Call], float] | None,
    ) -> None:
        self._targets = targets
        self._shares = shares
        self._point = point

    def __repr__(self) -> str:
        return f"<Split {self._targets!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Choose a target and send the call there."""
        point = random.random() if self._point is None else self._point(call)
        return await self._targets[choose(self._shares, point)](call, request)


class Fallback:
    """*first*, then each of *others* in order."""

    def __init__(
        self,
        first: Layer,
        others: Sequence[Target],
        conditions: frozenset[str],
        statuses: frozenset[int],
        stats: RouteStats,
    ) -> None:
        self._first = first
        self.others = others
        self._conditions = conditions
        self._statuses = statuses
        self._stats = stats

    def __repr__(self) -> str:
        return f"<Fallback {self._first!r}, then {self.others!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return the first acceptable reply, or the last one."""
        asked = self._first
        for target in self._possible(call):
            try:
                reply = await asked(call, request)
                if not self._bad(reply) or not _may_go_on(call):
                    return reply
                reply.abandon()
                reason = str(reply.head.status)
            except AttemptError as error:
                if not self._worth(error) or not _may_go_on(call):
                    raise
                reason = error.code
                forget_frames(error)
            call.fallback += 1
            call.final = False
            self._stats.fallbacks[target.upstream] += 1
            asked = target
            call.note("fallback", f"to upstream {target.upstream}, after {reason}")
            request = request.replace(why=FALLBACK, reason=reason, since=len(call.attempts))
        return await asked(call, request)

    def _bad(self, reply: Reply) -> bool:
        """Whether another upstream may do better: always where this one wants money."""
        failure = reply.failure
        return reply.head.status in self._statuses or (
            failure is not None and failure.kind == "money"
        )

    def _possible(self, call: Call) -> Sequence[Target]:
        """Return the others, without those whose model can't be put into the body."""
        if call.unreadable is None:
            return self.others
        return [target for target in self.others if target.model is None]

    def _worth(self, error: AttemptError) -> bool:
        """Whether another may succeed: always if this one got no request, or wants money."""
        if isinstance(error, NoAnswer) and not error.again:
            return True
        condition = condition_of(error.code)
        if condition is None:
            return error.code != "total_timeout"
        return condition in self._conditions


def _may_go_on(call: Call) -> bool:
    in_time = call.deadline is None or time.monotonic() < call.deadline
    return in_time and not call.body.streamed
