"""The fields of a form, in both of its encodings: uploads for transcription, image edits.

multipart/form-data is RFC 7578, application/x-www-form-urlencoded the URL standard's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

_MOST: Final = 1000
"""Parts. A form has some twenty."""
_LONGEST_HEAD: Final = 8 * 1024
"""Bytes of a part's head."""
_BOUNDARY: Final = re.compile(
    rb';[ \t]*boundary=(?:"([^"\\]{1,70})"|([^\s;,"]{1,70}))', re.IGNORECASE
)
"""RFC 2046, section 5.1.1: at most 70 characters."""
_HEAD: Final = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*+(?:\r\n|\Z))+")
_DISPOSITION: Final = re.compile(
    rb"^content-disposition:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
_PLAIN: Final = re.compile(
    rb"""form-data(?:;[ \t]*+[A-Za-z0-9*-]++=
        (?:"(?:[^"\\]|\\.)*"|[!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+)*;?""",
    re.IGNORECASE | re.VERBOSE,
)
"""RFC 6266, section 4.1, in the form that all servers read alike."""
_PARAMETER: Final = re.compile(rb""";[ \t]*([A-Za-z0-9*-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))""")
_CODED: Final = re.compile(
    rb"^content-transfer-encoding:[ \t]*(?!7bit|8bit|binary)", re.IGNORECASE | re.MULTILINE
)


class BadForm(ValueError):
    """The form is malformed, or servers read it differently."""


class Field(NamedTuple):
    """A part of a form, and the position of its value."""

    name: bytes
    start: int
    end: int
    plain: bool
    """Whether it is plain text: not a file, and without a transfer encoding."""


def pairs(body: bytes) -> Iterator[Field]:
    """Yield the fields of an urlencoded *body*; values are still percent-encoded."""
    if body.find(b";") >= 0:
        raise BadForm("some servers read its `;` as `&`")
    at = 0
    for _ in range(_MOST):
        end = body.find(b"&", at)
        end = len(body) if end < 0 else end
        name, equals, _ = body[at:end].partition(b"=")
        yield Field(from_url(name), at + len(name) + len(equals), end, bool(equals))
        at = end + 1
        if at > len(body):
            return
    raise BadForm(f"it has more than {_MOST} fields")


def from_url(text: bytes) -> bytes:
    """Decode *text* from a URL or an urlencoded form."""
    return unquote_to_bytes(text.replace(b"+", b" "))


def fields(body: bytes, content_type: bytes) -> Iterator[Field]:
    """Yield the parts of *body*. Raise BadForm if it is malformed or ambiguous."""
    found = _BOUNDARY.findall(content_type)
    if len(found) != 1:
        raise BadForm("it does not name its boundary exactly once")
    delimiter = b"\r\n--" + (found[0][0] or found[0][1])
    if not body.startswith(delimiter[2:]):
        raise BadForm("it does not begin with its boundary")
    at = len(delimiter) - 2
    for count in range(1, _MOST + 1):
        if body.startswith(b"--", at):
            if body.count(delimiter[2:]) != count:  # some servers accept a lone line feed before it
                raise BadForm("its boundary also occurs elsewhere")
            return
        head = body.find(b"\r\n\r\n", at, at + _LONGEST_HEAD)
        end = body.find(delimiter, head + 2)
        if head < 0 or end < head + 4 or not body.startswith(b"\r\n", at):
            raise BadForm("a part is not complete")
        yield _field(body[at + 2 : head], head + 4, end)
        at = end + len(delimiter)
    raise BadForm(f"it has more than {_MOST} parts")


def _field(head: bytes, start: int, end: int) -> Field:
    lines = _DISPOSITION.findall(head)
    if len(lines) != 1 or not _HEAD.fullmatch(head) or not _PLAIN.fullmatch(lines[0]):
        raise BadForm("the name of a part is missing or ambiguous")
    parameters = [(key.lower(), one or other) for key, one, other in _PARAMETER.findall(lines[0])]
    keys = [key for key, _ in parameters]
    name = dict(parameters).get(b"name", b"\\")
    # Some servers keep escapes literally, others end the value at the quote.
    hidden = b"\\" in name or (b"\\" in lines[0] and b"model" in lines[0].lower())
    if keys.count(b"name") != 1 or b"name*" in keys or hidden:
        raise BadForm("the name of a part is missing or ambiguous")
    plain = not _CODED.search(head) and not {b"filename", b"filename*"} & set(keys)
    return Field(name, start, end, plain)
