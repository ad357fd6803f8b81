"""Cohere's API, version 2. Sources: its API reference; cohere-python (`v2`, `types/usage.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.llm.dialects.base import (
    Operation,
    Parameters,
    Reply,
    Target,
    number,
    read,
    text,
    whole,
    without_query,
)
from sidecar.llm.failures import failure_told
from sidecar.llm.sse import Event
from sidecar.llm.stream import DONE, StreamReader
from sidecar.llm.usage import of_cohere

_CALLS: Final[Mapping[str, Operation]] = {"chat": "chat", "embed": "embeddings", "models": "models"}
_BEGINNINGS: Final = ("message-start", "content-start")


class _Parameters(msgspec.Struct):
    max_tokens: Any = None
    temperature: Any = None
    p: Any = None
    k: Any = None
    stream: Any = None


class _Reply(msgspec.Struct):
    id: Any = None
    finish_reason: Any = None
    usage: Any = None


_parameters: Final = msgspec.json.Decoder(_Parameters).decode
_reply: Final = msgspec.json.Decoder(_Reply).decode


class Cohere:
    """Cohere's dialect."""

    def target(self, method: bytes, path: str) -> Target:
        """The operation is the first known name in the path."""
        names = without_query(path).split("/")
        return Target(next((_CALLS[name] for name in names if name in _CALLS), "other"))

    def parameters(self, body: bytes) -> Parameters:
        """Read the parameters of chat."""
        found = read(_parameters, body)
        if found is None:
            return Parameters()
        return Parameters(
            max_tokens=whole(found.max_tokens),
            temperature=number(found.temperature),
            top_p=number(found.p),
            top_k=whole(found.k),
            stream=found.stream is True,
        )

    def reply(self, body: bytes) -> Reply | None:
        """Read a chat, which does not name the model."""
        found = read(_reply, body)
        if found is None:
            return None
        reason = found.finish_reason
        return Reply(
            usage=of_cohere(found.usage),
            id=text(found.id),
            finish_reasons=(reason,) if isinstance(reason, str) else (),
        )

    def stream(self) -> StreamReader:
        """Return a reader for chat."""
        return _Stream()

    def error(self, _: int, __: str, message: str, request_id: str) -> Mapping[str, object]:
        """It has neither code nor type: the SDKs use the status."""
        return {"id": request_id, "message": message}

    def error_event(self, data: bytes) -> bytes:
        """There is none: the SDKs would read it as a broken event."""
        return b""


COHERE: Final = Cohere()


class _Event(msgspec.Struct):
    type: Any = None
    id: Any = None
    delta: Any = None


_decode: Final = msgspec.json.Decoder(_Event).decode


class _Stream(StreamReader):
    """Reads the type in the data."""

    __slots__ = ()

    def _read(self, event: Event) -> None:
        try:
            found = _decode(event.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self.unknown = self.unknown or event.data != DONE
            return
        kind = found.type if isinstance(found.type, str) else ""
        delta = found.delta if isinstance(found.delta, dict) else {}
        if kind == "message-end":
            self._finish(0, delta.get("finish_reason"))
            self._usage = of_cohere(delta.get("usage"))
            self.terminal = True
            if error := delta.get("error"):
                self.error = failure_told({"error": error})
        elif kind in _BEGINNINGS:
            self.response_id = self.response_id or text(found.id)
        elif kind.endswith("-delta"):
            self._more()
        elif kind:
            self.content = True
        else:
            self.unknown = True
