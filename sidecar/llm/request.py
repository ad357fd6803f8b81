"""Read what a request's body asks for, and replace its model."""

from __future__ import annotations

import re
from typing import Final

from sidecar.errors import ModelUnknown
from sidecar.llm.asked import NOTHING, Asked
from sidecar.llm.asked_form import read_multipart, read_urlencoded
from sidecar.llm.asked_json import UNREADABLE, plain, read_json

__all__ = ["NOTHING", "Asked", "glance", "read", "worth_a_glance"]

_OBJECT: Final = re.compile(rb"[\xef\xbb\xbf\xff\xfe\0 \t\r\n]*+\{")
"""The beginning of an object, after a byte order mark and with the zeros of UTF-16 and UTF-32."""


def worth_a_glance(body: bytes, content_type: bytes) -> bool:
    """Whether *body* may be JSON. Many servers ignore its Content-Type."""
    # `in` would take ten times as long: it tries the bytes as a number first.
    return content_type.find(b"json") >= 0 or _is_json(body, content_type)


def glance(body: bytes) -> tuple[str | None, bool]:
    """Return the model and whether to stream, for a call whose route does not depend on the model.

    Invalid JSON and duplicate values are not noticed.
    """
    try:
        found = plain(body)
        return found.model, bool(found.stream)
    except UNREADABLE:
        return _closer_glance(body)


def _closer_glance(body: bytes) -> tuple[str | None, bool]:
    try:
        asked = read_json(body)
    except ModelUnknown:
        return None, False
    return asked.model, asked.stream


def read(body: bytes, content_type: bytes) -> Asked:
    """Read *body* in any format. Raise ModelUnknown if the model is ambiguous."""
    if content_type == b"application/json":  # nearly always
        return read_json(body)
    kind = content_type.lower()
    if kind.find(b"multipart/form-data") >= 0:
        return read_multipart(body, content_type)
    if _is_json(body, content_type):
        return read_json(body)
    return read_urlencoded(body) if kind.find(b"x-www-form-urlencoded") >= 0 else NOTHING


def _is_json(body: bytes, content_type: bytes) -> bool:
    """Whether the type is JSON, or the body begins like an object, in any encoding."""
    if content_type.lower().find(b"json") >= 0:
        return True
    return _OBJECT.match(body) is not None
