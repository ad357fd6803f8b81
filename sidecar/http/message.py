"""Heads of messages as the parsers deliver them, and the sinks of the parsers' events."""

from __future__ import annotations

from typing import Final, Protocol

from sidecar.http.fields import NONE, Fields
from sidecar.http.fields import Header as Header

NO_BODY: Final = 0
CHUNKED: Final = -1
CLOSE_DELIMITED: Final = -2


class Head:
    """The common part of request and response heads."""

    minor = 1
    """Minor version of HTTP/1."""
    body = NO_BODY
    """Length of the body in bytes, or CHUNKED, or CLOSE_DELIMITED (RFC 9112, section 6.3)."""
    keep_alive = True
    fields: Fields = NONE


class RequestHead(Head):
    """A request's head. `target` is in origin form, or `*`."""

    method = b""
    target = b""
    path = b""
    """The target without its query."""
    host = b""
    """Authority of the target or the Host header, lower-case, with its port if it has one."""
    expects_continue = False
    upgrade = False
    """Whether it is a WebSocket handshake: if the server agrees, it becomes a tunnel."""

    def __repr__(self) -> str:
        return f"<RequestHead {self.method.decode('latin-1')} {self.target.decode('latin-1')}>"


class ResponseHead(Head):
    """A response's head."""

    status = 0
    reason = b""
    local = False
    """Whether it is a local reply, whose lines are all sent."""
    replayed = False
    """Whether it is of a kept reply."""

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}>"


class RequestSink(Protocol):
    """Handles a request parser's events, in this order."""

    def on_request(self, head: RequestHead) -> None:
        """A head is complete."""

    def on_body(self, data: bytes) -> None:
        """Data of its body; after an upgrade, raw bytes."""

    def on_request_end(self, trailers: list[Header]) -> None:
        """The request is complete. Never called for an upgrade."""

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        """A request that arrived in one piece, instead of the three events above."""


class ResponseSink(Protocol):
    """Handles a response parser's events, in this order."""

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx head (not 101); the response follows."""

    def on_response(self, head: ResponseHead) -> None:
        """A final head is complete, or a 101."""

    def on_body(self, data: bytes) -> None:
        """Data of its body; after a 101, raw bytes."""

    def on_response_end(self, trailers: list[Header]) -> None:
        """The response is complete. Never called for a 101."""

    def on_whole_response(self, head: ResponseHead, body: bytes) -> None:
        """A final response that arrived in one piece, instead of the three events above."""
