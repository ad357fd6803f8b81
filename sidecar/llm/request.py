"""What a request's body says of the call, and how another model is asked for instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec import Raw

from sidecar.errors import ModelUnknown
from sidecar.llm.form import BadForm, Field, fields
from sidecar.llm.members import TooMany, members, places
from sidecar.llm.tolerant import Text, strict, text_of

_LONGEST: Final = 4096
"""Bytes of a model's name. What is longer is none, and not worth comparing."""
_TRUE: Final = ("true", "t", "yes", "y", "on", "1")
"""Texts that servers take for true where they expect a boolean, in any case (as pydantic does)."""
_SMALL: Final = 4096
"""Bytes of a body in which it costs less to look for a second `model` than at all members."""
_VALUE: Final = re.compile(
    rb'"model"[ \t\r\n]*+:[ \t\r\n]*+("[^"\\]*+(?:\\.[^"\\]*+)*+")', re.DOTALL
)
_OBJECT: Final = re.compile(rb"[\xef\xbb\xbf\xff\xfe\0 \t\r\n]*+\{")
"""How an object begins, behind a byte order mark and with the zeros of UTF-16 and UTF-32."""
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Plain(msgspec.Struct):
    """What nearly every body has."""

    model: str | None = None
    stream: bool | None = None


_plain: Final = msgspec.json.Decoder(_Plain).decode
_text: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode


class Asked:
    """The model that was asked for, where the body names one, and whether the reply streams."""

    model: str | None = None
    stream = False
    named = False
    """Whether the body names a model, be it one that we can't read."""
    doubt: ModelUnknown | None = None
    """Why no route may go by `model`: servers read what the body says in different ways."""

    def with_model(self, model: str) -> bytes:
        """The body with *model* in every place where it names one, all other bytes as they were.

        They stay since a signature or a provider's prompt cache may depend on them. Only for what
        `read` returned.
        """
        raise NotImplementedError


NOTHING: Final = Asked()


def worth_a_glance(body: bytes, content_type: bytes) -> bool:
    """Whether *body* may be JSON. Many servers read one that is not called so."""
    # `in` would take ten times as long: it tries the bytes as a number first.
    return content_type.find(b"json") >= 0 or _is_json(body, content_type)


def glance(body: bytes) -> tuple[str | None, bool]:
    """The model and whether to stream, for a call whose route does not depend on the model.

    What is no JSON, or not the last of several values, is not noticed.
    """
    try:
        found = _plain(body)
        return found.model, bool(found.stream)
    except _UNREADABLE:
        return _closer_glance(body)


def _closer_glance(body: bytes) -> tuple[str | None, bool]:
    try:
        asked = _read_json(body)
    except ModelUnknown:
        return None, False
    return asked.model, asked.stream


def read(body: bytes, content_type: bytes) -> Asked:
    """What *body* asks for, whatever its form. Raise ModelUnknown where that can't be told."""
    if content_type == b"application/json":  # nearly always
        return _read_json(body)
    if content_type.lower().startswith(b"multipart/form-data"):
        return _read_form(body, content_type)
    return _read_json(body) if _is_json(body, content_type) else NOTHING


def _is_json(body: bytes, content_type: bytes) -> bool:
    """Whether it is called JSON, or begins as an object does, in whatever encoding."""
    if content_type.lower().find(b"json") >= 0:
        return True
    return _OBJECT.match(body) is not None


# -- JSON --


class _Sole(Asked):
    """Of a small body that has `"model"` once, so that no more need be known of it."""

    def __init__(self, body: bytes, at: int) -> None:
        """*at*: where `"model"` stands, or -1."""
        found = _plain(body)
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
    """Of any body: all its members are looked at."""

    def __init__(self, text: Text, read_as: bytes) -> None:
        """*read_as* is *text* as a strict reader takes it, of the same length."""
        self._text = text
        self._read_as = read_as
        self._found = members(read_as)
        models: list[Raw | bytes] = []
        for name, value in self._values():
            if name == "model":
                models.append(value)
            elif name == "stream":
                self.stream = _is_true(value)
            elif name.lower() == "model":  # Go's decoder takes any letters
                raise ModelUnknown("the body has `model` in other letters")
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


def _read_json(body: bytes) -> Asked:
    try:
        if len(body) <= _SMALL and (at := _sole(body)) is not None:
            return _Sole(body, at)
    except _UNREADABLE:  # or of another type
        pass
    try:
        return _Members(Text(body, "utf-8", b""), body)
    except TooMany:
        raise _too_many() from None
    except RecursionError:
        raise ModelUnknown("the body is nested too deeply") from None
    except _UNREADABLE:
        return _read_tolerantly(body)


def _read_tolerantly(body: bytes) -> Asked:
    try:
        text = text_of(body)
        return _Members(text, strict(text.utf8))
    except msgspec.ValidationError:
        return NOTHING  # another value, which has no members
    except TooMany:
        raise _too_many() from None
    except _UNREADABLE:
        raise ModelUnknown("the body is not JSON that can be read") from None


def _sole(body: bytes) -> int | None:
    """Where `"model"` stands in *body*, -1 if nowhere. None where it may be there twice."""
    lower = body.lower()
    at = lower.find(b'"model"')
    if lower.find(b"\\u00") >= 0 or (at >= 0 and lower.find(b'"model"', at + 1) >= 0):
        return None  # an escape may spell it as well
    return at if at < 0 or body.startswith(b"model", at + 1) else None


def _take(asked: Asked, models: list[Raw | bytes]) -> None:
    """Let *asked* have what the values of `model` say."""
    names = {_name(value) for value in models}
    asked.model = _name(models[-1])
    asked.named = any(bytes(memoryview(value)[:5]) != b"null" for value in models)
    if len(names) > 1:
        asked.doubt = ModelUnknown("the body has `model` twice")
    elif asked.named and asked.model is None:
        asked.doubt = ModelUnknown("`model` is not a text, or far too long")


def _too_many() -> ModelUnknown:
    return ModelUnknown("the body has more than 1,000 members")


def _name(value: Raw | bytes) -> str | None:
    try:
        return _text(value) if len(memoryview(value)) <= _LONGEST else None
    except _UNREADABLE:
        return None


def _is_true(value: Raw | bytes) -> bool:
    """Whether a server takes *value* for true: `true`, another number than 0, some texts."""
    if not value:
        return False
    text = bytes(memoryview(value)[:_LONGEST])
    if text in (b"true", b"false", b"null"):  # nearly always
        return text == b"true"
    if text[:1] == b'"':
        return text[1:-1].decode("latin-1").lower() in _TRUE
    return text[:1] in b"-123456789"


# -- forms --


class _Form(Asked):
    def __init__(self, body: bytes, content_type: bytes) -> None:
        self._body = body
        self._models: list[Field] = []
        texts = set()
        for field in fields(body, content_type):
            value = body[field.start : min(field.end, field.start + _LONGEST + 1)]
            if field.name == b"model":
                if not field.plain or len(value) > _LONGEST:
                    raise BadForm("its `model` is no plain text")
                self._models.append(field)
                texts.add(value.decode("utf-8"))
            elif field.name == b"stream":
                self.stream = value.decode("latin-1").lower() in _TRUE
        self.named = bool(texts)
        if len(texts) == 1:
            self.model = texts.pop()
        elif texts:
            self.doubt = ModelUnknown("the form has `model` twice")

    def with_model(self, model: str) -> bytes:
        parts: list[bytes] = []
        at = 0
        for field in self._models:
            parts += (self._body[at : field.start], model.encode())
            at = field.end
        return b"".join((*parts, self._body[at:]))


def _read_form(body: bytes, content_type: bytes) -> Asked:
    try:
        return _Form(body, content_type)
    except (BadForm, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, BadForm) else "its `model` is no plain text"
        raise ModelUnknown(f"the form can't be read: {reason}") from None
