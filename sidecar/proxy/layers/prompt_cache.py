"""Give an upstream hints for its prompt cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sidecar.errors import ModelUnknown
from sidecar.llm.dialects import APIS
from sidecar.llm.prompt_cache import hint, takes_hints
from sidecar.llm.splice import UNREADABLE
from sidecar.proxy.layers.readable import Operations, plain_body

if TYPE_CHECKING:
    from sidecar.llm.dialects import Dialect
    from sidecar.llm.prompt_cache import Hints
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request


class PromptCache:
    """Inside shaping and redaction: the hint is about the prompt that is sent."""

    def __init__(
        self, inner: Layer, dialect: Dialect, hints: Hints, hold: int, stats: RouteStats
    ) -> None:
        """*hold*: bytes that a decompressed body may have."""
        self._inner = inner
        self._dialect = dialect
        self._hints = hints
        self._hold = hold
        self._stats = stats
        self._operations = Operations(APIS[dialect])

    def __repr__(self) -> str:
        return f"<PromptCache for {self._dialect}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Pass on the request with its hint. A body that can't be read is passed on as it is."""
        operation = self._operations.of(request)
        if call.head.upgrade or not takes_hints(self._dialect, operation, request.target):
            return await self._inner(call, request)
        try:
            body = await plain_body(call, request, self._hold)
            hinted = None if body is None else hint(body, self._dialect, self._hints)
        except (*UNREADABLE, ModelUnknown):
            hinted = None
        self._stats.hinted["unread" if hinted is None else hinted.result] += 1
        if hinted is not None:
            request = request.replace(cache_key=hinted.key)
            if hinted.body is not None:
                call.body.count_copies(len(hinted.body))
                request = request.replace(content=hinted.body)
        return await self._inner(call, request)
