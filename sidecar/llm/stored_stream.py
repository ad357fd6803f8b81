"""The stream of a stored response, cut between its events, so that it can be taken up again.

Source: openai-python 3.57, `resources/responses/responses.py`: each event has a `sequence_number`,
and `GET /responses/{id}?stream=true&starting_after=N` streams those behind number N.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct

_END: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r(?!\n))")
"""An empty line, with the end of the line before it (WHATWG HTML, section 9.2.6)."""
_DATA: Final = re.compile(rb"^data: ?(.*)$", re.MULTILINE)
_LINE_ENDS: Final = re.compile(rb"\r\n|\r")
_MOST: Final = 8 * 2**20
"""Bytes of an event. Of a longer one, the parts are passed on, and it can't be taken up again."""
NAME: Final = r"[A-Za-z0-9_.:-]{1,256}"
"""Of a response. What it is asked for with has it in its path, so nothing else may stand there."""
_NAME: Final = re.compile(NAME)
_LAST: Final = frozenset(
    {
        "response.completed", "response.failed", "response.incomplete", "response.cancelled",
        "error",
    }
)  # fmt: skip


class _Response(Struct):
    id: str | None = None
    background: bool | None = None


class _Event(Struct):
    type: str | None = None
    sequence_number: int | None = None
    response: _Response | None = None


_decode: Final = msgspec.json.Decoder(_Event).decode


class _Body(Struct):
    background: bool | None = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode


def runs_in_background(body: bytes) -> bool:
    """Whether the request *body* asks for a response that goes on without its caller."""
    if b'"background"' not in body:
        return False
    try:
        return _decode_body(body).background is True
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


class StoredStream:
    """Takes the bytes of a stream and of those that continue it. Gives whole events, each once."""

    def __init__(self, name: str | None = None, after: int | None = None) -> None:
        """*name*: the response's id, if it is known; else its stream tells it.

        *after*: the number behind which the stream begins; None: it is all of it.
        """
        self.name = name
        self.after = after
        """Number of the last event that was given."""
        self.over = False
        """The last event of the response was given."""
        self.lost = False
        """What comes is passed on as it is: it can't be taken up again."""
        self.gap = False
        """A stream that continues another one did not begin behind it. Nothing is given then."""
        self._stored = name is not None
        self._ordered = True
        """All events have had numbers that went up: else what comes twice could not be told."""
        self._rest = b""
        self._steady = True
        """Numbers have gone up by one so far."""
        self._joins = False
        """No numbered event of the stream that continues another one has come."""

    @property
    def resumable(self) -> bool:
        """Whether it can be taken up again where it is."""
        known = self.name is not None and self._stored and self._ordered
        return known and not (self.over or self.lost or self.gap)

    def again(self) -> None:
        """Another stream continues this one. What was begun of an event comes again in it."""
        self._rest = b""
        self._joins = self.after is not None

    def feed(self, data: bytes) -> bytes:
        """Return the events that are complete with *data*, as they came."""
        if self.lost:
            return data
        seen = max(0, len(self._rest) - 3)
        text, begin = self._rest + data, 0
        given: list[bytes] = []
        for end in _END.finditer(text, seen):
            if end.end() == len(text) and text.endswith(b"\r"):
                break  # a line feed may follow, which belongs to it
            event = text[begin : end.end()]
            begin = end.end()
            if self._counts(_read(event)):
                given.append(event)
        self._rest = text[begin:]
        if len(self._rest) > _MOST:
            self.lost = True
            given.append(self._rest)
            self._rest = b""
        return b"" if self.gap else b"".join(given)

    def finish(self) -> bytes:
        """Take the end of a stream, and return what is left of it.

        That is all of its last event, which may lack the empty line. What is begun of another one
        is not, if it will come again.
        """
        rest, self._rest = self._rest, b""
        said = _read(rest)
        if said is not None and said.type in _LAST:
            return rest if self._counts(said) else b""
        return b"" if self.resumable else rest

    def _counts(self, said: _Event | None) -> bool:
        """Take note of an event. Return whether it is to be given."""
        if said is None:
            return True
        number = said.sequence_number
        if self.gap or (number is not None and not self._follows(number)):
            return False
        self._ordered = self._ordered and number is not None
        if said.response is not None:
            if self.name is None and _is_name(said.response.id):
                self.name = said.response.id
            self._stored = self._stored or said.response.background is True
        self.over = self.over or said.type in _LAST
        return True

    def _follows(self, number: int) -> bool:
        last = self.after
        if last is not None:
            if self._joins and number <= last:
                return False
            steady = number == last + 1
            if self._joins and self._steady and not steady:
                self.gap = True
                return False
            self._steady = self._steady and steady
            self._ordered = self._ordered and number > last
        self._joins = False
        self.after = number
        return True


def _is_name(told: str | None) -> bool:
    return told is not None and bool(_NAME.fullmatch(told)) and told.strip(".") != ""


def _read(event: bytes) -> _Event | None:
    """Return what *event* says; None for a comment, `[DONE]` or what is not whole."""
    lines = _DATA.findall(_LINE_ENDS.sub(b"\n", event))
    try:
        return _decode(b"\n".join(lines))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
