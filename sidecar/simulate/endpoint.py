"""One simulated endpoint: takes a call, draws its fate, generates the reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

from aiohttp import web

from sidecar.simulate.answer import BadRequestError, Stream, Whole
from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.counters import Counters
from sidecar.simulate.delivery import Pace, Sleep, generate, hang, reset, send
from sidecar.simulate.errors import error_body, error_headers, error_stream
from sidecar.simulate.plan import Plan, draw_plan

Build = Callable[[bytes, int], Whole | Stream]

_BEFORE = frozenset({"late", "error_first", "empty"})
"""Faults that strike before the answer, not within it."""
_STREAM_HEADERS = {"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache"}


class Regime:
    """A behaviour in force. Calls stay under the one they began with when it is changed."""

    def __init__(self, behaviour: Behaviour, endpoint: int) -> None:
        self.behaviour = behaviour
        self.slots: AbstractAsyncContextManager[object] = (
            asyncio.Semaphore(behaviour.slots) if behaviour.slots else nullcontext()
        )
        self._endpoint = endpoint
        self._calls = 0

    def draw(self) -> Plan:
        """The fate of the next call."""
        self._calls += 1
        return draw_plan(self.behaviour, self._endpoint, self._calls - 1)


class Endpoint:
    """State: the regime in force, the counters, whether an outage is on."""

    def __init__(self, index: int, behaviour: Behaviour, sleep: Sleep = asyncio.sleep) -> None:
        self.name = f"sim-{index}"
        self.counters = Counters()
        self.down = False
        self._index = index
        self._sleep = sleep
        self.change(behaviour)

    def change(self, behaviour: Behaviour) -> None:
        """Put *behaviour* in force for the calls to come; its sequence of draws begins anew."""
        self.regime = Regime(behaviour, self._index)

    async def call(self, request: web.Request, dialect: str, build: Build) -> web.StreamResponse:
        """Serve one call of an LLM API."""
        regime = self.regime
        try:
            answer = build(await request.read(), regime.behaviour.tokens)
        except BadRequestError as error:
            return self._reject(dialect, 400, str(error))
        except web.HTTPRequestEntityTooLarge as error:
            return self._reject(dialect, 413, str(error.text))
        plan = regime.draw()
        async with self.accounted(plan):
            if plan.fault == "hang":
                await hang()
            if plan.fault == "reset":
                reset(request)
                return web.Response()
            return await self._reply(request, dialect, answer, plan, regime)

    def _reject(self, dialect: str, status: int, message: str) -> web.Response:
        self.counters.rejected += 1
        return error_response(dialect, status, message)

    @asynccontextmanager
    async def accounted(self, plan: Plan) -> AsyncIterator[None]:
        """Count a call, its staged failure, and the caller's leaving before its end."""
        counters = self.counters
        counters.requests += 1
        counters.concurrency += 1
        if plan.fault:
            counters.failures[plan.fault] += 1
        try:
            yield
        except (asyncio.CancelledError, ConnectionError):
            # A caller who gives up on a reply that would never have come cancels no work.
            if self.down:
                counters.failures["down"] += 1
            elif plan.fault not in ("hang", "stall"):
                counters.cancelled += 1
            raise
        finally:
            counters.concurrency -= 1

    async def _reply(
        self,
        request: web.Request,
        dialect: str,
        answer: Whole | Stream,
        plan: Plan,
        regime: Regime,
    ) -> web.StreamResponse:
        response = None
        if regime.behaviour.head_first and isinstance(answer, Stream) and not plan.fault.isdigit():
            response = web.StreamResponse(headers=_STREAM_HEADERS)
            await response.prepare(request)
        async with self.working(regime, plan):
            if plan.fault.isdigit():
                status = int(plan.fault)
                headers = error_headers(status, regime.behaviour.retry_after)
                return error_response(dialect, status, f"Simulated failure {status}.", headers)
            self.counters.prompt_tokens += answer.prompt_tokens
            answer = _spoilt(answer, plan.fault, dialect)
            if isinstance(answer, Whole):
                await self._think(answer.tokens, regime.behaviour.tokens_per_second)
                if not plan.fault or plan.fault in _BEFORE:
                    self.counters.completed += 1
                    return web.Response(body=answer.body, content_type="application/json")
            return await self._send(request, response, answer, plan, regime)

    @asynccontextmanager
    async def working(self, regime: Regime, plan: Plan) -> AsyncIterator[None]:
        """Hold one of the regime's slots, after waiting in its queue; begin with the latency."""
        self.counters.waiting += 1
        try:
            await regime.slots.__aenter__()
        finally:
            self.counters.waiting -= 1
        self.counters.running += 1
        try:
            late = regime.behaviour.late_by if plan.fault == "late" else 0.0
            await self._sleep(plan.latency + late)
            yield
        finally:
            self.counters.running -= 1
            await regime.slots.__aexit__(None, None, None)

    async def _think(self, tokens: int, per_second: float) -> None:
        clock = asyncio.get_running_loop().time
        began, done = clock(), 0
        try:
            if per_second:
                await self._sleep(tokens / per_second)
            done = tokens
        finally:
            self.counters.tokens += done or min(tokens, int((clock() - began) * per_second))

    async def _send(
        self,
        request: web.Request,
        response: web.StreamResponse | None,
        answer: Whole | Stream,
        plan: Plan,
        regime: Regime,
    ) -> web.StreamResponse:
        """Send *answer*. *response*: its head, if that was sent already."""
        if isinstance(answer, Whole):
            response = web.StreamResponse(headers={"content-type": "application/json"})
            response.content_length = len(answer.body)
        elif response is None:
            response = web.StreamResponse(headers=_STREAM_HEADERS)
        pieces = generate(answer, plan, self.pace(plan, regime), self.count_token)
        # The only middle of a whole body is after its first piece.
        tokens = answer.tokens if isinstance(answer, Stream) else 0
        if await send(request, response, pieces, plan, tokens, self._sleep):
            self.counters.completed += 1
        return response

    def pace(self, plan: Plan, regime: Regime) -> Pace:
        """The speed at which a call's tokens come."""
        behaviour = regime.behaviour
        clock = asyncio.get_running_loop().time
        return Pace(behaviour.tokens_per_second, behaviour.jitter, plan.rng, self._sleep, clock)

    def count_token(self) -> None:
        """One more token was generated and sent."""
        self.counters.tokens += 1


def _spoilt(answer: Whole | Stream, fault: str, dialect: str) -> Whole | Stream:
    """What a server with *fault* says instead of *answer*."""
    if fault not in ("error_first", "empty"):
        return answer
    stream = isinstance(answer, Stream)
    body = b""
    if fault == "error_first":
        error = error_stream if stream else error_body
        body = error(dialect, 529, "Simulated overload.")
    if stream:
        return Stream(body, (), b"", answer.prompt_tokens, 0)
    return Whole(body, answer.prompt_tokens, 0)


def error_response(
    dialect: str, status: int, message: str, headers: dict[str, str] | None = None
) -> web.Response:
    """An error as the API's own server would send it."""
    return web.Response(
        body=error_body(dialect, status, message),
        status=status,
        headers=headers,
        content_type="application/json",
    )
