"""Remove the usage event from a stream whose caller did not ask for it."""

from __future__ import annotations

import re
from typing import Final

from sidecar.llm.include_usage import is_usage_only
from sidecar.llm.sse import EventSplitter

_MARK: Final = b'"prompt_tokens"'
"""A member of every usage of chat and completions. Other events with it are parsed and kept."""
_MOST: Final = 8192
"""Bytes that are held. A usage event has a few hundred."""
_BLANK: Final = re.compile(rb"\n\n|\r\n\r\n|\r\r|\n\r\n|\r\n\n")
"""The end of a line and of the empty line behind it."""
_REACH: Final = 3
"""Bytes of a blank line that may be in the read before."""


class UsageHider:
    """Passes on a stream's bytes, except usage events.

    An incomplete event is held until it is complete, which delays nothing: a client can't use it
    before that. Large events are not held.
    """

    __slots__ = ("_held", "_near", "_passed", "_size", "hidden")

    def __init__(self) -> None:
        self.hidden = 0
        """Events that were removed."""
        self._held: list[bytes] = []
        self._size = 0
        self._near = b""
        """The last bytes of `_held`."""
        self._passed = b""
        """The last bytes of a large event that is being passed on; else empty."""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes of the stream, and return those to pass on, which may be none."""
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
        """Take the end of the stream, and return the held bytes."""
        held = b"".join(self._held)
        self._held.clear()
        return held

    def _whole(self, data: bytes) -> bytes:
        """Return the complete events of *data*. Hold the rest, or return it too if it is large."""
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
        """Split *data* at the end of the large event."""
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
