"""Limits on tokens and requests a minute: reserved before a call, settled by what it used."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final, Literal

from sidecar.errors import Limited, TokensSpent
from sidecar.llm.charge import input_charged
from sidecar.policy.meter import Amounts
from sidecar.policy.token_limits import Refused, Ticket, Wanted
from sidecar.proxy.layers.charges import Charges, learn
from sidecar.proxy.layers.patience import patience_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from sidecar.llm.dialects import Dialect
    from sidecar.observe.stats import RouteStats
    from sidecar.policy.token_limits import TokenLimits, TokenSettings
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.record import AttemptRecord
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.store.shared_limits import SharedLimits

Exceeded = Literal["refuse", "wait", "fallback"]
_WHOSE: Final = {"route": "this route has", "model": "this model has", "client": "this client has"}
_WHAT: Final = {
    "requests": "requests",
    "input": "input tokens",
    "output": "output tokens",
    "total": "tokens",
}


class Turns:
    """The limits of a route at one upstream, and the timer for calls that wait."""

    def __init__(self, policy: TokenLimits, shared: SharedLimits | None = None) -> None:
        self.policy = policy
        self.shared = shared
        """What other sidecars use too; None: they have limits of their own."""
        if shared is not None:
            shared.advance = self.told
        self._timer: asyncio.TimerHandle | None = None

    def configure(self, settings: TokenSettings) -> None:
        """Use other settings from now on."""
        self.policy.configure(settings, time.monotonic())
        self.advance()

    def advance(self) -> None:
        """Let calls go that fit now, and come back when others may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        after = self.policy.advance(time.monotonic())
        if after is not None and after < inf:
            self._timer = asyncio.get_running_loop().call_later(after, self.advance)

    def told(self) -> None:
        """Let calls go that wait: other sidecars may have left something."""
        if self.policy.waiting:
            self.advance()

    async def enter(self, wanted: Wanted) -> Ticket | Refused:
        """Reserve what a call wants, have it wait, or refuse it."""
        if self.shared is None:
            return self.policy.enter(time.monotonic(), wanted)
        await self.shared.ready(self.policy.needed(time.monotonic(), wanted))
        try:
            return self.policy.enter(time.monotonic(), wanted)
        finally:
            self.shared.decided()

    def retire(self) -> None:
        """Give back what is shared."""
        if self.shared is not None:
            self.shared.retire()

    def settle(self, ticket: Ticket, used: Amounts) -> None:
        """End a call that has used so much."""
        self.policy.settle(ticket, time.monotonic(), used)
        if self.policy.waiting:
            self.advance()

    def leave(self, ticket: Ticket) -> None:
        """End a call whose caller left while it waited; it may have been let go just now."""
        now = time.monotonic()
        self.policy.settle(ticket, now, Amounts(0, 0, 0, 0))
        self.policy.give_up(ticket, now)
        self.advance()


class Tokens:
    """Wraps all attempts at one upstream: what they use together is what the call used."""

    def __init__(
        self,
        inner: Layer,
        turns: Turns,
        dialect: Dialect,
        client: Callable[[Call], str],
        hold: int,
        exceeded: Exceeded,
        stats: RouteStats,
    ) -> None:
        """*hold*: bytes that a decompressed body may have."""
        self._inner = inner
        self._turns = turns
        self._dialect = dialect
        self._client = client
        self._exceeded = exceeded
        self._stats = stats
        self._charges = Charges(dialect, hold)

    def __repr__(self) -> str:
        return f"<Tokens of {self._turns.policy!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Reserve. Raise Limited or TokensSpent (429) if the call exceeds a limit."""
        wanted = await self._wanted(call, request)
        ticket = await self._turns.enter(wanted)
        if isinstance(ticket, Refused):
            raise self._refusal(call, ticket)
        if not ticket.granted:
            await self._wait(call, ticket)
        settle = partial(self._settle, ticket, call.attempts, len(call.attempts))
        try:
            reply = await self._inner(call, request)
        except BaseException:
            settle()
            raise
        reply.on_settled(settle)
        return reply

    async def _wanted(self, call: Call, request: Request) -> Wanted:
        charge = await self._charges.of(call, request, self._turns.policy.outputs)
        patience = patience_of(call)
        latest = min(
            inf if call.deadline is None else call.deadline,
            inf if patience is None else call.arrived + patience,
        )
        output, client = charge.output, self._client(call)
        return Wanted(charge.input, output.tokens, output.guessed, charge.model, client, latest)

    async def _wait(self, call: Call, ticket: Ticket) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        ticket.wake = partial(_set, turn)
        policy = self._turns.policy
        timer = loop.call_later(policy.patience(ticket), _set, turn)
        self._turns.advance()
        try:
            await turn
        except asyncio.CancelledError:
            self._turns.leave(ticket)
            raise
        finally:
            timer.cancel()
            waited = time.monotonic() - ticket.queued_at
            call.queued += waited
            call.note("limits", f"waited {waited * 1000:.0f} ms until a limit on tokens let it go")
        refused = policy.turn_away(ticket, time.monotonic())
        if refused is not None:
            self._turns.advance()
            raise self._refusal(call, refused)

    def _settle(self, ticket: Ticket, attempts: list[AttemptRecord], since: int) -> None:
        """Count what the attempts used."""
        requests = input_ = output = 0
        for attempt in attempts[since:]:
            if attempt.sent is None:
                continue
            requests += 1
            if attempt.resumed:
                continue
            used = self._used(ticket, attempt)
            input_ += used[0]
            output += used[1]
        self._turns.settle(ticket, Amounts(requests, input_, output, input_ + output))

    def _used(self, ticket: Ticket, attempt: AttemptRecord) -> tuple[int, int]:
        """The input and output of an attempt that was sent.

        Where nothing is known of it, it is what was reserved: the provider may have gone on.
        """
        said = attempt.said
        usage = None if said is None else said.usage
        if usage is not None:
            learn(self._turns.policy.outputs, ticket.wanted.model, attempt)
            return input_charged(self._dialect, usage), usage.output
        failed = attempt.status >= 400 or (said is not None and said.failure is not None)
        return (0, 0) if failed else (ticket.amounts.input, ticket.amounts.output)

    def _refusal(self, call: Call, refused: Refused) -> Limited | TokensSpent:
        what = f"{refused.limit} {_WHAT[refused.kind]} a minute"
        if refused.retry_after == inf:
            call.final = True
            message, after = f"the call is larger than {what}, the limit", None
        else:
            message, after = f"{_WHOSE[refused.scope]} a limit of {what}", refused.retry_after
        if self._exceeded == "fallback":
            return TokensSpent(message, retry_after=after)
        self._stats.count_limited("tokens_limited")
        return Limited(message, retry_after=after, code="tokens_limited")


def _set(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)
