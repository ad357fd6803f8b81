"""Turns at providers' quotas: who waits for one, who gets it, and what the reply tells after it."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import AttemptError, NoAnswer, QuotaSpent
from sidecar.llm.levels import levels
from sidecar.llm.waits import retry_after
from sidecar.policy.outcome import RATE_LIMITED
from sidecar.policy.outputs import Outputs
from sidecar.policy.pace import Pace as Policy
from sidecar.policy.rate import Keyed
from sidecar.proxy.layers.charges import Charge, Charges, learn
from sidecar.proxy.layers.patience import patience_of
from sidecar.proxy.record import HEDGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sidecar.policy.pace import Going, Waiting
    from sidecar.policy.shared_pace import SharedPace
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.store.shared_paces import SharedPaces

_MODELS: Final = 100
_UNNAMED: Final = 1.0
"""Seconds without calls after a refusal that names no time."""
_LONGEST: Final = 60.0
"""The longest such time that is obeyed: a reply after it tells more."""
_SPREAD: Final = 0.5
"""Part of such a time by which it is made longer at random, so that not all come back at once."""


class Line:
    """The calls for one model of a quota, and the timer for those that wait."""

    def __init__(self) -> None:
        self.policy = Policy()
        self.shared: SharedPace | None = None
        """What sidecars of the same quota tell each other; None: nothing."""
        self._timer: asyncio.TimerHandle | None = None

    def advance(self) -> None:
        """Let calls go whose turn it is, and come back for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        after = self.policy.advance(time.monotonic())
        if after is not None:
            self._timer = asyncio.get_running_loop().call_later(after, self.advance)

    def refused(self, after: float | None, *, too_fast: bool) -> None:
        """The provider refused a call, and wants none for *after* seconds; None: it names none."""
        seconds = min(_LONGEST, _UNNAMED if after is None else after)
        seconds *= 1 + _SPREAD * random.random()
        now = time.monotonic()
        self.policy.refused(seconds, too_fast=too_fast, now=now)
        if self.shared is not None:
            self.shared.refused(seconds, too_fast=too_fast, now=now)
        if self.policy.waiting:
            self.advance()

    def idle(self, now: float) -> bool:
        """Whether it can be forgotten."""
        return self.policy.idle(now)


class Quota:
    """What calls share that share a provider's rate limit. Providers limit each model by itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shared: SharedPaces | None = None
        """The paces of other sidecars of this quota; None: they don't talk."""
        self.lines: Keyed[Line] = Keyed(Line, _MODELS)
        self.outputs = Outputs()
        self.refused = 0
        """Calls that did not get their turn."""
        self.throttled = 0
        """Calls that the provider refused with 429."""

    def line(self, model: str, now: float) -> Line:
        """Return the line of the calls for *model*."""
        line = self.lines.get(model, now)
        if self.shared is not None:
            line.shared = self.shared.use(model, line.policy, line.advance)
        return line

    def alone(self) -> None:
        """Share the pace with no other sidecar from now on."""
        self.shared = None
        for line in self.lines.limiters():
            line.shared = None

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return sum(line.policy.waiting for line in tuple(self.lines.limiters()))

    @property
    def eased(self) -> float:
        """What refusals have left of the pace, of the model that has least left: 1 is all."""
        return min((line.policy.eased for line in tuple(self.lines.limiters())), default=1.0)


class _Place(NamedTuple):
    """A call's place in the line of a quota."""

    quota: Quota
    line: Line
    waiting: Waiting


class Turn:
    """The turn of one try at a quota."""

    def __init__(self, place: _Place, going: Going, model: str, outputs: Outputs) -> None:
        self.quota, self._line, _ = place
        self._going = going
        self._model = model
        self._outputs = outputs

    def __repr__(self) -> str:
        return f"<Turn at {self.quota.name}>"

    async def send(self, inner: Layer, call: Call, request: Request) -> Reply:
        """Have *inner* make the try, and learn from what comes."""
        if request.begins is not None:
            request.begins()
        since = len(call.attempts)
        try:
            reply = await inner(call, request)
        except AttemptError as error:
            for attempt in call.attempts[since:]:
                self._hear(attempt)
            if isinstance(error, NoAnswer) and error.status == RATE_LIMITED:
                self._refused(error.retry_after, too_fast=False)
            raise
        if reply.attempt is not None:
            self._hear(reply.attempt)
        self._judge(reply)
        if reply.attempt is not None:
            reply.on_settled(partial(learn, self._outputs, self._model, reply.attempt))
        return reply

    def _hear(self, attempt: AttemptRecord) -> None:
        """Take in what a reply's fields tell, a refusal's too."""
        if attempt.fields is None:
            return
        now, line = time.monotonic(), self._line
        for level in levels(attempt.fields, time.time()):
            kind, limit, remaining, reset = level
            line.policy.told(self._going, kind, limit, remaining, now, reset)
        if line.policy.waiting:
            line.advance()

    def _judge(self, reply: Reply) -> None:
        if reply.head.status != RATE_LIMITED:
            return
        failure = reply.failure
        if failure is None:
            self._refused(retry_after(reply.head.fields, time.time()), too_fast=False)
        elif failure.kind == "rate_limit" and not failure.hopeless:
            self._refused(failure.retry_after, too_fast=failure.slow_down)

    def _refused(self, after: float | None, *, too_fast: bool) -> None:
        self.quota.throttled += 1
        self._line.refused(after, too_fast=too_fast)


class Turns:
    """Gives the tries at one upstream their turns."""

    def __init__(
        self, charges: Charges, outputs: Outputs, max_wait: float, max_waiting: int
    ) -> None:
        """*outputs*: learns how long answers are; *max_wait*: seconds; *max_waiting*: calls."""
        self._charges = charges
        self._outputs = outputs
        self._max_wait = max_wait
        self._max_waiting = max_waiting

    def room(self, call: Call, request: Request, quotas: Sequence[Quota]) -> bool:
        """Whether a try would get its turn at one of *quotas* at once."""
        model, now = self._charges.model(call, request), time.monotonic()
        return any(quota.line(model, now).policy.room(now) for quota in quotas)

    async def take(self, call: Call, request: Request, quotas: Sequence[Quota]) -> Turn:
        """Wait for the first turn at any of *quotas*; the first of them that has room is taken.

        Raise QuotaSpent (429) if there is none in time. A hedge does not wait.
        """
        charge = await self._charges.of(call, request, self._outputs)
        costs, now = _costs(charge), time.monotonic()
        places: list[_Place] = []
        for quota in quotas:
            line = quota.line(charge.model, now)
            places.append(_Place(quota, line, line.policy.enter(costs, now)))
            if places[-1].waiting.going is not None:
                break
        else:
            await self._wait(call, request, places)
        _leave(places)
        for place in places:
            if place.waiting.going is not None:
                return Turn(place, place.waiting.going, charge.model, self._outputs)
        raise self._late(request, places)

    async def _wait(self, call: Call, request: Request, places: list[_Place]) -> None:
        """Wait until one of *places* has its turn, or too long."""
        if request.why == HEDGE:
            return
        if all(line.policy.waiting > self._max_waiting for _, line, _ in places):
            return
        loop, began = asyncio.get_running_loop(), time.monotonic()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(self._patience(call, began), _set, future)
        for place in places:
            place.waiting.wake = partial(_wakes, future, places)
        for place in places:
            place.line.advance()
        try:
            await future
        except asyncio.CancelledError:
            _leave(places)
            raise
        finally:
            timer.cancel()
            waited = time.monotonic() - began
            call.queued += waited
            names = " or ".join(place.quota.name for place in places)
            call.note("pace", f"waited {waited * 1000:.0f} ms for its turn at quota {names}")

    def _patience(self, call: Call, now: float) -> float:
        patience = patience_of(call)
        ends = [now + self._max_wait]
        if call.deadline is not None:
            ends.append(call.deadline)
        if patience is not None:
            ends.append(call.arrived + patience)
        return max(0.0, min(ends) - now)

    @staticmethod
    def _late(request: Request, places: list[_Place]) -> QuotaSpent:
        """Return the error of a try that gets no turn."""
        now = time.monotonic()
        soonest = min(places, key=lambda place: place.line.policy.wait(now))
        if request.why != HEDGE:
            soonest.quota.refused += 1
        return QuotaSpent(
            f"quota {soonest.quota.name}: the call would wait too long for its turn",
            retry_after=max(1.0, soonest.line.policy.wait(now)),
        )


def _costs(charge: Charge) -> dict[str, float]:
    output = charge.output.tokens
    return {
        "requests": 1.0,
        "tokens": float(charge.input + output),
        "input": float(charge.input),
        "output": float(output),
    }


def _wakes(future: asyncio.Future[None], places: list[_Place]) -> None:
    """One of *places* has its turn: leave the others at once, so that they get none as well."""
    _leave(places)
    _set(future)


def _leave(places: list[_Place]) -> None:
    for place in places:
        place.line.policy.leave(place.waiting)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
