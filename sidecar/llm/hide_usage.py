"""Take the event that tells the usage out of a stream whose caller did not ask for it."""

from __future__ import annotations

import re
from typing import Final

from sidecar.llm.include_usage import is_usage_only
from sidecar.llm.sse import EventSplitter

_MARK: Final = b'"prompt_tokens"'
"""Every usage of chat and completions has it. What else has it is looked at and stays."""
_MOST: Final = 8192
"""Bytes that are held. An event with nothing but a usage has some hundreds."""
_BLANK: Final = re.compile(rb"\n\n|\r\n\r\n|\r\r|\n\r\n|\r\n\n")
"""A line's end, and that of the empty line behind it."""
_REACH: Final = 3
"""Bytes of a blank line that may have come in the read before."""


class UsageHider:
    """Passes a stream's bytes on as they come, all but those of the events that tell the usage.

    What has begun and may be such an event is held until it is whole: no reader of events can do
    anything with it before.
    """

    __slots__ = ("_held", "_near", "_passed", "_size", "hidden")

    def __init__(self) -> None:
        self.hidden = 0
        """Events that were taken out."""
        self._held: list[bytes] = []
        self._size = 0
        self._near = b""
        """How what is held ends."""
        self._passed = b""
        """How an event ends so far that is too large to be one, and is passed on; else nothing."""

    def feed(self, data: bytes) -> bytes:
        """What may go on, now that *data* has come; it may be nothing."""
        if self._passed:
            before, data = self._finish_large(data)
            return before + self.feed(data) if data else before
        if self._held:
            self._size += len(data)
            near = self._near + data
            self._held.append(data)
            if self._size <= _MOST and not _BLANK.search(near):
                self._near = near[-_REACH:]
                return b""
            data = self.finish()
        if not data.endswith(b"\n\n"):
            data = self._whole(data)
        return data if data.find(_MARK) < 0 else self._without(data)

    def finish(self) -> bytes:
        """The stream has ended: what was held."""
        held = b"".join(self._held)
        self._held.clear()
        return held

    def _whole(self, data: bytes) -> bytes:
        """The events of *data* that are whole; the rest is held, or passed on if it is large."""
        end = 0
        for blank in _BLANK.finditer(data):
            end = blank.end()
        if len(data) - end > _MOST:
            self._passed = data[-_REACH:]
            return data
        if end < len(data):
            self._held.append(data[end:])
            self._size = len(data) - end
            self._near = data[end:][-_REACH:]
        return data[:end]

    def _finish_large(self, data: bytes) -> tuple[bytes, bytes]:
        """*data* up to the end of the large event, and what is behind it."""
        before = self._passed
        blank = _BLANK.search(before + data)
        if blank is None:
            self._passed = (before + data)[-_REACH:]
            return data, b""
        self._passed = b""
        at = blank.end() - len(before)
        return data[:at], data[at:]

    def _without(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        begin = 0
        ends = [blank.end() for blank in _BLANK.finditer(data)]
        for end in (*ends, len(data)):
            event = data[begin:end]
            begin = end
            if event.find(_MARK) >= 0 and _is_usage(event):
                self.hidden += 1
            else:
                parts.append(event)
        return b"".join(parts)


def _is_usage(event: bytes) -> bool:
    splitter = EventSplitter()
    found = splitter.feed(event)
    return len(found) == 1 and is_usage_only(found[0].data)
