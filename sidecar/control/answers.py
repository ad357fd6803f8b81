"""Requests to the admin server and its answers, without sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec

from sidecar.errors import BadMessage


class Request(msgspec.Struct, frozen=True):
    """What an answer depends on. Header names are looked up in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(msgspec.Struct, frozen=True):
    """A reply; a *body* that is no bytes becomes JSON."""

    body: Any
    status: int = 200
    content_type: str = "application/json"
    headers: dict[str, str] = {}
    stream: AsyncIterator[bytes] | None = None
    """In place of the body: it is sent as it comes, until the client leaves."""


def refusal(status: int, code: str, message: str, **headers: str) -> Answer:
    """Answer that it can't be had, and why."""
    return Answer({"error": {"code": code, "message": message}}, status, headers=headers)


def refuse_malformed(error: BadMessage) -> Answer:
    """Refuse what is not a valid request."""
    return refusal(error.status, error.code, error.message)


def busy() -> Answer:
    """Answer that the data plane does not answer in time."""
    return refusal(503, "busy", "the data plane did not answer in time")


def encode(reply: Answer, request: Request) -> bytes:
    """Make the reply's bytes; indented with `?pretty` and for browsers."""
    if isinstance(reply.body, bytes):
        return reply.body
    text = msgspec.json.encode(reply.body, enc_hook=str)
    if "pretty" in request.query or "text/html" in request.headers.get("accept", ""):
        text = msgspec.json.format(text, indent=2)
    return text + b"\n"
