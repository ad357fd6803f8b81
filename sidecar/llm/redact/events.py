"""Put the values back into a stream of events, in which a placeholder may span many of them."""

from __future__ import annotations

import re
from typing import Final

from sidecar.llm.redact.restore import NESTED
from sidecar.llm.redact.values import Values
from sidecar.llm.redact.walk import Ids, Path, String, TooDeep, walked, written

_MOST: Final = 2**20
"""Bytes of an event that are held until it is complete. A larger one is passed on as it is."""
_CHANNELS: Final = 64
"""Texts that may be in the middle of a placeholder at once."""
_BLANK: Final = re.compile(rb"\n\n|\r\n\r\n|\r\r|\n\r\n|\r\n\n")
_REACH: Final = 3
"""Bytes of a blank line that may be in the read before."""
_DATA: Final = re.compile(rb"^data:[ ]?+([^\r\n]*+)", re.MULTILINE)
_DELTAS: Final = frozenset({
    b"content", b"text", b"arguments", b"partial_json", b"thinking", b"reasoning_content",
    b"reasoning", b"refusal", b"delta", b"summary", b"plan",
})  # fmt: skip
"""Members with a piece of a text that goes on in the next event."""
_ENDINGS: Final = (
    b".done", b".completed", b".failed", b".incomplete", b"_stop", b"-end", b"message_delta",
    b"error",
)  # fmt: skip
"""How the types of events end that end a text, or all of them."""


class _Piece:
    """A string on its way: what goes on of it, and what is held."""

    __slots__ = ("depth", "goes_on", "held", "string", "text")

    def __init__(self, string: String, text: bytes) -> None:
        self.string = string
        self.text = text
        self.held = b""
        self.depth = 1
        """JSON strings that it is within."""
        self.goes_on = False
        """Whether it is a piece of a text that goes on in the next event."""


class _Held:
    """What a text ends with so far that may begin a placeholder, and an event to send it in."""

    __slots__ = ("after", "before", "ids", "text")

    def __init__(self, text: bytes, ids: Ids, before: bytes, after: bytes) -> None:
        self.text = text
        self.ids = ids
        self.before = before
        self.after = after

    def event(self) -> bytes:
        return b"".join((self.before, self.text, self.after))


Channel = tuple[Path, tuple[tuple[tuple[Path, bytes], bytes], ...]]


class EventRestorer:
    """Restores the texts of a stream of server-sent events.

    A piece of a text that may begin a placeholder is held back until the next piece of the same
    text; all other bytes of its event go on at once. At the text's end, what is held is sent in an
    event like the last one.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._pieces: list[bytes] = []
        self._size = 0
        self._near = b""
        self._large = False
        self._held: dict[Channel, _Held] = {}

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the stream, and return those to pass on."""
        ends = [blank.end() for blank in _BLANK.finditer(self._near + data)]
        if not ends:
            return self._keep(data)
        shift = len(self._near)
        parts: list[bytes] = []
        begin = 0
        for end in ends:
            event = data[begin : end - shift]
            begin = end - shift
            if self._large:
                self._large = False
                parts.append(event)
            else:
                parts.append(self._event(b"".join((*self._pieces, event))))
                self._pieces.clear()
        self._size = 0
        self._near = b""
        parts.append(self._keep(data[begin:]))
        return b"".join(parts)

    def end(self) -> bytes:
        """Take the end of the stream, and return what was held."""
        last = b"".join(self._pieces)
        self._pieces.clear()
        return self._flush({}) + (self._event(last) if last else b"")

    def _keep(self, data: bytes) -> bytes:
        """Hold the beginning of an event; pass it on if it is too large."""
        self._near = (self._near + data)[-_REACH:]
        if not data or self._large:
            return data
        self._pieces.append(data)
        self._size += len(data)
        if self._size <= _MOST:
            return b""
        self._large = True
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data

    def _event(self, event: bytes) -> bytes:
        """Return what to send instead of *event*, which is complete."""
        if not self._held and event.find(b"[[") < 0 and event.find(b'["') < 0:  # nearly always
            return event
        found = _DATA.findall(event)
        if len(found) != 1:
            return event
        match = _DATA.search(event)
        assert match is not None, "it was found"
        start, data = match.start(1), match[1]
        if not data.startswith(b"{"):
            return self._flush({}) + event if data.startswith(b"[DONE]") else event
        try:
            return self._restored(event, start, data)
        except TooDeep:
            return event

    def _restored(self, event: bytes, start: int, data: bytes) -> bytes:
        top, strings, ended = walked(data)
        kinds = (data[s.start : s.end] for s in strings if s.key == b"type" and s.frame is top)
        kind = next(kinds, b"")
        ends = kind.endswith(_ENDINGS)
        goes_on = not ends and (not kind or kind.endswith((b".delta", b"-delta", b"_delta")))
        pieces: list[_Piece] = []
        last: dict[Channel, _Piece] = {}
        """The last piece of each text."""
        for each in strings:
            piece = _Piece(each, data[each.start : each.end])
            if each.key in NESTED or (each.key == b"delta" and b"arguments" in kind):
                piece.depth = 2
            pieces.append(piece)
            if goes_on and each.key in _DELTAS:
                channel = _channel(each)
                self._join(piece, channel, last.get(channel))
                last[channel] = piece
        for piece in last.values():
            if piece.string.frame.is_finished():  # nothing follows that it could begin
                piece.text, piece.held = piece.text + piece.held, b""
        for piece in pieces:
            piece.text = self._values.restored(piece.text, piece.depth)
        changed = written(event, start, [(piece.string, piece.text) for piece in pieces])
        flushed = b"".join(self._flush(ids) for ids in ended)
        if ends:
            flushed += self._flush(top.ids)
        for channel, piece in last.items():
            if piece.held:
                self._held[channel] = _held(event, start, piece, pieces)
        return flushed + changed

    def _join(self, piece: _Piece, channel: Channel, before: _Piece | None) -> None:
        """Put in front of *piece* what was held of its text, and hold its own end."""
        piece.goes_on = True
        if before is not None:
            piece.text = before.held + piece.text
            before.held = b""
        elif (held := self._held.pop(channel, None)) is not None:
            piece.text = held.text + piece.text
        if len(self._held) < _CHANNELS:
            whole = self._values.whole(piece.text)
            piece.text, piece.held = piece.text[:whole], piece.text[whole:]

    def _flush(self, ids: Ids) -> bytes:
        """Return events with what is held of the texts that *ids* may mean; none: of all."""
        if not self._held:
            return b""
        parts: list[bytes] = []
        for channel, held in list(self._held.items()):
            if all(held.ids.get(key, value) == value for key, value in ids.items()):
                parts.append(held.event())
                del self._held[channel]
        return b"".join(parts)


def _held(event: bytes, start: int, piece: _Piece, pieces: list[_Piece]) -> _Held:
    """Keep what is held of *piece*, and the event without any other piece of a text."""
    mark = b"\0"
    texts = [
        (each.string, mark if each is piece else b"" if each.goes_on else each.text)
        for each in pieces
    ]
    before, _, after = written(event, start, texts).partition(mark)
    return _Held(piece.held, piece.string.frame.all_ids(), before, after)


def _channel(string: String) -> Channel:
    """Which text a string is a piece of."""
    ids = string.frame.all_ids()
    return (*string.frame.path, string.key), tuple(sorted(ids.items()))
