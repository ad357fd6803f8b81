"""What a JSON body asks for, if it is unambiguous."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw

from sidecar.errors import ModelUnknown
from sidecar.llm.asked import LONGEST, NOTHING, Asked, is_true
from sidecar.llm.members import TooMany, members, places
from sidecar.llm.tolerant import Text, strict, text_of

UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What a decoder raises for a body that it can't read."""
_SMALL: Final = 4096
"""Bytes. In a smaller body, a search for a second `model` costs less than reading all members."""
_VALUE: Final = re.compile(
    rb'"model"[ \t\r\n]*+:[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL
)


class _Plain(msgspec.Struct):
    """The members of nearly every body."""

    model: str | None = None
    stream: bool | None = None


plain: Final = msgspec.json.Decoder(_Plain).decode
"""Reads model and stream of an ordinary body. Raises UNREADABLE."""
_text: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode


class _Sole(Asked):
    """What a small body asks for that has `"model"` once, so that no other member matters."""

    def __init__(self, body: bytes, at: int) -> None:
        """*at*: position of `"model"`, or -1."""
        found = plain(body)
        self.model = found.model
        self.named = found.model is not None
        self.stream = found.stream is True
        self._body = body
        self._at = at

    def with_model(self, model: str) -> bytes:
        value = _VALUE.match(self._body, self._at)
        assert value is not None, "the decoder has found a text there"
        return b"".join((self._body[: value.start(1)], _encode(model), self._body[value.end() :]))


class _Members(Asked):
    """What any body asks for, from all its members."""

    def __init__(self, text: Text, read_as: bytes) -> None:
        """*read_as*: *text* in a form that strict readers accept, of the same length."""
        self._text = text
        self._read_as = read_as
        self._found = members(read_as)
        models: list[Raw | bytes] = []
        for name, value in self._values():
            if name == "model":
                models.append(value)
            elif name == "stream":
                self.stream = _is_true(value)
            elif name.lower() == "model":  # Go's decoder accepts any letter case
                raise ModelUnknown("the body spells `model` in another letter case")
        if models:
            _take(self, models)

    def _values(self) -> Iterator[tuple[str, Raw | bytes]]:
        if self._read_as is self._text.utf8:
            return ((name.text, value) for name, value in self._found.items())
        return (
            (member.name, self._text.utf8[member.start : member.end])
            for member in places(self._read_as, self._found)
        )

    def with_model(self, model: str) -> bytes:
        new, utf8 = _encode(model), self._text.utf8
        parts: list[bytes] = []
        at = 0
        for member in places(self._read_as, self._found):
            if member.name == "model":
                parts += (utf8[at : member.start], new)
                at = member.end
        return self._text.encoded(b"".join((*parts, utf8[at:])))


def read_json(body: bytes) -> Asked:
    """Read *body*. Raise ModelUnknown if the model is ambiguous."""
    try:
        if len(body) <= _SMALL and (at := _sole(body)) is not None:
            return _Sole(body, at)
    except UNREADABLE:  # or of another type
        pass
    try:
        return _Members(Text(body, "utf-8", b""), body)
    except TooMany:
        raise _too_many() from None
    except RecursionError:
        raise ModelUnknown("the body is nested too deeply") from None
    except UNREADABLE:
        return _read_tolerantly(body)


def _read_tolerantly(body: bytes) -> Asked:
    try:
        text = text_of(body)
        return _Members(text, strict(text.utf8))
    except msgspec.ValidationError:
        return NOTHING  # another value, which has no members
    except TooMany:
        raise _too_many() from None
    except UNREADABLE:
        raise ModelUnknown("the body is not valid JSON") from None


def _sole(body: bytes) -> int | None:
    """Return the position of `"model"` in *body*; -1: none; None: perhaps twice."""
    lower = body.lower()
    at = lower.find(b'"model"')
    if lower.find(b"\\u00") >= 0 or (at >= 0 and lower.find(b'"model"', at + 1) >= 0):
        return None  # an escape may also spell it
    return at if at < 0 or body.startswith(b"model", at + 1) else None


def _take(asked: Asked, models: list[Raw | bytes]) -> None:
    """Set the model of *asked* from the values of `model`."""
    names = {_name(value) for value in models}
    asked.model = _name(models[-1])
    asked.named = any(bytes(memoryview(value)[:5]) != b"null" for value in models)
    if len(names) > 1:
        asked.doubt = ModelUnknown("the body has `model` twice")
    elif asked.named and asked.model is None:
        asked.doubt = ModelUnknown("`model` is not a string, or is too long")


def _too_many() -> ModelUnknown:
    return ModelUnknown("the body has more than 1,000 members")


def _name(value: Raw | bytes) -> str | None:
    try:
        return _text(value) if len(memoryview(value)) <= LONGEST else None
    except UNREADABLE:
        return None


def _is_true(value: Raw | bytes) -> bool:
    """Whether servers read *value* as true: `true`, a number other than 0, some texts."""
    text = bytes(memoryview(value)[:LONGEST])
    if text in (b"true", b"false", b"null"):  # nearly always
        return text == b"true"
    return is_true(text[1:-1]) if text[:1] == b'"' else text[:1] in b"-123456789"
