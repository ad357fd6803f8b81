"""Heads of messages, as the parsers deliver them, and who takes their events."""

from __future__ import annotations

from typing import Final, Protocol

NO_BODY: Final = 0
CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2

Header = tuple[bytes, bytes, bytes]
"""(lower-case name, name as it was spelled, value)."""


class Head:
    """What a request's and a response's head have in common."""

    __slots__ = ("body", "fields", "headers", "keep_alive", "minor")

    def __init__(self) -> None:
        self.headers: list[Header] = []
        """In order and spelling, repeated ones too."""
        self.fields: dict[bytes, bytes] = {}
        """By lower-case name; repeated ones joined with a comma (RFC 9110, section 5.3)."""
        self.minor = 1
        """Minor version of HTTP/1."""
        self.body = NO_BODY
        """Length of the body in bytes, or CHUNKED, or UNTIL_CLOSE."""
        self.keep_alive = True


class RequestHead(Head):
    """A request's head. `target` is in origin form, or `*`."""

    __slots__ = ("expects_continue", "host", "method", "target", "upgrade")

    def __init__(self) -> None:
        super().__init__()
        self.method = b""
        self.target = b""
        self.host = b""
        """Authority of the target or the Host header, lower-case, with its port if it has one."""
        self.expects_continue = False
        self.upgrade = False
        """A WebSocket handshake: if the server agrees, bytes flow freely both ways."""


class ResponseHead(Head):
    """A response's head."""

    __slots__ = ("reason", "status")

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.reason = b""


class RequestSink(Protocol):
    """What takes a request parser's events, in this order."""

    def on_request(self, head: RequestHead) -> None:
        """A head is complete."""

    def on_body(self, data: bytes) -> None:
        """Some of its body; after an upgrade, raw bytes."""

    def on_request_end(self, trailers: list[Header]) -> None:
        """The request is complete. Never comes for an upgrade."""


class ResponseSink(Protocol):
    """What takes a response parser's events, in this order."""

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx head (not 101); the response is still to come."""

    def on_response(self, head: ResponseHead) -> None:
        """A final head is complete, or a 101."""

    def on_body(self, data: bytes) -> None:
        """Some of its body; after a 101, raw bytes."""

    def on_response_end(self, trailers: list[Header]) -> None:
        """The response is complete. Never comes for a 101."""
