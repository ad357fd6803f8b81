"""Streams of OpenAI's API: chunks of chat and completions, and the typed events of Responses.

Sources: openai-python 3.57 (`_streaming.py`: an `error` in any event raises, `[DONE]` ends;
`types/responses/response_stream_event.py`; `types/chat/chat_completion_chunk.py`; the events of
audio and images); groq-python (`XGroq`); Azure "Content streaming" (chunks without choices).
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

import msgspec

from sidecar.llm.dialects.base import decoded, text
from sidecar.llm.dialects.template import Template
from sidecar.llm.failures import failure_told
from sidecar.llm.sse import Event
from sidecar.llm.stream import DONE, StreamReader, beginnings
from sidecar.llm.usage import of_openai

_DELTAS: Final = (
    "response.output_text.delta",
    "response.reasoning_summary_text.delta",
    "response.reasoning_text.delta",
    "response.function_call_arguments.delta",
)
"""The most frequent events of Responses."""
_BEGINNINGS: Final = beginnings(_DELTAS)
_BACKSLASH: Final = 0x5C
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})
_OTHER_ENDS: Final = frozenset({
    "transcript.text.done", "speech.audio.done", "image_generation.completed",
    "image_edit.completed",
})  # fmt: skip
_ANNOUNCING: Final = frozenset({
    "response.created", "response.queued", "response.in_progress", "response.content_part.added",
    "response.reasoning_summary_part.added", "keepalive", "ping",
})  # fmt: skip
"""Events that announce an answer or keep the connection alive."""
_ANNOUNCED: Final = ("message", "reasoning")
"""Items whose text follows in other events. For the rest, `output_item.added` is content."""
_PIECES: Final = (".delta", ".partial_image", "_image")
_NO_CONTENT: Final = frozenset({"role", "index", "metadata", "name"})
"""Members of a delta that are no content. The second and third are Mistral's."""


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: Any = None
    text: Any = None
    message: Any = None
    finish_reason: Any = None


class _Item(msgspec.Struct):
    type: Any = None


class _Response(msgspec.Struct):
    id: Any = None
    model: Any = None
    status: Any = None
    usage: Any = None
    incomplete_details: Any = None
    error: Any = None


class _Event(msgspec.Struct):
    """The members that are read. The decoder skips the rest, including an answer's text."""

    type: Any = None
    id: Any = None
    model: Any = None
    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None
    x_groq: Any = None
    response: _Response | None = None
    item: _Item | None = None


_decode: Final = msgspec.json.Decoder(_Event).decode


class OpenAIStream(StreamReader):
    """Reads streams of chat, completions, Responses, audio and images."""

    deltas, delta_data = _BEGINNINGS
    delta_names: ClassVar[frozenset[bytes]] = frozenset(kind.encode() for kind in _DELTAS)

    __slots__ = ("_template",)

    def __init__(self) -> None:
        super().__init__()
        self._template = Template()

    def _skip(self, data: bytes) -> int:
        head, rest = self._template.head, self._template.rest
        if not rest:
            return super()._skip(data)
        # Inlined: a call for each event would double its time.
        whole = 0
        while data.startswith(head, whole):
            at = whole + len(head)
            for piece in rest:
                at = data.find(b'"', at)
                while not data.startswith(piece, at):
                    if at < 0 or data[at - 1] != _BACKSLASH:
                        return whole
                    at = data.find(b'"', at + 1)
                at += len(piece)
            whole = at
            self.chunks += 1
        return whole

    def skims(self, data: bytes, begin: int, end: int) -> bool:
        """As `_skip`, for one event."""
        template = self._template
        head = template.head
        if not head:
            return super().skims(data, begin, end)
        if not data.startswith(head, begin):
            return False
        at = begin + len(head)
        for piece in template.rest:
            at = data.find(b'"', at)
            while not data.startswith(piece, at):
                if at < 0 or data[at - 1] != _BACKSLASH:
                    return False
                at = data.find(b'"', at + 1)
            at += len(piece)
        if at != end or not self._between():
            return False
        self.chunks += 1
        return True

    def _read(self, event: Event) -> None:
        if self.terminal:
            return
        if event.data.startswith(DONE):
            self.terminal = True
            return
        if event.cut:
            self._large(event.name.decode("latin-1"))
            return
        if self._is_delta(event):
            self._more()
            return
        try:
            found = _decode(event.data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._read_unknown(event)
            return
        if found.error or found.type == "error" or event.name == b"error":
            self.error = self.error or failure_told(decoded(event.data))
        if isinstance(found.type, str):
            self._typed(found, found.type)
        else:
            self._chunk(found, event.data)

    def _large(self, name: str) -> None:
        """Note an event whose data were too large to keep."""
        if name not in _ANNOUNCING:  # `response.created` repeats the instructions
            self._more()
            self.terminal = name in _ENDS | _OTHER_ENDS

    def _read_unknown(self, event: Event) -> None:
        """Look for an error in data of another form."""
        found = decoded(event.data)
        if event.name == b"error" or (isinstance(found, dict) and found.get("error")):
            told = found if found is not None else {"message": event.data[:256].decode("latin-1")}
            self.error = self.error or failure_told(told)
        elif self.content and event.data.startswith(b"{"):
            self._more()  # a broken one
        else:
            self.unknown = True

    def _chunk(self, found: _Event, data: bytes) -> None:
        """Read a chunk of chat or completions."""
        if self.model is None or self.response_id is None:
            self._named(found.model, found.id)
        plain = bool(found.choices) and not found.error
        content = False
        for choice in found.choices or ():
            content = content or _says(choice)
            if choice.finish_reason is not None:
                plain = False
                self._finish(choice.index, choice.finish_reason)
        if isinstance(found.usage, dict):
            plain = False
            self._usage = of_openai(found.usage) or self._usage
        if isinstance(found.x_groq, dict):
            self._groq(found.x_groq)
        if found.choices is None and not (found.usage or found.x_groq or found.error):
            self.unknown = True
        if content or (plain and self.content):
            self._more()
            if plain:
                self._template.learn(data)

    def _groq(self, told: dict[str, Any]) -> None:
        self._usage = of_openai(told.get("usage")) or self._usage
        if error := told.get("error"):
            self.error = self.error or failure_told({"error": error})

    def _typed(self, found: _Event, kind: str) -> None:
        """Read an event of Responses, images or audio."""
        if kind in _ENDS:
            self._end(found.response or _Response(), kind)
        elif kind in _OTHER_ENDS:
            self._usage = of_openai(found.usage)
            self.content = self.terminal = True
        elif kind in _ANNOUNCING or kind == "error":
            if found.response is not None:
                self._named(found.response.model, found.response.id)
        elif kind.endswith(_PIECES):
            self._more()
        elif kind != "response.output_item.added" or not _announces(found.item):
            self.content = True

    def _end(self, response: _Response, kind: str) -> None:
        self._named(response.model, response.id)
        self._usage = of_openai(response.usage)
        self.terminal = True
        details = response.incomplete_details
        reason = details.get("reason") if isinstance(details, dict) else None
        if kind == "response.failed":
            self.error = self.error or failure_told({"error": response.error or kind})
        else:
            self._finish(0, reason or kind.removeprefix("response."))

    def _named(self, model: object, identity: object) -> None:
        self.model = self.model or text(model)
        self.response_id = self.response_id or text(identity)


def _announces(item: _Item | None) -> bool:
    return item is not None and item.type in _ANNOUNCED


def _says(choice: _Choice) -> bool:
    """Whether a choice has a piece of the answer, not only a role."""
    if choice.text or choice.message:
        return True
    delta = choice.delta
    if not isinstance(delta, dict):
        return False
    return any(value for name, value in delta.items() if name not in _NO_CONTENT)
