"""Calls go to a provider as fast as its rate limit allows, by what its replies tell of it."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.errors import NoAnswer, QuotaSpent
from sidecar.llm.levels import levels
from sidecar.llm.waits import retry_after
from sidecar.policy.outcome import RATE_LIMITED
from sidecar.policy.outputs import Outputs
from sidecar.policy.pace import Pace as Policy
from sidecar.policy.rate import Keyed
from sidecar.proxy.layers.charges import Charge, Charges, learn
from sidecar.proxy.layers.patience import patience_of

if TYPE_CHECKING:
    from sidecar.policy.pace import Waiting
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

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
        self._timer: asyncio.TimerHandle | None = None

    def advance(self) -> None:
        """Let calls go whose turn it is, and come back for the next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        after = self.policy.advance(time.monotonic())
        if after is not None:
            self._timer = asyncio.get_running_loop().call_later(after, self.advance)

    def idle(self, now: float) -> bool:
        """Whether it can be forgotten."""
        return self.policy.idle(now)


class Quota:
    """What calls share that share a provider's rate limit. Providers limit each model by itself."""

    def __init__(self) -> None:
        self.lines: Keyed[Line] = Keyed(Line, _MODELS)
        self.outputs = Outputs()
        self.refused = 0
        """Calls that did not get their turn."""
        self.throttled = 0
        """Calls that the provider refused with 429."""

    @property
    def waiting(self) -> int:
        """Calls that wait for their turn."""
        return sum(line.policy.waiting for line in tuple(self.lines.limiters()))

    @property
    def eased(self) -> float:
        """What refusals have left of the pace, of the model that has least left: 1 is all."""
        return min((line.policy.eased for line in tuple(self.lines.limiters())), default=1.0)


class Paced:
    """Wraps each try: retries take their turn again."""

    def __init__(
        self,
        inner: Layer,
        quota: Quota,
        charges: Charges,
        name: str,
        max_wait: float,
        max_waiting: int,
    ) -> None:
        self._inner = inner
        self._quota = quota
        self._charges = charges
        self._name = name
        self._max_wait = max_wait
        self._max_waiting = max_waiting

    def __repr__(self) -> str:
        return f"<Paced by quota {self._name}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Wait for a turn. Raise QuotaSpent (429) if there is none in time."""
        charge = await self._charges.of(call, request, self._quota.outputs)
        line = self._quota.lines.get(charge.model, time.monotonic())
        turn = line.policy.enter(_costs(charge), time.monotonic())
        if turn.going is None:
            await self._wait(call, line, turn)
        since = len(call.attempts)
        try:
            reply = await self._inner(call, request)
        except NoAnswer as error:
            if error.status == RATE_LIMITED:
                self._refused(line, error.retry_after, too_fast=False)
            raise
        finally:
            for attempt in call.attempts[since:]:
                self._hear(line, turn, attempt)
        self._judge(line, reply)
        if reply.attempt is not None:
            reply.on_settled(partial(learn, self._quota.outputs, charge.model, reply.attempt))
        return reply

    async def _wait(self, call: Call, line: Line, turn: Waiting) -> None:
        policy, began = line.policy, time.monotonic()
        if policy.waiting > self._max_waiting:
            raise self._late(line, turn)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        turn.wake = partial(_set, future)
        timer = loop.call_later(self._patience(call, began), _set, future)
        line.advance()
        try:
            await future
        except asyncio.CancelledError:
            policy.give_up(turn, time.monotonic())
            line.advance()
            raise
        finally:
            timer.cancel()
            waited = time.monotonic() - began
            call.queued += waited
            call.note("pace", f"waited {waited * 1000:.0f} ms for its turn at quota {self._name}")
        if turn.going is None:
            raise self._late(line, turn)

    def _patience(self, call: Call, now: float) -> float:
        patience = patience_of(call)
        ends = [now + self._max_wait]
        if call.deadline is not None:
            ends.append(call.deadline)
        if patience is not None:
            ends.append(call.arrived + patience)
        return max(0.0, min(ends) - now)

    def _late(self, line: Line, turn: Waiting) -> QuotaSpent:
        now = time.monotonic()
        after = max(1.0, line.policy.wait(now))
        line.policy.give_up(turn, now)
        line.advance()
        self._quota.refused += 1
        return QuotaSpent(
            f"quota {self._name}: the call would wait too long for its turn", retry_after=after
        )

    def _hear(self, line: Line, turn: Waiting, attempt: AttemptRecord) -> None:
        """Take in what a reply's fields tell, a refusal's too."""
        if attempt.fields is None or turn.going is None:
            return
        now = time.monotonic()
        for level in levels(attempt.fields, time.time()):
            line.policy.told(turn.going, level.kind, level.limit, level.remaining, now)
        if line.policy.waiting:
            line.advance()

    def _judge(self, line: Line, reply: Reply) -> None:
        if reply.head.status != RATE_LIMITED:
            return
        failure = reply.failure
        if failure is None:
            self._refused(line, retry_after(reply.head.fields, time.time()), too_fast=False)
        elif failure.kind == "rate_limit" and not failure.hopeless:
            self._refused(line, failure.retry_after, too_fast=failure.slow_down)

    def _refused(self, line: Line, after: float | None, *, too_fast: bool) -> None:
        self._quota.throttled += 1
        seconds = min(_LONGEST, _UNNAMED if after is None else after)
        seconds *= 1 + _SPREAD * random.random()
        line.policy.refused(seconds, too_fast=too_fast, now=time.monotonic())
        if line.policy.waiting:
            line.advance()


def _costs(charge: Charge) -> dict[str, float]:
    output = charge.output.tokens
    return {
        "requests": 1.0,
        "tokens": float(charge.input + output),
        "input": float(charge.input),
        "output": float(output),
    }


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
