"""An answer that the sidecar writes itself, and the protocol that each dialect implements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, Literal, Protocol

import msgspec

from sidecar.llm.usage import Usage

EVENTS: Final = b"text/event-stream; charset=utf-8"
JSON: Final = b"application/json"
_encode: Final = msgspec.json.Encoder().encode


class Answer(msgspec.Struct, frozen=True):
    """A model's answer to one call, or what stands for it: a text."""

    text: str
    model: str
    id: str
    """Without the prefix that an API gives its ids."""
    created: int
    """Unix seconds."""
    usage: Usage = Usage()
    finish: Literal["stop", "length"] = "stop"
    """Whether the text is whole, or was cut off at the most tokens that were allowed."""
    include_usage: bool = False
    """Whether the stream of OpenAI's chat or completions ends with its usage."""


class Writer(Protocol):
    """Writes answers to one operation of one API."""

    stream_type: bytes
    """The content type of a stream."""

    def whole(self, answer: Answer) -> bytes:
        """Return *answer* as a whole reply, in JSON."""
        ...

    def stream(self, answer: Answer) -> tuple[bytes, ...]:
        """Return *answer* as a stream, one item for each event."""
        ...


def encode(body: Mapping[str, object]) -> bytes:
    """Return *body* as JSON."""
    return _encode(body)


def data(body: Mapping[str, object]) -> bytes:
    """Return an event without a name."""
    return b"data: %b\n\n" % _encode(body)


def named(bodies: Iterable[Mapping[str, object]]) -> tuple[bytes, ...]:
    """Return events whose names are the `type` of their data."""
    return tuple(
        b"event: %b\ndata: %b\n\n" % (str(body["type"]).encode(), _encode(body)) for body in bodies
    )
