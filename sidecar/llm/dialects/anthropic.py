"""Anthropic's API, also at Vertex and Bedrock.

Sources: anthropic-sdk-python 2.14 (`types/`, `_streaming.py`, `lib/bedrock`, `lib/vertex`);
Anthropic "Errors".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

import msgspec

from sidecar.llm.dialects import bedrock
from sidecar.llm.dialects.base import (
    Parameters,
    Reply,
    Target,
    decoded,
    error_in,
    members,
    number,
    read,
    text,
    whole,
    without_query,
)
from sidecar.llm.failures import failure_told
from sidecar.llm.sse import Event
from sidecar.llm.stream import DONE, StreamReader, beginnings
from sidecar.llm.usage import Usage, merged, of_anthropic

_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_DELTA: Final = "content_block_delta"
_DELTAS: Final = beginnings((_DELTA,))
_SILENT: Final = (
    "ping",
    "message_start",
    "content_block_start",
    "content_block_stop",
    "message_delta",
)
"""Types of events that are no piece of an answer."""
_ANNOUNCED: Final = ("text", "thinking")
"""Blocks whose text follows in deltas. For other blocks, the start is content."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Parameters(msgspec.Struct):
    max_tokens: Any = None
    temperature: Any = None
    top_p: Any = None
    top_k: Any = None
    stream: Any = None


class _Reply(msgspec.Struct):
    type: Any = None
    id: Any = None
    model: Any = None
    stop_reason: Any = None
    stopReason: Any = None  # noqa: N815 - Converse's name
    usage: Any = None
    error: Any = None


_parameters: Final = msgspec.json.Decoder(_Parameters).decode
_reply: Final = msgspec.json.Decoder(_Reply).decode


class Anthropic:
    """Anthropic's dialect."""

    def target(self, method: bytes, path: str) -> Target:
        """The operation is the path's end. Paths of Vertex and Bedrock also name the model."""
        path = without_query(path).rstrip("/")
        if method == b"POST":
            if path.endswith("/messages/count_tokens"):
                return Target("count_tokens")
            if path.endswith("/messages"):
                return Target("messages")
            model, _, verb = path.rpartition("/")[2].partition(":")
            if verb in ("rawPredict", "streamRawPredict"):
                if model == "count-tokens":
                    return Target("count_tokens")
                return Target("messages", text(model), verb == "streamRawPredict")
            if (target := bedrock.target(path)) is not None:
                return target
        names = path.split("/")
        if "batches" in names:
            return Target("batches")
        if "files" in names:
            return Target("files")
        return Target("models" if "models" in names else "other")

    def parameters(self, body: bytes) -> Parameters:
        """Read the parameters of Messages."""
        found = read(_parameters, body)
        if found is None:
            return Parameters()
        return Parameters(
            max_tokens=whole(found.max_tokens),
            temperature=number(found.temperature),
            top_p=number(found.top_p),
            top_k=whole(found.top_k),
            stream=found.stream is True,
        )

    def reply(self, body: bytes) -> Reply | None:
        """Read a message, or a reply of Bedrock's Converse. A count of tokens is no usage."""
        found = read(_reply, body)
        if found is None:
            return None
        if found.type == "error" or found.error:
            return Reply(error=error_in(body))
        if found.stopReason is not None:
            return bedrock.reply(found.stopReason, found.usage)
        reason = found.stop_reason
        return Reply(
            usage=of_anthropic(members(found.usage)),
            model=text(found.model),
            id=text(found.id),
            finish_reasons=(reason,) if isinstance(reason, str) else (),
        )

    def stream(self) -> StreamReader:
        """Return a reader for Messages."""
        return _Stream()

    def error(self, status: int, _: str, message: str, request_id: str) -> Mapping[str, object]:
        """It has one of Anthropic's types."""
        usual = "invalid_request_error" if status < 500 else "api_error"
        error = {"type": _TYPES.get(status, usual), "message": message}
        return {"type": "error", "error": error, "request_id": request_id}

    def error_event(self, data: bytes) -> bytes:
        """The SDKs look at the event's name."""
        return b"event: error\ndata: " + data + b"\n\n"


ANTHROPIC: Final = Anthropic()


class _Message(msgspec.Struct):
    id: Any = None
    model: Any = None
    usage: Any = None


class _Block(msgspec.Struct):
    type: Any = None
    text: Any = None
    thinking: Any = None


class _Delta(msgspec.Struct):
    stop_reason: Any = None


class _Event(msgspec.Struct):
    type: Any = None
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(_Event).decode


class _Stream(StreamReader):
    """Reads the type in the data, or the event's name if there is none."""

    deltas, delta_data = _DELTAS
    delta_names: ClassVar[frozenset[bytes]] = frozenset({_DELTA.encode()})

    __slots__ = ("_told",)

    def __init__(self) -> None:
        super().__init__()
        self._told: Mapping[str, Any] = {}

    @property
    def usage(self) -> Usage | None:
        """The usage of the message's start, updated by its deltas."""
        return of_anthropic(self._told)

    def _read(self, event: Event) -> None:
        if self._is_delta(event):
            self._more()
            return
        if event.data == DONE:
            return
        try:
            found = _decode(event.data)
        except _UNREADABLE:
            found = _Event()
        kind = found.type if isinstance(found.type, str) else event.name.decode("latin-1")
        if kind == "error" or event.name == b"error" or found.error:
            told = decoded(event.data) or {"message": event.data[:256].decode("latin-1")}
            self.error = self.error or failure_told(told)
        elif kind == _DELTA:
            self._more()
        elif kind == "message_stop":
            self.terminal = True
        else:
            self._read_rest(found, kind)

    def _read_rest(self, found: _Event, kind: str) -> None:
        if kind == "message_start" and (message := found.message) is not None:
            self.model = self.model or text(message.model)
            self.response_id = self.response_id or text(message.id)
            self._told = merged(self._told, message.usage)
        elif kind == "content_block_start" and (block := found.content_block) is not None:
            if block.type not in _ANNOUNCED or block.text or block.thinking:
                self.content = True
        elif kind == "message_delta":
            self._told = merged(self._told, found.usage)
            if found.delta is not None:
                self._finish(0, found.delta.stop_reason)
        elif kind not in _SILENT:
            self.unknown = True
