"""Answer calls from kept replies. The outermost part of the cache."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.errors import CallError, NotCached, forget_frames
from sidecar.policy.cache import FAILED, CacheSettings, asked, state
from sidecar.proxy.detached import detach
from sidecar.proxy.stored import replay

if TYPE_CHECKING:
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.keeps import Memory
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request
    from sidecar.proxy.stored import StoredReply

_REFRESHED: Final = 64
"""Replies of a route that are fetched anew at once; the others stay stale for so long."""
_GIVE_UP: Final = 600.0
"""Seconds after which that is given up."""


class CacheOptions(NamedTuple):
    """How a route answers from kept replies."""

    settings: CacheSettings
    paced: bool = False
    """Whether a kept stream comes as slowly as it did."""


class Cache:
    """*inner* has what fetches and keeps; *plain* has what takes no part in it."""

    def __init__(
        self,
        inner: Layer,
        plain: Layer,
        memory: Memory,
        options: CacheOptions,
        stats: RouteStats,
    ) -> None:
        self._inner = inner
        self._plain = plain
        self._memory = memory
        self._options = options
        self._stats = stats
        self._fetched: dict[bytes, asyncio.Task[None]] = {}

    def __repr__(self) -> str:
        return f"<Cache in {self._memory!r}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Answer, or fetch. Raise NotCached if the caller wants no other reply than a kept one."""
        wants = asked(call.head.fields.get(b"cache-control"))
        if wants.no_store:
            self.passed(call)
            return await self._plain(call, request)
        key = request.key
        assert key is not None
        stored = self._memory.get(key)
        now, settings = time.time(), self._options.settings
        use = "dead"
        if stored is not None:
            use = state(now - stored.stored, stored.life, settings, wants, stored.status)
            if use == "fresh":
                return self._answer(call, stored, now, "hit")
            if use == "stale":
                self._fetch(call, request, key)
                return self._answer(call, stored, now, "stale")
        if wants.only_if_cached:
            self._tell(call, "miss")
            call.final = True  # asked again, it would say the same
            raise NotCached("the caller wants no other reply than a kept one, and there is none")
        if wants.no_cache:
            request = request.replace(anew=True)
        return await self._ask(call, request, key, stored if use == "spare" else None)

    async def _ask(
        self, call: Call, request: Request, key: bytes, spare: StoredReply | None
    ) -> Reply:
        """Fetch; if the upstream fails, answer with *spare*."""
        try:
            reply = await self._inner(call, request)
        except CallError as error:
            if spare is None or error.status not in FAILED:
                self._tell(call, "miss")
                raise
            forget_frames(error)
        else:
            if reply.head.replayed:  # of the store, not of an upstream
                self._count(call, self._memory.get(key), "hit")
                return reply
            if spare is None or reply.head.status not in FAILED:
                self._tell(call, "miss")
                return reply
            reply.abandon()
        call.final = False
        return self._answer(call, spare, time.time(), "stale")

    def _answer(self, call: Call, stored: StoredReply, now: float, how: str) -> Reply:
        self._count(call, stored, how)
        call.operation = stored.operation
        return replay(call, stored, now - stored.stored, paced=self._options.paced)

    def _count(self, call: Call, stored: StoredReply | None, how: str) -> None:
        self._tell(call, how)
        if stored is not None and stored.status < 400:
            usage, cost = stored.usage, None
            if usage is not None and call.route is not None:
                cost = call.route.pricing.cost(stored.answered, usage)
            self._stats.saved.add(how, usage, cost)

    def passed(self, call: Call) -> None:
        """Note that *call* takes no part."""
        self._tell(call, "bypass")

    def _tell(self, call: Call, how: str) -> None:
        self._stats.cache[how] += 1
        call.cache = how
        call.told += b"\r\nx-sidecar-cache: " + how.encode()

    def _fetch(self, call: Call, request: Request, key: bytes) -> None:
        """Fetch a stale reply anew, beside the calls that it answers."""
        if key in self._fetched or len(self._fetched) >= _REFRESHED:
            return
        copy, wanted = detach(call, request)
        task = asyncio.create_task(self._carry(copy, wanted.replace(anew=True)))
        self._fetched[key] = task
        task.add_done_callback(lambda _: self._fetched.pop(key, None))

    async def _carry(self, copy: Call, request: Request) -> None:
        reply = None
        try:
            async with asyncio.timeout(_GIVE_UP):
                reply = await self._inner(copy, request)
                reply.write_into(copy.sink)
                if not reply.ended:
                    await reply.finish()
        except (CallError, TimeoutError) as error:
            forget_frames(error)
        finally:
            copy.body.free()
            if reply is not None:
                reply.abandon()
