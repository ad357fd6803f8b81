"""Shape what is asked of one upstream: bounds, fields, context, system prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.errors import ContextTooLong, ModelUnknown
from sidecar.llm.dialects import APIS
from sidecar.llm.shape.context import TooLong, message_for
from sidecar.llm.shape.shape import shape
from sidecar.llm.splice import UNREADABLE
from sidecar.proxy.layers.readable import Operations, plain_body, tell

if TYPE_CHECKING:
    from sidecar.llm.dialects import Dialect
    from sidecar.llm.shape.shape import ShapeSettings
    from sidecar.observe.stats import RouteStats
    from sidecar.proxy.call import Call
    from sidecar.proxy.layers.layer import Layer
    from sidecar.proxy.reply import Reply
    from sidecar.proxy.request import Request

SHAPED: Final = frozenset({
    "chat", "completions", "responses", "messages", "generateContent", "streamGenerateContent",
    "converse",
})  # fmt: skip
"""Operations that generate text."""
_HEADER: Final = b"x-sidecar-shaped"
_UNREAD: Final = b"unread"


class Shape:
    """Outside all attempts at one upstream, so that all of them send the same."""

    def __init__(
        self, inner: Layer, dialect: Dialect, settings: ShapeSettings, hold: int, stats: RouteStats
    ) -> None:
        """*hold*: bytes that a decompressed body may have."""
        self._inner = inner
        self._dialect = dialect
        self._settings = settings
        self._hold = hold
        self._stats = stats
        self._operations = Operations(APIS[dialect])

    def __repr__(self) -> str:
        return f"<Shape for {self._dialect}>"

    async def __call__(self, call: Call, request: Request) -> Reply:
        """Pass on the shaped request. Raise ContextTooLong.

        A body that can't be read is passed on as it is, and the reply says so.
        """
        operation = self._operations.of(request)
        if operation not in SHAPED or call.head.upgrade:
            return await self._inner(call, request)
        tell(call, _HEADER, b"")  # what an earlier target told
        try:
            body = await plain_body(call, request, self._hold)
            shaped = None if body is None else shape(body, self._dialect, operation, self._settings)
        except TooLong as error:
            self._stats.shaped["refused"] += 1
            raise ContextTooLong(message_for(self._dialect, error)) from None
        except (*UNREADABLE, ModelUnknown):
            shaped = None
        if shaped is None:
            self._stats.shaped["unread"] += 1
            tell(call, _HEADER, _UNREAD)
            call.note("shape", "its body can't be read, and goes on as it is")
        elif shaped.body is not None:
            for name in shaped.changes:
                self._stats.shaped[name] += 1
            self._stats.tokens_trimmed += shaped.saved
            told = ", ".join(f"{name}={value}" for name, value in shaped.changes.items())
            tell(call, _HEADER, told.encode())
            call.note("shape", told)
            call.body.count_copies(len(shaped.body))
            request = request.replace(content=shaped.body)
        return await self._inner(call, request)
