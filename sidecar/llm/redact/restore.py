"""Put the values back into replies that are one text, or one JSON text of any length."""

from __future__ import annotations

import re
from typing import Final

from sidecar.llm.redact.values import Values

NESTED: Final = frozenset({b"arguments", b"partial_json"})
"""Members that hold JSON in a string."""
_END: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_NAME: Final = 64
"""Bytes of a name that are kept."""


class Restorer:
    """Restores the strings of a JSON reply, which arrives in pieces of any size.

    What may begin a placeholder is held until the next piece. A placeholder in a string of
    arguments is restored with the escapes that JSON within JSON needs.
    """

    def __init__(self, values: Values) -> None:
        self._values = values
        self._held = b""
        self._inside = False
        self._said = b""
        """The beginning of the last string."""
        self._colon = False
        """Whether a value of the member that `_said` names comes next."""
        self._depth = 1

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, and return those to pass on."""
        data = self._held + data
        self._held = b""
        parts: list[bytes] = []
        at = 0
        while at < len(data):
            at = (self._in_string if self._inside else self._between)(data, at, parts)
        return b"".join(parts)

    def end(self) -> bytes:
        """Take the end of the reply, and return what was held."""
        held, self._held = self._held, b""
        return held

    def _between(self, data: bytes, at: int, parts: list[bytes]) -> int:
        quote = data.find(b'"', at)
        end = len(data) if quote < 0 else quote + 1
        text = data[at : end - 1 if quote >= 0 else end].strip()
        if text:
            self._colon = text.endswith(b":")
        parts.append(data[at:end])
        if quote >= 0:
            self._inside = True
            self._depth = 2 if self._colon and self._said in NESTED else 1
            self._said = b""
        return end

    def _in_string(self, data: bytes, at: int, parts: list[bytes]) -> int:
        closes = _END.match(data, at)
        if closes is not None:
            end = closes.end()
            text = data[at : end - 1]
            parts += (self._values.restored(text, self._depth), b'"')
            self._inside = self._colon = False
        else:
            text = data[at:]
            whole = min(self._values.whole(text), _without_escape(text))
            self._held, text = text[whole:], text[:whole]
            parts.append(self._values.restored(text, self._depth))
            end = len(data)
        if len(self._said) < _NAME:
            self._said += text[:_NAME]
        return end


class PlainRestorer:
    """Restores a reply that is plain text, without escapes."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, and return those to pass on."""
        data = self._held + data
        whole = self._values.whole(data)
        self._held = data[whole:]
        return self._values.restored(data[:whole], 0)

    def end(self) -> bytes:
        """Take the end of the reply, and return what was held."""
        held, self._held = self._held, b""
        return held


def _without_escape(text: bytes) -> int:
    """Return the length of *text* without a backslash at its end that begins an escape."""
    slashes = len(text) - len(text.rstrip(b"\\"))
    return len(text) - slashes % 2
