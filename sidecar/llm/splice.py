"""Change members of a JSON object, and leave every other byte as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Raw

from sidecar.llm.members import TooMany, members
from sidecar.llm.tolerant import Text, strict, text_of

UNREADABLE: Final = (TooMany, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What reading a body raises that is no JSON object, or has too many members."""
MOST: Final = 20_000
"""Objects in a list of messages. A longer list is not read."""
_NAME: Final = re.compile(
    rb'[ \t\r\n]*+[{,][ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")[ \t\r\n]*+:[ \t\r\n]*+', re.DOTALL
)
_EMPTY: Final = b"{}"
_ITEM: Final = re.compile(rb"[ \t\r\n]*+[\[,][ \t\r\n]*+")

Adds = dict[str, "bytes | Adds"]


class _Object(msgspec.Struct, gc=False):
    """A message, whose members are not looked at."""


_raws: Final = msgspec.json.Decoder(list[Raw]).decode
_objects: Final = msgspec.json.Decoder(list[_Object]).decode


class Place(NamedTuple):
    """Where a value stands."""

    start: int
    end: int


class _Member:
    """A member: its name, where the name and the value begin, where the value ends."""

    __slots__ = ("at", "end", "name", "new", "start")

    def __init__(self, name: str, at: int, start: int, end: int) -> None:
        self.name = name
        self.at = at
        self.start = start
        self.end = end
        self.new: bytes | Spliced | None = None
        """What its value becomes; None: it stays."""


class Spliced:
    """An object within a text, with changes that are made when it is written."""

    def __init__(self, read_as: bytes, text: bytes, start: int, end: int) -> None:
        """*read_as*: *text* as strict readers accept it. Raise UNREADABLE."""
        self._read_as = read_as
        self.text = text
        self._start = start
        self._end = end
        self._members = list(_located(read_as[start:end], start))
        self._removed: set[int] = set()
        self._adds: Adds = {}

    @property
    def changed(self) -> bool:
        """Whether anything is different when it is written."""
        return bool(self._removed or self._adds) or any(
            member.new.changed if isinstance(member.new, Spliced) else member.new is not None
            for member in self._members
        )

    def places(self, *names: str) -> Iterator[Place]:
        """Yield where the values of the members called one of *names* stand, also of duplicates."""
        for member in self._members:
            if member.name in names:
                yield Place(member.start, member.end)

    def value(self, place: Place) -> bytes:
        """Return the value at *place*, as it was."""
        return self.text[place.start : place.end]

    def has(self, path: tuple[str, ...]) -> bool:
        """Whether a member stands at *path* with a value other than null."""
        return any(value != b"null" for value in self.values(path))

    def values(self, path: tuple[str, ...]) -> list[bytes]:
        """Return all values at *path*, as they were."""
        found: list[bytes] = []
        for member in self._named(path[0]):
            if len(path) == 1:
                found.append(self.text[member.start : member.end])
            elif (inner := self._inner(member)) is not None:
                found += inner.values(path[1:])
        return found

    def replace(self, path: tuple[str, ...], new: bytes) -> None:
        """Set all values at *path*."""
        for member in self._named(path[0]):
            if len(path) == 1:
                member.new = new
            elif (inner := self._inner(member)) is not None:
                inner.replace(path[1:], new)

    def put(self, path: tuple[str, ...], new: bytes) -> None:
        """Set the value at *path*; add it, with the objects around it, if it is not there.

        Nothing is done if a value on the way is no object.
        """
        name = path[0]
        found = list(self._named(name))
        if len(path) == 1:
            if found:
                self.replace(path, new)
            else:
                self._adds[name] = new
            return
        if not found:
            adds = self._adds.setdefault(name, {})
            for step in path[1:-1]:
                adds = adds.setdefault(step, {}) if isinstance(adds, dict) else adds
            if isinstance(adds, dict):
                adds[path[-1]] = new
            return
        for member in found:
            if self.text[member.start : member.end] == b"null" and member.new is None:
                member.new = Spliced(_EMPTY, _EMPTY, 0, len(_EMPTY))
            if (inner := self._inner(member)) is not None:
                inner.put(path[1:], new)

    def replace_at(self, place: Place, new: bytes) -> None:
        """Set the value at *place*, of one of this object's members."""
        for member in self._members:
            if member.start == place.start:
                member.new = new

    def remove(self, path: tuple[str, ...]) -> bool:
        """Remove all members at *path*; return whether there were any."""
        done = False
        for index, member in enumerate(self._members):
            if member.name != path[0] or index in self._removed:
                continue
            if len(path) == 1:
                self._removed.add(index)
                done = True
            elif (inner := self._inner(member)) is not None:
                done = inner.remove(path[1:]) or done
        return done

    def written(self) -> bytes:
        """Return the object with its changes."""
        if not self.changed:
            return self.text[self._start : self._end]
        parts: list[bytes] = []
        before: int | None = None
        """Index of the last member that was kept."""
        for index, member in enumerate(self._members):
            if index in self._removed:
                continue
            if before is None:
                parts.append(self.text[self._start : self._members[0].at])
            elif before == index - 1:
                parts.append(self.text[self._members[before].end : member.at])
            else:
                parts.append(b",")
            parts.append(self.text[member.at : member.start])
            parts.append(self._value_of(member))
            before = index
        if before is None:
            parts.append(b"{")
        if self._adds:
            parts.append(b"" if before is None else b",")
            parts.append(_written(self._adds)[1:-1])
        last = self._members[-1].end if self._members else self._start + 1
        return b"".join((*parts, self.text[last : self._end]))

    def _value_of(self, member: _Member) -> bytes:
        if isinstance(member.new, Spliced):
            return member.new.written()
        return self.text[member.start : member.end] if member.new is None else member.new

    def _named(self, name: str) -> Iterator[_Member]:
        for index, member in enumerate(self._members):
            if member.name == name and index not in self._removed:
                yield member

    def _inner(self, member: _Member) -> Spliced | None:
        """The object that is a member's value; None if it is none, or is replaced."""
        if member.new is None:
            if self._read_as[member.start : member.start + 1] != b"{":
                return None
            try:
                member.new = Spliced(self._read_as, self.text, member.start, member.end)
            except UNREADABLE:
                return None
        return member.new if isinstance(member.new, Spliced) else None


class Body(Spliced):
    """A whole body, in any encoding that servers accept."""

    def __init__(self, body: bytes) -> None:
        """Raise UNREADABLE if it is no JSON object, or has more than 1,000 members."""
        self._encoding: Text | None = None
        try:
            super().__init__(body, body, *_outer(body))
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._encoding = text = text_of(body)
            super().__init__(strict(text.utf8), text.utf8, *_outer(text.utf8))

    def encoded(self) -> bytes:
        """Return the whole body with its changes, in the encoding that it came in."""
        whole = b"".join((self.text[: self._start], self.written(), self.text[self._end :]))
        return whole if self._encoding is None else self._encoding.encoded(whole)

    def strictly(self, place: Place) -> bytes:
        """Return the value at *place* as strict readers accept it."""
        return self._read_as[place.start : place.end]

    def items(self, place: Place) -> list[Place]:
        """Return where the objects of a list stand. Raise UNREADABLE if it is none of objects."""
        return items(self._read_as, place)

    def object(self, place: Place) -> Spliced:
        """Return the object at *place*, to be written by itself. Raise UNREADABLE."""
        return Spliced(self._read_as, self.text, place.start, place.end)


def items(text: bytes, place: Place) -> list[Place]:
    """Return where the objects of the list at *place* stand. Raise UNREADABLE."""
    raw = text[place.start : place.end]
    if raw.count(b"{") > MOST * 8:
        raise TooMany
    if len(_objects(raw)) > MOST:  # of anything but objects, it stops at the first
        raise TooMany
    found: list[Place] = []
    at = 0
    for value in _raws(raw):
        before = _ITEM.match(raw, at)
        assert before is not None, "the decoder has found an item here"
        at = before.end() + len(memoryview(value))
        found.append(Place(place.start + before.end(), place.start + at))
    return found


def replaced(text: bytes, place: Place, changes: Iterable[tuple[Place, bytes]]) -> bytes:
    """Return what stands at *place* with other bytes at some places in it, which are in order."""
    parts: list[bytes] = []
    at = place.start
    for change, new in changes:
        parts += (text[at : change.start], new)
        at = change.end
    return b"".join((*parts, text[at : place.end]))


def _outer(text: bytes) -> tuple[int, int]:
    return len(text) - len(text.lstrip(b" \t\r\n")), len(text.rstrip(b" \t\r\n"))


def _located(raw: bytes, offset: int) -> Iterator[_Member]:
    at = 0
    for name, value in members(raw).items():
        before = _NAME.match(raw, at)
        assert before is not None, "the decoder has found a member here"
        start, at = before.end(), before.end() + len(memoryview(value))
        yield _Member(name.text, offset + before.start(1), offset + start, offset + at)


def _written(adds: Mapping[str, Any]) -> bytes:
    parts = [
        msgspec.json.encode(name) + b":" + (value if isinstance(value, bytes) else _written(value))
        for name, value in adds.items()
    ]
    return b"{" + b",".join(parts) + b"}"
