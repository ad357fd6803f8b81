"""A second attempt beside a first that is slow to answer; the first head wins.

Dean and Barroso, "The Tail at Scale" (CACM, February 2013): a hedge sent when a call is slower than
95 % of its kind costs 5 % more calls at most, and the budget enforces that. Opt-in, because the
loser's tokens are wasted.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import TimedOut, forget_frames
from sidecar.proxy.layers.attempt import LOST, OUTRUN
from sidecar.proxy.record import HEDGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.observe.stats import RouteStats
    from sidecar.policy.admission import Admission, Ticket
    from sidecar.policy.budget import Budget
    from sidecar.policy.quantile import Quantile
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


_LOOK: Final = 0.05
_LONGEST_LOOK: Final = 1.0
"""Seconds, at most, between checks for enough observed calls; they double each time."""


class HedgeSettings(NamedTuple):
    """A hedge is sent after `after` seconds without a head; None: the observed quantile."""

    after: float | None
    quantile: float
    min_calls: int
    statuses: frozenset[int]
    """Statuses that do not win while the other attempt still runs."""


class _Begun:
    """When an attempt began. One that *waits* for its turn at a quota has not yet begun."""

    def __init__(self, *, waits: bool = False) -> None:
        self.at = time.monotonic()
        self.told: asyncio.Future[None] | None = None
        if waits:
            self.told = asyncio.get_running_loop().create_future()

    def tell(self) -> None:
        if self.told is not None and not self.told.done():
            self.at = time.monotonic()
            self.told.set_result(None)


class Hedge:
    """Wraps the attempt, inside the retry: both attempts count as one try.

    An abandoned attempt is observed with its time so far. If only attempts with an answer were
    observed, the quantile would sink with every hedge that wins, and more and more would be sent.
    """

    def __init__(
        self,
        inner: Layer,
        settings: HedgeSettings,
        budget: Budget,
        observed: Quantile,
        stats: RouteStats,
        wanted: Callable[[Request], bool],
        places: Admission | None = None,
        room: Callable[[Call, Request], bool] | None = None,
    ) -> None:
        """*wanted*: whether any endpoint wants calls now; *places*: limits the calls in flight.

        *room*: whether an attempt would get its turn at the provider's quota at once; None: calls
        are not paced.
        """
        self._inner = inner
        self._settings = settings
        self._wanted = wanted
        self._places = places
        self._room = room
        self._budget = budget
        self._observed = observed
        self._stats = stats

    def __repr__(self) -> str:
        delay = self._delay()
        return f"<Hedge {'not yet' if delay is None else f'after {delay:.3f} s'}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Return the better of two replies; close the other's connection at once."""
        now = time.monotonic()
        self._budget.count(now)
        paced = self._room is not None
        # A streamed body can't go to two endpoints, nor can what only one endpoint knows.
        if not call.body.complete or request.home is not None:
            return await self._timed(call, request, _Begun(waits=paced))
        request = request.replace(holds_interims=True)
        begun = _Begun(waits=paced)
        first = asyncio.create_task(self._timed(call, request, begun))
        tasks, place = [first], None
        try:
            if await self._is_late(first, begun):
                place = self._place(call, request)
            if place is not None:
                second = request.replace(why=HEDGE, reason="slow")
                tasks.append(asyncio.create_task(self._timed(call, second, _Begun(waits=paced))))
            winner = await self._winner(tasks)
            if len(tasks) > 1:
                call.note("hedge", f"the {'first' if winner is first else 'second'} is taken")
            if winner is not first and not first.done():
                self._observed.observe(time.monotonic() - begun.at)
                first.cancel(OUTRUN)
            tasks.remove(winner)
            if winner is first and tasks:
                tasks[0].cancel(LOST)
        finally:
            try:
                await _end(tasks)
            finally:
                if place is not None:
                    place()
        self._stats.hedges_won += winner is not first and winner.exception() is None
        return winner.result()

    async def _is_late(self, first: asyncio.Task[Reply], begun: _Begun) -> bool:
        """Wait until a hedge is due or *first* is done; return whether *first* still runs.

        After too few calls there is no quantile yet, so it is looked up again and again: the very
        first calls may be the slowest, because slow endpoints are not known yet.
        """
        if begun.told is not None:
            await asyncio.wait((first, begun.told), return_when=asyncio.FIRST_COMPLETED)
        pause = _LOOK
        while not first.done():
            delay = self._delay()
            left = pause if delay is None else begun.at + delay - time.monotonic()
            if left <= 0.0:
                return True
            await asyncio.wait((first,), timeout=left)
            pause = min(2 * pause, _LONGEST_LOOK)
        return False

    def _place(self, call: Call, request: Request) -> Callable[[], None] | None:
        """Take a slot for the hedge. Return a function that releases it; None: none is free."""
        now = time.monotonic()
        if not self._wanted(request):
            return _no_hedge(call, "no endpoint wants calls")
        if not self._budget.allows(now):
            return _no_hedge(call, "the hedge budget is used up")
        if self._room is not None and not self._room(call, request):
            return _no_hedge(call, "the provider's quota has no room")
        give_back = _nothing
        if self._places is not None:
            ticket = self._places.spare(now)
            if ticket is None:
                return _no_hedge(call, "as many calls are in flight as may be")
            give_back = partial(_give_back, self._places, ticket)
        self._budget.spend(now)
        self._stats.hedges += 1
        return give_back

    def _delay(self) -> float | None:
        settings = self._settings
        if settings.after is not None:
            return settings.after
        return self._observed.value(settings.quantile, settings.min_calls)

    async def _timed(self, call: Call, request: Request, begun: _Begun) -> Reply:
        if begun.told is not None:
            request = request.replace(begins=begun.tell)
        try:
            reply = await self._inner(call, request)
        except TimedOut:
            self._observed.observe(time.monotonic() - begun.at)
            raise
        if reply.head.status < 400:
            self._observed.observe(time.monotonic() - begun.at)
        return reply

    async def _winner(self, tasks: list[asyncio.Task[Reply]]) -> asyncio.Task[Reply]:
        """Return the first with an acceptable head; if none has one, the last to fail."""
        pending = set(tasks)
        while True:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            good = next((task for task in done if self._good(task)), None)
            if good is not None or not pending:
                return good or done.pop()

    def _good(self, task: asyncio.Task[Reply]) -> bool:
        return task.exception() is None and task.result().head.status not in self._settings.statuses


def _no_hedge(call: Call, why: str) -> Callable[[], None] | None:
    call.note("no_hedge", why)
    return None


def _nothing() -> None:
    """Release nothing: no slot was taken."""


def _give_back(places: Admission, ticket: Ticket) -> None:
    places.abandon(ticket, time.monotonic())


async def _end(tasks: list[asyncio.Task[Reply]]) -> None:
    """Cancel the losers, and abandon a reply that arrived meanwhile."""
    if not tasks:
        return
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        try:
            task.result().abandon()  # a task keeps its traceback until its result is retrieved
        except BaseException as error:
            forget_frames(error)
