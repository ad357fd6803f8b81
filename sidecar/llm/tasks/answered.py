"""The reply to a task: an object, or a stream of events."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sidecar.llm.dialects import APIS, Dialect, error_event
from sidecar.llm.sse import EventSplitter
from sidecar.llm.tasks.asked import Asked
from sidecar.llm.texts import delta_of
from sidecar.llm.usage import Usage

_encode: Final = msgspec.json.Encoder().encode
_DONE: Final = b"data: [DONE]\n\n"
MOST: Final = 2**20
"""Bytes of an answer that are read."""
_STOPS: Final = frozenset({"stop", "end_turn", "stop_sequence", "STOP", "COMPLETE", "completed"})
_LIMITS: Final = frozenset({"length", "max_tokens", "MAX_TOKENS", "model_length"})


def finish_of(reasons: tuple[str, ...]) -> str | None:
    """Return why the answer ended: `stop`, `length`, or the API's own word."""
    reason = reasons[0] if reasons else None
    if reason in _STOPS:
        return "stop"
    return "length" if reason in _LIMITS else reason


class Answered(msgspec.Struct, frozen=True):
    """What a model has answered to a task."""

    output: object
    model: str | None
    id: str | None
    finish: str | None
    usage: Usage | None
    valid: bool = True
    """Whether it is in the format that was asked for."""
    repaired: bool = False
    """Whether it was asked for twice, because the first answer was not valid."""


def told(asked: Asked, answered: Answered) -> dict[str, Any]:
    """Return *answered* as a caller gets it."""
    usage = answered.usage
    return {
        "id": answered.id,
        "object": "task",
        "task": asked.task.name,
        "format": asked.format.name,
        "length": asked.length,
        "output": answered.output,
        "valid": answered.valid,
        "repaired": answered.repaired,
        "model": answered.model,
        "finish_reason": answered.finish,
        "usage": None
        if usage is None
        else {"input_tokens": usage.input, "output_tokens": usage.output},
    }


def whole(asked: Asked, answered: Answered) -> bytes:
    """Return *answered* as the body of a reply."""
    return _encode(told(asked, answered))


class TaskStream:
    """Turns the stream of a dialect into the stream of a task. It gets bytes, split anywhere.

    Its events: `{"delta": "..."}` for each piece of the answer, then what a whole reply has, then
    `[DONE]`; or an error.
    """

    def __init__(self, asked: Asked, dialect: Dialect, request_id: str) -> None:
        self._asked = asked
        self._dialect: Dialect = dialect
        self._request_id = request_id
        self._reader = APIS[dialect].stream()
        self._events = EventSplitter()
        self._texts: list[str] = []
        self._size = 0
        self._over = False

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; return the events for the caller."""
        if self._over:
            return b""
        self._reader.feed(data)
        return self._take(self._events.feed(data))

    def end(self) -> bytes:
        """Take the end of the upstream's stream; return what is left."""
        if self._over:
            return b""
        verdict = self._reader.finish("ended")
        rest = self._take(self._events.finish())
        if self._over or verdict == "complete":
            return rest if self._over else rest + self._last()
        return rest + self._error(502, "stream_error", f"the model's answer is {verdict}")

    def _take(self, events: Any) -> bytes:
        pieces = [text for event in events if (text := delta_of(self._dialect, event.data))]
        self._texts += pieces
        self._size += sum(map(len, pieces))
        sent = b"".join(b"data: %b\n\n" % _encode({"delta": text}) for text in pieces)
        failure = self._reader.error
        if failure is not None:
            message = failure.message or f"the model failed: {failure.kind}"
            return sent + self._error(failure.status, failure.code or failure.kind, message)
        if self._size > MOST:
            return sent + self._error(502, "bad_output", "the answer is too long")
        return sent

    def _last(self) -> bytes:
        reader, text = self._reader, "".join(self._texts)
        checked = self._asked.format.check(text)
        answered = Answered(
            checked.output,
            reader.model,
            reader.response_id,
            finish_of(reader.finish_reasons),
            reader.usage,
            valid=checked.wrong is None,
        )
        return b"data: %b\n\n" % _encode(told(self._asked, answered)) + _DONE

    def _error(self, status: int, code: str, message: str) -> bytes:
        self._over = True
        self._texts.clear()
        return error_event("openai", status, code, message, self._request_id)
