"""Read the state of a streamed reply from its bytes as they pass.

A reader gets the body in pieces of any size, without its content coding. It parses each event until
the first content. After that it skips the events that only carry another piece of the answer
(`_skip`), which are nearly all of them, and parses the others. It recognises them by their
beginning, or by comparing them with earlier ones. It never searches for keywords, so that the text
of an answer can't be mistaken for a sign.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

import msgspec

from sidecar.llm.failures import Failure
from sidecar.llm.json_stream import JsonSplitter
from sidecar.llm.sse import Event, EventSplitter
from sidecar.llm.usage import Usage

Outcome = Literal["ended", "cut", "stalled", "aborted"]
"""How the transport ended: the body ended by its framing, the connection ended before that, a timer
ran out, or the caller left."""
Verdict = Literal["complete", "error", "truncated", "stalled", "aborted", "empty"]

DONE: Final = b"[DONE]"
"""The data of the last event of OpenAI's streams. Gateways put it behind other APIs' as well."""
_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
_syntax: Final = msgspec.json.Decoder(msgspec.Raw).decode
_MOST_ANSWERS: Final = 128
"""Finish reasons that are kept. `n` is at most that (OpenAI's API reference)."""


class StreamReader:
    """Reads one stream. Each dialect has a subclass for its events."""

    splitter: ClassVar[type[EventSplitter]] = EventSplitter
    deltas: ClassVar[tuple[bytes, ...]] = ()
    """The beginnings, on the wire, of events that only carry another piece of the answer."""
    delta_names: ClassVar[frozenset[bytes]] = frozenset()
    """The names of these events."""
    delta_data: ClassVar[tuple[bytes, ...]] = ()
    """The beginnings of their data, for gateways that leave out the names."""

    __slots__ = (
        "_events", "_head", "_json", "_prefix", "_usage", "chunks", "content", "error",
        "finished", "model", "response_id", "terminal", "unknown",
    )  # fmt: skip

    def __init__(self) -> None:
        self.content = False
        """Whether the first content has come: text, reasoning or a tool call."""
        self.unknown = False
        """Whether an event has come that the dialect does not define. It may be content."""
        self.chunks = 0
        """Events with a piece of the answer."""
        self.terminal = False
        """Whether the last event of the stream has come."""
        self.error: Failure | None = None
        """The error that an event reported, with the HTTP status that matches it."""
        self.finished: dict[int, str] = {}
        """The finish reason of each answer, by the answer's index."""
        self.model: str | None = None
        """The model that answered."""
        self.response_id: str | None = None
        self._usage: Usage | None = None
        self._events: EventSplitter | None = None
        self._head = b""
        self._prefix = b"?"
        """The one of `deltas` that came last."""
        self._json: JsonSplitter | None = None
        """For bodies that are no event stream: Gemini's arrays, and errors in plain JSON."""

    @property
    def usage(self) -> Usage | None:
        """The latest usage that the stream has reported."""
        return self._usage

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """The finish reasons in the API's own words, in the order of the answers."""
        return tuple(reason for _, reason in sorted(self.finished.items()))

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the body, without its content coding."""
        events = self._events
        if events is None:
            self._begin(data)
            return
        if self.content and events.idle and not self.terminal:
            at = self._skip(data)
            if at:
                if at == len(data):
                    return
                data = data[at:]
        for event in events.feed(data):
            self._read(event)

    def skims(self, data: bytes, begin: int, end: int) -> bool:
        """Count *data* from *begin* to *end* if it is one plain event, and return whether it is.

        It is a shorter way than `feed` for what nearly every read of a stream brings.
        """
        prefix = self._prefix
        if (
            not data.startswith(prefix, begin)
            or data.find(b"\n", begin + len(prefix)) != end - 2
            or not data.startswith(b"\n\n", end - 2)
            or data.find(b"\r", begin, end) >= 0
            or not self._between()
        ):
            return False
        self.chunks += 1
        return True

    def _between(self) -> bool:
        """Whether the content has begun, and the next byte begins an event of it."""
        events = self._events
        return self.content and not self.terminal and events is not None and events.idle

    def finish(self, how: Outcome) -> Verdict:
        """Take the end of the body, and return the verdict on the stream."""
        self.flush()
        return verdict(self, how)

    def flush(self) -> None:
        """Read the last event too, if no blank line follows it: nothing more comes.

        One that was cut is dropped.
        """
        if self._events is not None:
            for event in self._events.finish():
                if _is_whole(event.data):
                    self._read(event)

    def _begin(self, data: bytes) -> None:
        """Decide by the first byte that is not blank whether this is a stream of events."""
        if self._json is None:
            data = self._head + data
            first = data.removeprefix(_BOM).lstrip(_BLANK)[:1]
            if not first or _BOM.startswith(data):
                self._head = data[:3]  # too little to decide
                return
            if first not in b"[{":
                self._events = self.splitter()
                self.feed(data)
                return
            self._json = JsonSplitter()
        for element in self._json.feed(data):
            self._read(Event(b"", element))
        if self._json.closed:
            self.terminal = True

    def _skip(self, data: bytes) -> int:
        """Count the plain events at the beginning of *data*, and return their length in bytes.

        *data* begins with an event, and the content has begun. `_read` must count the same events
        as pieces of the answer, since a network read may end within any of them.
        """
        if not data.startswith(self.deltas) or data.find(b"\r") >= 0:
            return 0
        at = 0
        size = len(data)
        while at < size:
            if not data.startswith(self._prefix, at):
                if not data.startswith(self.deltas, at):
                    break
                self._prefix = next(p for p in self.deltas if data.startswith(p, at))
            end = data.find(b"\n", at + len(self._prefix))
            if end < 0 or not data.startswith(b"\n\n", end):
                break  # incomplete, or with more fields
            at = end + 2
            self.chunks += 1
        return at

    def _is_delta(self, event: Event) -> bool:
        """Whether `_skip` counts *event* without parsing it."""
        if event.name:
            return event.name in self.delta_names and event.data.startswith(b"{")
        return event.data.startswith(self.delta_data)

    def _read(self, event: Event) -> None:
        """Parse *event*."""
        raise NotImplementedError

    def _more(self) -> None:
        """Count another piece of the answer."""
        self.content = True
        self.chunks += 1

    def _finish(self, index: object, reason: object) -> None:
        """Note the finish reason of the answer *index*, if *reason* is a string."""
        if isinstance(reason, str) and reason and len(self.finished) < _MOST_ANSWERS:
            place = index if isinstance(index, int) else 0
            self.finished[place] = reason[:64]


def _is_whole(data: bytes) -> bool:
    """Whether an event's data is what it says, to its end."""
    try:
        _syntax(data)
    except (msgspec.MsgspecError, RecursionError):
        return data.startswith(DONE)
    return True


def beginnings(kinds: tuple[str, ...]) -> tuple[tuple[bytes, ...], ...]:
    """Return `deltas` and `delta_data` for events of these types."""
    names = [kind.encode() for kind in kinds]
    data = tuple(b'{"type":"%b"' % name for name in names)
    named = tuple(b"event: %b\ndata: {" % name for name in names)
    return (*named, *(b"data: " + begin for begin in data)), data


def verdict(reader: StreamReader, how: Outcome) -> Verdict:
    """Return the verdict on a stream whose transport ended in the way *how*.

    An error counts even if `[DONE]` follows it. A stream that reached its terminal event is
    complete, no matter how the connection ended afterwards. A stream without content and without a
    finish reason is empty, with or without `[DONE]`; an empty answer with a finish reason is
    complete.
    """
    if reader.error is not None:
        return "error"
    said = reader.content or bool(reader.finished)
    if reader.terminal:
        return "complete" if said else "empty"
    if how == "aborted" or how == "stalled":
        return how
    if how == "cut":
        return "truncated"
    if not said:
        return "empty"
    # Some servers send no [DONE]; a finish reason is as good.
    return "complete" if reader.finished else "truncated"
