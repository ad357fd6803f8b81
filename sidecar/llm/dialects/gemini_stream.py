"""Streams of Gemini's API: events with `alt=sse`, elements of an array without."""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeGuard

import msgspec
from msgspec import UNSET

from sidecar.llm.dialects.base import decoded, text
from sidecar.llm.failures import failure_told
from sidecar.llm.sse import Event, EventSplitter
from sidecar.llm.stream import DONE, StreamReader
from sidecar.llm.usage import Usage, of_gemini

_FIELD: Final = b"data: "
_PLAIN: Final = _FIELD + b'{"candidates"'
"""The beginning of a chunk with the next piece of the answer."""
_ENDS: Final = b'"finishReason"'
_USAGE: Final = b'"usageMetadata"'
"""Member names in their quotes. Quotes within a string have a backslash, so only a string that
equals the name matches as well; the chunk is parsed then, which does no harm."""
_FIELDS: Final = (b":", b"id:", b"retry:")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def ended(reason: object) -> TypeGuard[str]:
    """Whether *reason* is a finish reason."""
    return isinstance(reason, str) and bool(reason) and not reason.endswith("_UNSPECIFIED")


class _Content(msgspec.Struct):
    parts: list[dict[str, Any]] | None = None


class _Candidate(msgspec.Struct):
    content: _Content | None = None
    index: Any = 0
    finishReason: Any = UNSET  # noqa: N815 - Gemini's name


class _Feedback(msgspec.Struct):
    blockReason: Any = None  # noqa: N815 - Gemini's name


class Chunk(msgspec.Struct):
    """A reply, or a chunk of a stream."""

    candidates: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815 - Gemini's name
    usageMetadata: Any = None  # noqa: N815 - Gemini's name
    modelVersion: Any = None  # noqa: N815 - Gemini's name
    responseId: Any = None  # noqa: N815 - Gemini's name
    error: Any = None


decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
decode_chunks: Final = msgspec.json.Decoder(list[Chunk]).decode


class _Lines(EventSplitter):
    """Treats lines without a field name as data: Gemini sends errors so, and the SDK reads them."""

    def _field(self, line: bytes, long: bool) -> None:
        if not line.startswith((b"data", b"event:", *_FIELDS)):
            line = b"data: " + line
        super()._field(line, long)


class GeminiStream(StreamReader):
    """Reads streams of streamGenerateContent. The usage, in every chunk, is parsed on demand."""

    splitter: ClassVar[type[EventSplitter]] = _Lines

    __slots__ = ("_held", "_open")

    def __init__(self) -> None:
        super().__init__()
        self._held = b""
        """The last chunk with a usage, until it is parsed."""
        self._open: set[int] = set()
        """Indexes of the answers that have begun and not ended."""

    @property
    def usage(self) -> Usage | None:
        """The usage of the last chunk that had one."""
        if self._held:
            chunk = decoded(self._held)
            self._held = b""
            if isinstance(chunk, dict):
                self._usage = of_gemini(chunk.get("usageMetadata")) or self._usage
        return self._usage

    def _skip(self, data: bytes) -> int:
        at = 0
        while data.startswith(_PLAIN, at):
            begin = at + len(_FIELD)
            end = data.find(b"\n", begin)
            if data.startswith(b"\r\n\r\n", end - 1):  # as Google writes it
                after, end = end + 3, end - 1
            elif end >= 0 and data.startswith(b"\n\n", end):
                after = end + 2
            else:
                break  # incomplete, or with more fields
            if data.find(b"\r", begin, end) >= 0 or data.find(_ENDS, begin, end) >= 0:
                break
            if data.find(_USAGE, begin, end) >= 0:
                self._held = data[begin:end]
            self.chunks += 1
            at = after
        return at

    def _is_delta(self, event: Event) -> bool:
        return event.data.startswith(_PLAIN[len(_FIELD) :]) and event.data.find(_ENDS) < 0

    def _read(self, event: Event) -> None:
        if event.cut:
            self._more()
            return
        if self.content and self._is_delta(event):
            self._more()
            if event.data.find(_USAGE) >= 0:
                self._held = event.data
            return
        try:
            found = decode_chunk(event.data)
        except _UNREADABLE:
            self._read_unknown(event)
            return
        if found.error:
            self.error = self.error or failure_told({"error": found.error})
        if isinstance(found.usageMetadata, dict):
            self._held = b""
            self._usage = of_gemini(found.usageMetadata) or self._usage
        self.model = self.model or text(found.modelVersion)
        self.response_id = self.response_id or text(found.responseId)
        blocked = found.promptFeedback.blockReason if found.promptFeedback else None
        if ended(blocked) and not found.candidates:
            self._finish(0, blocked)
            self.terminal = True
        self._candidates(found.candidates or [])
        if not (found.candidates or found.promptFeedback or found.usageMetadata or found.error):
            self.unknown = True

    def _read_unknown(self, event: Event) -> None:
        """Look for an error in a list of one."""
        found = decoded(event.data)
        holder = found[0] if isinstance(found, list) and found else found
        if isinstance(holder, dict) and holder.get("error"):
            self.error = self.error or failure_told(holder)
        elif event.data != DONE:
            self.unknown = True

    def _candidates(self, candidates: list[_Candidate]) -> None:
        says = False
        for candidate in candidates:
            place = candidate.index if isinstance(candidate.index, int) else 0
            content = candidate.content
            says = says or candidate.finishReason is UNSET
            if content is not None and any(content.parts or ()):
                says = self.content = True
            if ended(candidate.finishReason):
                self._finish(place, candidate.finishReason)
                self._open.discard(place)
            elif place not in self.finished:
                self._open.add(place)
        if says and self.content:
            self._more()
        if self.finished and not self._open:
            self.terminal = True
