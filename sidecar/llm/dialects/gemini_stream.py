"""Streams of Gemini's API: events with `alt=sse`, elements of an array without."""

from __future__ import annotations

from typing import Any, ClassVar, Final, TypeGuard

import msgspec
from msgspec import UNSET

from sidecar.llm.dialects.base import decoded, text
from sidecar.llm.failures import failure_told
from sidecar.llm.sse import Event, EventSplitter
from sidecar.llm.stream import StreamReader
from sidecar.llm.usage import Usage, of_gemini

_PLAIN: Final = b'data: {"candidates"'
_FIELDS: Final = (b":", b"id:", b"retry:")
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def ended(reason: object) -> TypeGuard[str]:
    """Whether *reason* is one for which an answer ends."""
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
    """A reply, or the next piece of one."""

    candidates: list[_Candidate] | None = None
    promptFeedback: _Feedback | None = None  # noqa: N815 - Gemini's name
    usageMetadata: Any = None  # noqa: N815 - Gemini's name
    modelVersion: Any = None  # noqa: N815 - Gemini's name
    responseId: Any = None  # noqa: N815 - Gemini's name
    error: Any = None


decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
decode_chunks: Final = msgspec.json.Decoder(list[Chunk]).decode


class _Lines(EventSplitter):
    """Takes lines that are no field for data: Gemini's errors come so (the SDK reads them)."""

    def _field(self, line: bytes, long: bool) -> None:
        if not line.startswith((b"data", b"event:", *_FIELDS)):
            line = b"data: " + line
        super()._field(line, long)


class GeminiStream(StreamReader):
    """Of streamGenerateContent. Each chunk tells the usage so far; it is read when asked for."""

    splitter: ClassVar[type[EventSplitter]] = _Lines

    __slots__ = ("_held", "_open")

    def __init__(self) -> None:
        super().__init__()
        self._held = b""
        """The last event with a usage, if it has not been read."""
        self._open: set[int] = set()
        """Answers that have begun and not ended."""

    @property
    def usage(self) -> Usage | None:
        """What the last chunk that told it said."""
        if self._held:
            chunk = decoded(self._held.partition(b"data: ")[2])
            self._held = b""
            if isinstance(chunk, dict):
                self._usage = of_gemini(chunk.get("usageMetadata")) or self._usage
        return self._usage

    def _skip(self, data: bytes) -> int:
        at = 0
        if not data.startswith(_PLAIN):
            return 0
        blank = b"\r\n\r\n" if data.endswith(b"\r\n") else b"\n\n"
        while data.startswith(_PLAIN, at) and (end := data.find(blank, at)) >= 0:
            event = data[at:end]
            if event.find(b'"finishReason"') >= 0 or event.find(b"\r") >= 0:
                break
            if event.find(b'"usageMetadata"') >= 0:
                self._held = event
            at = end + len(blank)
            self.chunks += 1
        return at

    def _read(self, event: Event) -> None:
        if event.cut:
            self._more()
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

    def _read_unknown(self, event: Event) -> None:
        """An error in a list of one, or no JSON of Gemini's at all."""
        found = decoded(event.data)
        holder = found[0] if isinstance(found, list) and found else found
        if isinstance(holder, dict) and holder.get("error"):
            self.error = self.error or failure_told(holder)

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
