"""A call that nobody makes: what it would be like, and the call that the data plane would see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.config.model import Listener, Trust
from sidecar.errors import BadMessage
from sidecar.http.message import Header, RequestHead
from sidecar.http.request_parser import RequestParser
from sidecar.listen.listener import name_of
from sidecar.policy.access import Access
from sidecar.policy.client_certificates import ClientCertificate
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call

_MEMORY: Final = 1 << 30
_PEER: Final = "127.0.0.1"
_FRAMING: Final = ("host", "content-length", "transfer-encoding", "content-encoding", "expect")
"""Headers that say how the body comes: it is here already, and plain."""
_PARAMETERS: Final = ("method", "path", "host", "header", "model", "body", "listener", "pretty")


class Question(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A call, as far as it matters where it goes."""

    method: str = "POST"
    path: str = "/v1/chat/completions"
    """With its query, if it has one."""
    host: str | None = None
    """None: the listener's own address, as callers have it that use a base URL."""
    headers: dict[str, str] = {}
    model: str | None = None
    """Stands for a body that names this model and nothing else."""
    body: Any = None
    """A text, or what is written as JSON."""
    listener: str | None = None
    """The address at which it arrives; None: the first one that takes calls by base URL."""

    def content(self) -> bytes:
        """Return the body's bytes. Raise ValueError for one that is nested too deep."""
        if isinstance(self.body, str):
            return self.body.encode()
        if self.body is not None:
            try:
                return msgspec.json.encode(self.body)
            except RecursionError:  # it was just not too deep to be read
                raise ValueError("the body is nested too deep") from None
        return b"" if self.model is None else msgspec.json.encode({"model": self.model})


class Client:
    """Stands in for the application at *listener*."""

    peer = _PEER
    connection = ""
    certificate: ClientCertificate | None = None

    def __init__(self, listener: Listener) -> None:
        self.trust: Trust = listener.trust
        self.direct = listener.mode == "reverse"
        self.access: Access | None = None
        """Anybody may call, so that a question without a key has an answer too."""

    def denied(self, reason: str) -> None:
        """Count nothing."""

    def pause_reading(self, reason: int) -> None:
        """Do nothing: all is here."""

    def resume_reading(self, reason: int) -> None:
        """Do nothing: all is here."""

    def finished(self, call: Call, now: float) -> None:
        """Do nothing: no other call follows."""


def from_query(query: Mapping[str, str]) -> Question:
    """Read the parameters of a URL. Raise ValueError, which says what is wrong.

    `header` has a header a line, as `x-team: search`.
    """
    for name in query:
        if name not in _PARAMETERS:
            raise ValueError(f"there is no parameter {name!r}, only {', '.join(_PARAMETERS)}")
    given: dict[str, Any] = {
        name: value for name, value in query.items() if name not in ("header", "pretty")
    }
    return Question(**given, headers=headers_of(query.get("header", "").splitlines()))


def from_json(body: bytes) -> Question:
    """Read a JSON object. Raise ValueError, which says what is wrong."""
    try:
        return msgspec.json.decode(body or b"{}", type=Question)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(
            f"the body must be a JSON object like {{'path': '/v1'}}: {error}"
        ) from None


def headers_of(lines: list[str]) -> dict[str, str]:
    """Read `Name: value` lines. Raise ValueError for one that is not like that."""
    headers: dict[str, str] = {}
    for line in filter(str.strip, lines):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise ValueError(f"a header is written as 'Name: value', not {line!r}")
        headers[name.strip()] = value.strip()
    return headers


def listener_of(question: Question, listeners: tuple[Listener, ...]) -> Listener:
    """Return the listener at which the call arrives. Raise ValueError if there is no such one."""
    if question.listener is None:
        return next((each for each in listeners if each.mode == "reverse"), listeners[0])
    for each in listeners:
        if name_of(each) == question.listener:
            return each
    names = ", ".join(map(name_of, listeners))
    raise ValueError(f"there is no listener {question.listener}, only {names}")


def call_of(question: Question, listener: Listener) -> tuple[Call, Client]:
    """Make the call and who makes it, by parsing what a client would send.

    Raise BadMessage if that is malformed.
    """
    client = Client(listener)
    parsed = _Parsed()
    parser = RequestParser(parsed, listener.limits.settings())
    try:
        parser.feed(_written(question, listener))
    finally:
        parser.close()
    if parsed.head is None or not (parsed.ended or parsed.head.upgrade):
        raise BadMessage("this is not one HTTP request")
    body = None if parsed.head.upgrade else b"".join(parsed.body)
    whole = RequestBody(client, BodyMemory(_MEMORY, 1.0), body)
    return Call(client, parsed.head, whole), client


def _written(question: Question, listener: Listener) -> bytes:
    content = question.content()
    host = listener.address or "localhost" if question.host is None else question.host
    headers = {name.lower(): value for name, value in question.headers.items()}
    lines = [f"{question.method} {question.path} HTTP/1.1", f"Host: {host}"]
    if content and not isinstance(question.body, str):
        headers.setdefault("content-type", "application/json")
    lines += [f"{name}: {value}" for name, value in headers.items() if name not in _FRAMING]
    if content:
        lines.append(f"Content-Length: {len(content)}")
    if any("\r" in line or "\n" in line for line in lines):
        raise BadMessage("a line break is no part of a method, a path or a header")
    return "\r\n".join([*lines, "", ""]).encode() + content


class _Parsed:
    """Takes one request from the parser."""

    def __init__(self) -> None:
        self.head: RequestHead | None = None
        self.body: list[bytes] = []
        self.ended = False

    def on_request(self, head: RequestHead) -> None:
        self.head = head

    def on_body(self, data: bytes) -> None:
        self.body.append(data)

    def on_request_end(self, trailers: list[Header]) -> None:
        self.ended = True

    def on_whole_request(self, head: RequestHead, body: bytes) -> None:
        self.head, self.body, self.ended = head, [body], True
