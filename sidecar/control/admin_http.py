"""HTTP for the admin and health servers: a few connections, one page after another on each.

It parses with the data plane's parser, but shares nothing else with it. A request's body is held
whole, and so is a page, but for those that never end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Final, cast
from urllib.parse import parse_qsl, unquote

from sidecar.control.answers import Answer, Request, encode, refuse_malformed
from sidecar.errors import BadMessage
from sidecar.http.limits import HeadLimits
from sidecar.http.message import Header, RequestHead
from sidecar.http.request_parser import RequestParser

_log: Final = logging.getLogger(__name__)

_LIMITS: Final = HeadLimits(
    request_line=8192, header=8192, headers=32768, header_count=64, body=1 << 20
)
_IDLE: Final = 60.0
"""Seconds that a connection may take for its next request, its head and body included."""
_STUCK: Final = 30.0
"""Seconds that a client may take nothing of a stream."""
_LINGER: Final = 1.0
"""Seconds that a client gets to close its side behind our last reply."""
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Server": "llm-sidecar",
    "X-Content-Type-Options": "nosniff",
}


class AdminHttp:
    """The connections of one server, oldest first, which are answered by *answer*.

    At most *most* are open: another one closes the oldest, so that clients which hoard connections
    cannot keep a health probe out.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Answer]], most: int) -> None:
        self.answer = answer
        self._most = most
        self._open: dict[AdminConnection, None] = {}
        self._emptied = asyncio.Event()

    def connect(self) -> AdminConnection:
        """Make the protocol of a connection that was accepted."""
        return AdminConnection(self)

    def opened(self, connection: AdminConnection) -> None:
        """Count *connection*, and make room for it."""
        self._open[connection] = None
        self._evict(self._most)

    def closed(self, connection: AdminConnection) -> None:
        """Count *connection* no more."""
        self._open.pop(connection, None)
        if not self._open:
            self._emptied.set()

    def spare(self) -> None:
        """Close the oldest connection, for its descriptor."""
        self._evict(max(0, len(self._open) - 1))

    async def shut_down(self, within: float) -> None:
        """Close idle connections now, the others when they have answered or *within* seconds."""
        for connection in list(self._open):
            connection.close_when_idle()
        if self._open:
            self._emptied.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), within)
        self._evict(0)

    def _evict(self, keep: int) -> None:
        for oldest in list(self._open)[: max(0, len(self._open) - keep)]:
            oldest.abort()


class AdminConnection(asyncio.Protocol):
    """Takes a request, answers it, and takes the next."""

    def __init__(self, server: AdminHttp) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport = cast("asyncio.Transport", None)
        self._parser = RequestParser(self, _LIMITS)
        self._head: RequestHead | None = None
        """The request that is being received or answered."""
        self._body = b""
        """What has come of its body, which the parser bounds."""
        self._answering: asyncio.Task[None] | None = None
        self._unparsed = b""
        """What came behind the request that is being answered; reading is paused then."""
        self._room = asyncio.Event()
        """Set while the client takes what is sent."""
        self._room.set()
        self._streaming = False
        """The reply has no end."""
        self._closing = False
        """The reply in progress, or the last one, is the last."""
        self._ended = False
        """The client has closed its side."""
        self._expiry: asyncio.TimerHandle | None = None

    # -- asyncio.Protocol --

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        self._transport = cast("asyncio.Transport", transport)
        self._expire_in(_IDLE)
        self._server.opened(self)

    def data_received(self, data: bytes) -> None:
        """Parse a request; keep what lies behind it."""
        if self._closing and self._answering is None:
            return  # it is read only so that our last reply is not lost
        self._unparsed += data
        self._parse()
        if self._unparsed:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """A client that has closed its side still gets the answer that it waits for."""
        self._closing = self._ended = True
        return self._answering is not None and not self._streaming

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection, and what was being answered on it."""
        self._closing = True
        self._unparsed = b""
        if self._expiry is not None:
            self._expiry.cancel()
        if self._answering is not None:
            self._answering.cancel()
        self._parser.close()
        self._server.closed(self)

    def pause_writing(self) -> None:
        """The client takes replies slower than it asks for them."""
        self._room.clear()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._room.set()
        if not self._streaming:
            self._next()

    # -- the parser's sink --

    def on_request(self, head: RequestHead) -> None:
        """A head is complete."""
        self._head, self._body = head, b""
        if head.upgrade:  # there is nothing to switch to (RFC 9110, section 7.8)
            self._closing = True
            self._begin(head)
        elif head.expects_continue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """More of the body has come."""
        self._body += data

    def on_request_end(self, trailers: list[Header]) -> None:
        """The request is complete."""
        assert self._head is not None
        self._begin(self._head, self._body)

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        """Head and body have come at once."""
        self._begin(head, body)

    # -- what the server asks for --

    def close_when_idle(self) -> None:
        """Close now, or after the reply in progress."""
        if self._answering is None or self._streaming:
            self._transport.close()
        self._closing = True

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    # -- state of our own --

    def _parse(self) -> None:
        """Parse up to the end of one request."""
        if self._answering is not None or self._closing or not self._room.is_set():
            return
        data, self._unparsed = self._unparsed, b""
        try:
            self._unparsed = data[self._parser.feed(data) :]
        except BadMessage as error:
            self._closing = True
            self._write(self._parser.unfinished, Request("", ""), refuse_malformed(error))
            self._end()

    def _begin(self, head: RequestHead, body: bytes = b"") -> None:
        if not head.keep_alive or head.minor == 0:
            self._closing = True
        self._expire_in(None)
        self._answering = self._loop.create_task(self._respond(head, _request(head, body)))

    async def _respond(self, head: RequestHead, request: Request) -> None:
        try:
            answer = await self._server.answer(request)
            if answer.stream is None:
                self._write(head, request, answer)
            else:
                await self._stream(answer)
        except TimeoutError:  # its client is stuck
            self._transport.abort()
        except Exception:
            _log.exception("admin: %s %s was not answered", request.method, request.path)
            self._transport.abort()
        self._answering, self._head, self._body = None, None, b""
        if self._closing:
            self._end()
        else:
            self._expire_in(_IDLE)
            self._next()

    async def _stream(self, answer: Answer) -> None:
        """Send what comes, as fast as the client takes it, until it leaves."""
        stream = cast("AsyncGenerator[bytes]", answer.stream)
        self._closing = self._streaming = True  # the end of the connection ends the body
        self._transport.write(_head(answer, {"Connection": "close"}))
        async with aclosing(stream):
            async for data in stream:
                self._transport.write(data)
                # Not `wait_for`: before Python 3.12 that may lose a cancellation (bpo-42130).
                async with asyncio.timeout(_STUCK):
                    await self._room.wait()

    def _write(self, head: RequestHead | None, request: Request, answer: Answer) -> None:
        body = encode(answer, request)
        framing = {"Content-Length": str(len(body))}
        raw = _head(answer, framing | ({"Connection": "close"} if self._closing else {}))
        to_head = head is not None and head.method == b"HEAD"
        self._transport.write(raw if to_head else raw + body)

    def _next(self) -> None:
        """Go on with what came behind the last request."""
        if self._unparsed:
            self._parse()
        if not self._unparsed and not self._transport.is_closing():
            self._transport.resume_reading()

    def _end(self) -> None:
        """Close our side, and the rest when the client has closed its own (RFC 9112, 9.6)."""
        if self._transport.is_closing():
            return
        self._unparsed = b""
        if self._ended:
            self._transport.close()
            return
        self._transport.write_eof()
        self._transport.resume_reading()
        self._expire_in(_LINGER)

    def _expire_in(self, seconds: float | None) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = self._loop.call_later(seconds, self.abort) if seconds is not None else None


def _head(answer: Answer, framing: dict[str, str]) -> bytes:
    headers = {
        **_HEADERS,
        **answer.headers,
        "Date": time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
        "Content-Type": answer.content_type,
        **framing,
    }
    lines = "".join(f"\r\n{name}: {value}" for name, value in headers.items())
    reason = HTTPStatus(answer.status).phrase
    return f"HTTP/1.1 {answer.status} {reason}{lines}\r\n\r\n".encode("latin-1")


def _request(head: RequestHead, body: bytes) -> Request:
    """What a page sees: the first of parameters that are repeated, and the host that is asked."""
    query = head.target.partition(b"?")[2].decode("latin-1")
    headers = {name.decode(): value.decode("latin-1") for name, value in head.fields.items()}
    headers["host"] = head.host.decode("latin-1")
    return Request(
        head.method.decode(),
        unquote(head.path.decode("latin-1")),
        dict(reversed(parse_qsl(query, keep_blank_values=True))),
        headers,
        body,
    )
