"""What a form asks for, if it is unambiguous."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import quote_plus

from sidecar.errors import ModelUnknown
from sidecar.llm.asked import LONGEST, Asked, is_true
from sidecar.llm.form import BadForm, Field, fields, from_url, pairs


def read_multipart(body: bytes, content_type: bytes) -> Asked:
    """Read multipart/form-data. Raise ModelUnknown if the model is ambiguous."""
    return _read(body, fields(body, content_type), _as_it_is, str.encode)


def read_urlencoded(body: bytes) -> Asked:
    """Read an urlencoded form. Raise ModelUnknown if the model is ambiguous."""
    return _read(body, pairs(body), from_url, _to_url)


class _Form(Asked):
    """What a form in either encoding asks for."""

    def __init__(
        self,
        body: bytes,
        found: Iterable[Field],
        read: Callable[[bytes], bytes],
        write: Callable[[str], bytes],
    ) -> None:
        """*read* decodes and *write* encodes the values of the *found* fields."""
        self._body = body
        self._write = write
        self._models: list[Field] = []
        texts = set()
        for field in found:
            value = body[field.start : min(field.end, field.start + LONGEST + 1)]
            if field.name == b"model":
                if not field.plain or len(value) > LONGEST:
                    raise BadForm("its `model` is not plain text")
                self._models.append(field)
                texts.add(read(value).decode("utf-8"))
            elif field.name == b"stream":
                self.stream = is_true(value)
        self.named = bool(texts)
        if len(texts) == 1:
            self.model = texts.pop()
        elif texts:
            self.doubt = ModelUnknown("the form has `model` twice")

    def with_model(self, model: str) -> bytes:
        parts: list[bytes] = []
        at = 0
        for field in self._models:
            parts += (self._body[at : field.start], self._write(model))
            at = field.end
        return b"".join((*parts, self._body[at:]))


def _read(
    body: bytes,
    found: Iterable[Field],
    read: Callable[[bytes], bytes],
    write: Callable[[str], bytes],
) -> Asked:
    try:
        return _Form(body, found, read, write)
    except (BadForm, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, BadForm) else "its `model` is not plain text"
        raise ModelUnknown(f"the form can't be read: {reason}") from None


def _as_it_is(value: bytes) -> bytes:
    return value


def _to_url(text: str) -> bytes:
    return quote_plus(text).encode()
