"""How far a streamed reply has come, told by its bytes as they pass.

A reader is fed what the caller gets, split anywhere, without content coding. Until the first
content it reads each event; from then on it passes over those that are nothing but another piece of
the answer (`_skip`), which is nearly all of them, and reads the others. It looks at how an event
begins, or compares it with the one before; it never searches for a word, so that no text in an
answer can be taken for a sign.
"""

from __future__ import annotations

from typing import ClassVar, Final, Literal

from sidecar.llm.failures import Failure
from sidecar.llm.json_stream import JsonSplitter
from sidecar.llm.sse import Event, EventSplitter
from sidecar.llm.usage import Usage

Outcome = Literal["ended", "cut", "stalled", "aborted"]
"""How the transport ended: the body's end by its framing; the connection's end before that; a timer
of ours; the caller left."""
Verdict = Literal["complete", "error", "truncated", "stalled", "aborted", "empty"]

_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"
_MOST_ANSWERS: Final = 128
"""Finish reasons that are kept. `n` is at most that (OpenAI's API reference)."""


class StreamReader:
    """Of one stream. Each dialect has its own, which knows its events."""

    splitter: ClassVar[type[EventSplitter]] = EventSplitter
    deltas: ClassVar[tuple[bytes, ...]] = ()
    """How events begin that are only another piece of the answer, as they are on the wire."""
    delta_names: ClassVar[frozenset[bytes]] = frozenset()
    """Their names."""
    delta_data: ClassVar[tuple[bytes, ...]] = ()
    """How their data begin: some gateways leave out the names."""

    __slots__ = (
        "_events", "_head", "_json", "_prefix", "_usage", "chunks", "content", "error",
        "finished", "model", "response_id", "terminal", "unknown",
    )  # fmt: skip

    def __init__(self) -> None:
        self.content = False
        """Whether the first content has come: text, thoughts, a call of a tool."""
        self.unknown = False
        """Whether an event has come that the dialect does not have: it may be content."""
        self.chunks = 0
        """Events with a piece of the answer."""
        self.terminal = False
        """Whether the event has come behind which there is nothing to wait for."""
        self.error: Failure | None = None
        """What an event says has gone wrong, with the status that it deserves."""
        self.finished: dict[int, str] = {}
        """Why each answer ended, by its index."""
        self.model: str | None = None
        """The model that answers."""
        self.response_id: str | None = None
        self._usage: Usage | None = None
        self._events: EventSplitter | None = None
        self._head = b""
        self._prefix = b"?"
        """Which of `deltas` came last."""
        self._json: JsonSplitter | None = None
        """Of what is no stream of events: Gemini's arrays, and errors that are no event."""

    @property
    def usage(self) -> Usage | None:
        """The tokens, as far as the stream has told them; the last word counts."""
        return self._usage

    @property
    def finish_reasons(self) -> tuple[str, ...]:
        """Why the answers ended, in the API's own words."""
        return tuple(reason for _, reason in sorted(self.finished.items()))

    def feed(self, data: bytes) -> None:
        """*data* is next in the body, without its content coding."""
        events = self._events
        if events is None:
            self._begin(data)
            return
        if self.content and events.idle:
            at = self._skip(data)
            if at:
                if at == len(data):
                    return
                data = data[at:]
        for event in events.feed(data):
            self._read(event)

    def finish(self, how: Outcome) -> Verdict:
        """The body has ended in the way *how*. What is to be thought of it."""
        if self._events is not None:
            for event in self._events.finish():
                self._read(event)
        return verdict(self, how)

    def _begin(self, data: bytes) -> None:
        """Tell by its first byte that is not blank whether this is a stream of events."""
        if self._json is None:
            data = self._head + data
            first = data.removeprefix(_BOM).lstrip(_BLANK)[:1]
            if not first or _BOM.startswith(data):
                self._head = data[:3]  # nothing yet that tells, and nothing that counts
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
        """How much of *data*, which begins an event, is whole events that need not be read.

        Each is counted in `chunks`. Only asked once the content has begun. What it takes for a
        piece of the answer, `_read` must take for one as well: a read may end within any event.
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
                break  # not whole, or with more fields
            at = end + 2
            self.chunks += 1
        return at

    def _is_delta(self, event: Event) -> bool:
        """Whether *event* is one that `_skip` passes over."""
        if event.name:
            return event.name in self.delta_names and event.data.startswith(b"{")
        return event.data.startswith(self.delta_data)

    def _read(self, event: Event) -> None:
        """Note what *event* says."""
        raise NotImplementedError

    def _more(self) -> None:
        """There is another piece of the answer."""
        self.content = True
        self.chunks += 1

    def _finish(self, index: object, reason: object) -> None:
        """The answer *index* has ended, for a *reason* if that is a text."""
        if isinstance(reason, str) and reason and len(self.finished) < _MOST_ANSWERS:
            place = index if isinstance(index, int) else 0
            self.finished[place] = reason[:64]


def beginnings(kinds: tuple[str, ...]) -> tuple[tuple[bytes, ...], ...]:
    """`deltas` and `delta_data` for events of these *kinds*, which are named by them."""
    names = [kind.encode() for kind in kinds]
    data = tuple(b'{"type":"%b"' % name for name in names)
    named = tuple(b"event: %b\ndata: {" % name for name in names)
    return (*named, *(b"data: " + begin for begin in data)), data


def verdict(reader: StreamReader, how: Outcome) -> Verdict:
    """What is to be thought of a stream that ended in the way *how*.

    An error counts whatever came behind it. What came to its terminal event is complete, whoever
    ended the connection then; but a stream that ends well and has said nothing is empty, also when
    it says so (`[DONE]` alone). An answer of no words that tells why it ended is no empty stream.
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
    # Some servers send no [DONE]. That every answer has told why it ended is as good.
    return "complete" if reader.finished else "truncated"
