"""What was said in a call, kept for its span where the configuration asks for it."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from sidecar.llm.coding import is_identity
from sidecar.llm.dialects import READABLE
from sidecar.llm.spoken import Content, answered, asked
from sidecar.llm.sse import EventSplitter
from sidecar.llm.texts import delta_of, text_of
from sidecar.observe.trace import SAMPLED
from sidecar.proxy.parameters import body_of
from sidecar.proxy.reply import observed

if TYPE_CHECKING:
    from sidecar.errors import CallError
    from sidecar.http.message import ResponseHead
    from sidecar.llm.dialects import Dialect
    from sidecar.proxy.call import Call
    from sidecar.proxy.reply import Reply

_LARGEST: Final = 256 * 1024
"""Bytes of a reply in one piece that are kept to be read."""
_GZIP_OR_ZLIB: Final = 47


class Answer:
    """A Tap (`reply.py`) that keeps the text of an answer, at most *most* characters of it."""

    def __init__(self, dialect: Dialect, head: ResponseHead, most: int) -> None:
        self._dialect = dialect
        self._most = most
        fields = head.fields.known
        events = b"event-stream" in fields.get(b"content-type", b"")
        self._events = EventSplitter() if events else None
        coding = fields.get(b"content-encoding")
        coded = coding is not None and not is_identity(coding)
        self._unpack = zlib.decompressobj(_GZIP_OR_ZLIB) if coded else None
        self._body = bytearray()
        self._texts: list[str] = []
        self._size = 0

    def data(self, data: bytes) -> None:
        """Read the text in *data*, unless there is enough."""
        if self._size >= self._most:
            return
        if self._unpack is not None:
            try:
                data = self._unpack.decompress(data, _LARGEST)
            except zlib.error:  # not a coding of ours: nothing is told
                self._size = self._most
                return
        if self._events is None:
            self._body += data[: _LARGEST + 1 - len(self._body)]
            return
        for event in self._events.feed(data):
            self._add(delta_of(self._dialect, event.data))

    def end(self, error: CallError | None) -> None:
        """The reply is over."""
        if self._events is None and len(self._body) <= _LARGEST:
            self._add(text_of(self._dialect, bytes(self._body)) or "")
        self._body.clear()

    @property
    def text(self) -> str:
        """What was said."""
        return "".join(self._texts)[: self._most]

    def _add(self, text: str) -> None:
        if text and self._size < self._most:
            self._texts.append(text)
            self._size += len(text)


def kept(call: Call, reply: Reply, most: int) -> Reply:
    """Return *reply*, of which the text is kept if the call's trace is sampled.

    Not where the route redacts: what must not reach a model must not reach a collector.
    """
    route = call.route
    if route is None or not call.trace.flags & SAMPLED or "redact" in route.layers:
        return reply
    if call.operation not in READABLE or reply.tunnel is not None or reply.head.status >= 300:
        return reply
    call.answer = Answer(route.upstream.dialect, reply.head, most)
    return observed(reply, call.answer)


def content_of(call: Call, most: int, finish: str) -> Content | None:
    """Return what was said in *call*; None if it was not kept. Its body must still be here."""
    if call.answer is None:
        return None
    body = body_of(call)
    said = Content() if body is None else asked(body, most)
    text = call.answer.text
    return said._replace(output=answered(text, finish)) if text else said
