"""JSON that strict readers refuse and many servers accept: other encodings, half an emoji, NaN.

Python's `json` (most model servers) accepts UTF-16 and UTF-32, a byte order mark, NaN and Infinity,
and escapes of lone surrogates, which programs write when they cut a text by its length.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_MARKS: Final = (
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"\xef\xbb\xbf", "utf-8"),
)
"""Byte order marks. The longer ones come first: UTF-32's begins with UTF-16's."""
_SAME_LENGTH: Final = (
    (b"\\\\", b"__"),  # first, so that every remaining backslash begins an escape
    (b"\\ud", b"\\u4"),
    (b"\\uD", b"\\u4"),
    (b"-Infinity", b"-11111111"),
    (b"Infinity", b"11111111"),
    (b"-NaN", b"-nan"),  # which no server accepts
    (b"NaN", b"111"),
)
"""Replacements that strict readers accept. None creates a `model`."""


class Text(NamedTuple):
    """A text with its original encoding."""

    utf8: bytes
    encoding: str
    mark: bytes
    """Its byte order mark, or nothing."""

    def encoded(self, utf8: bytes) -> bytes:
        """Encode another text like this one."""
        if self.encoding == "utf-8":
            return self.mark + utf8
        text = utf8.decode("utf-8", "surrogatepass")
        return self.mark + text.encode(self.encoding, "surrogatepass")


def text_of(body: bytes) -> Text:
    """Decode *body* from any encoding of Unicode. Raise UnicodeDecodeError."""
    encoding, mark = _encoding(body)
    if encoding == "utf-8":
        return Text(body[len(mark) :] if mark else body, encoding, mark)
    text = body[len(mark) :].decode(encoding, "surrogatepass")
    return Text(text.encode("utf-8", "surrogatepass"), encoding, mark)


def strict(utf8: bytes) -> bytes:
    """Return *utf8* with replacements for the values that strict readers refuse.

    Each replacement has the same length, so that positions stay the same.
    """
    for there, instead in _SAME_LENGTH:
        if there in utf8:
            utf8 = utf8.replace(there, instead)
    return utf8


def _encoding(body: bytes) -> tuple[str, bytes]:
    """Return encoding and mark. JSON begins with ASCII, whose zeros show its width (RFC 4627)."""
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return encoding, mark
    zeros = bytes(byte == 0 for byte in body[:4])
    if zeros.startswith(b"\1\1\1\0"):
        return "utf-32-be", b""
    if zeros.startswith(b"\0\1\1\1"):
        return "utf-32-le", b""
    if zeros.startswith(b"\1\0"):
        return "utf-16-be", b""
    return ("utf-16-le" if zeros.startswith(b"\0\1") else "utf-8"), b""
