"""The placeholders of one call, and the values that they stand for."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from sidecar.llm.redact.rules import Finder

_MOST: Final = 10_000
"""Values of one call. A prompt with more is no prompt, and is refused."""


class TooMany(Exception):
    """The prompt has too many values."""


class Values:
    """Masks values, and knows them again. It lives as long as its call.

    The same value always gets the same placeholder, and they are numbered as they first come. So a
    conversation that goes on begins with the same text as before, and providers' prompt caches
    still hit.
    """

    def __init__(self, find: Finder, label: str) -> None:
        """*label*: what tells these placeholders from others that the model may know; usually
        empty."""
        self._find = find
        self._label = f"_{label}" if label else ""
        self._placeholders: dict[tuple[str, str], str] = {}
        self.values: dict[bytes, str] = {}
        """By placeholder."""
        self.kinds: dict[str, int] = {}
        """Values of each kind."""
        self._prefixes: set[bytes] | None = None
        self._longest = 0

    def __repr__(self) -> str:
        return f"<Values {self.kinds}>"  # never a value: logs and tracebacks print reprs

    def masked(self, text: str) -> str | None:
        """Return *text* with placeholders; None if it has no value. Raise TooMany."""
        spans = self._find(text)
        if not spans:
            return None
        parts: list[str] = []
        at = 0
        for span in spans:
            parts += (
                text[at : span.start],
                self._placeholder(span.kind, text[span.start : span.end]),
            )
            at = span.end
        return "".join((*parts, text[at:]))

    def restored(self, text: bytes, depth: int) -> bytes:
        """Return *text* with the values instead of their placeholders.

        *depth*: 0 in plain text, 1 in a JSON string, 2 in one that holds JSON itself, in whose
        strings the placeholders stand.
        """
        at = text.find(b"[[")
        if at < 0:
            return text
        parts: list[bytes] = []
        done = 0
        while at >= 0:
            end = text.find(b"]]", at) + 2
            if end < 2:
                break
            begin = text.rfind(b"[[", at, end)
            value = self.values.get(text[begin:end])
            if value is not None:
                parts += (text[done:begin], escaped(value, depth))
                done = end
            at = text.find(b"[[", end if value is not None else begin + 1)
        return b"".join((*parts, text[done:]))

    def whole(self, text: bytes) -> int:
        """Return how much of *text* can be passed on: the rest may begin a placeholder."""
        if self._prefixes is None:
            self._prefixes = {each[:n] for each in self.values for n in range(1, len(each))}
            self._longest = max(map(len, self.values), default=0)
        at = text.find(b"[", max(0, len(text) - self._longest))
        while at >= 0:
            if text[at:] in self._prefixes:
                return at
            at = text.find(b"[", at + 1)
        return len(text)

    def _placeholder(self, kind: str, value: str) -> str:
        known = self._placeholders.get((kind, value))
        if known is None:
            if len(self.values) >= _MOST:
                raise TooMany
            count = self.kinds[kind] = self.kinds.get(kind, 0) + 1
            known = self._placeholders[kind, value] = f"[[{kind}{self._label}_{count}]]"
            self.values[known.encode()] = value
        return known


def marks(kinds: Iterable[str]) -> list[bytes]:
    """Return how the placeholders of *kinds* begin."""
    return [f"[[{kind}_".encode() for kind in kinds]


def written(text: str) -> bytes:
    """Return *text* as a JSON string, with all characters that UTF-8 can have as they are."""
    try:
        return json.dumps(text, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half an emoji
        return json.dumps(text).encode()


def escaped(value: str, depth: int) -> bytes:
    """Return *value* as it stands in so many JSON strings, one within the other."""
    if not depth:
        return value.encode("utf-8", "replace")
    for _ in range(depth):
        value = written(value)[1:-1].decode()
    return value.encode()
