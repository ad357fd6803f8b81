"""Where the system prompt of a request stands, and trimming it there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Final

from sidecar.llm.shape.trim import Trimmer
from sidecar.llm.splice import UNREADABLE, Body, Place, Spliced, replaced

_TEXTS: Final = ("system", "instructions", "systemInstruction", "system_instruction", "preamble")
"""Members that are a system prompt: a text, a list of parts, or an object with parts."""
_TURNS: Final = ("messages", "input")
"""Members whose first items may be one."""
_SYSTEM: Final = (b'"system"', b'"developer"')
_CONTENT: Final = ("content", "parts", "text")

Change = tuple[Place, bytes]


def trim_system(body: Body) -> int:
    """Trim the system prompt of *body*; return the bytes of text that it has lost."""
    trimmer = _Counting()
    for name in (*_TEXTS, *_TURNS):
        for place in list(body.places(name)):
            changes = list(_changes(body, name, place, trimmer))
            if changes:
                body.replace_at(place, replaced(body.text, place, changes))
    return trimmer.lost


class _Counting:
    """Trims texts as they are written in JSON."""

    def __init__(self) -> None:
        self.lost = 0
        self._trim: Callable[[str], str] = Trimmer().trim

    def text(self, written: bytes) -> bytes | None:
        """Return the text *written* without what it repeats; None: it stays."""
        try:
            text = json.loads(written)
            new = self._trim(text)
            if new == text:
                return None
            self.lost += len(text.encode()) - len(new.encode())
            return json.dumps(new, ensure_ascii=False).encode()
        except ValueError:  # half an emoji, say
            return None


def _changes(body: Body, name: str, place: Place, trimmer: _Counting) -> Iterator[Change]:
    if name in _TEXTS:
        yield from _texts(body, place, trimmer)
        return
    for item in _items(body, place):
        message = body.object(item)
        if not any(value in _SYSTEM for value in message.values(("role",))):
            return
        for content in message.places("content"):
            yield from _texts(body, content, trimmer)


def _texts(body: Body, place: Place, trimmer: _Counting) -> Iterator[Change]:
    """Find the texts in a text, a list of parts, or an object with parts."""
    begins = body.text[place.start : place.start + 1]
    if begins == b'"':
        new = trimmer.text(body.text[place.start : place.end])
        if new is not None:
            yield place, new
    elif begins == b"[":
        for item in _items(body, place):
            yield from _in_object(body, body.object(item), trimmer)
    elif begins == b"{":
        yield from _in_object(body, body.object(place), trimmer)


def _in_object(body: Body, found: Spliced, trimmer: _Counting) -> Iterator[Change]:
    for place in found.places(*_CONTENT):
        yield from _texts(body, place, trimmer)


def _items(body: Body, place: Place) -> list[Place]:
    """Return the objects of a list; none if it is no such list (a list of texts, or tokens)."""
    try:
        return body.items(place)
    except UNREADABLE:
        return []
