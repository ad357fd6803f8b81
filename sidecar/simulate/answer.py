"""What an API's module makes of a request: a whole body, or a stream in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from sidecar.simulate.text import flatten

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Whole:
    """A reply that is sent once it is complete."""

    body: bytes
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A reply that is sent as it is generated, one delta a token."""

    opening: bytes
    deltas: Iterable[bytes]
    closing: bytes
    """Without it the stream is truncated."""
    prompt_tokens: int
    tokens: int


class BadRequestError(Exception):
    """The caller's request is not what the API takes; the text says what is."""


class Message(msgspec.Struct):
    """One turn of a conversation; its content is a string or a list of parts."""

    role: str
    content: Any = None


def decode(raw: bytes, kind: type[T]) -> T:
    """*raw* as *kind*, unknown fields ignored; raise BadRequestError that says what is wrong."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequestError(f"Invalid request body: {error}") from None


def encode(value: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(value)


def data(value: Any) -> bytes:
    """A server-sent event without a name, as OpenAI's chat completions send."""
    return b"data: " + encode(value) + b"\n\n"


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event named by its own type, as Anthropic and OpenAI's responses send."""
    return f"event: {value['type']}\n".encode() + data(value)


def prompt_of(messages: list[Message]) -> str:
    """All that was said."""
    return " ".join(flatten(message.content) for message in messages)
