"""JSON that strict readers refuse and many servers take: other encodings, half an emoji, NaN.

Python's `json` (most model servers) takes UTF-16 and UTF-32, a byte order mark, NaN and Infinity,
and escapes of lone surrogates, which every program writes that cuts a text by its length.
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
    (b"\\\\", b"__"),  # first, so that no backslash is left that does not begin an escape
    (b"\\ud", b"\\u4"),
    (b"\\uD", b"\\u4"),
    (b"-Infinity", b"-11111111"),
    (b"Infinity", b"11111111"),
    (b"-NaN", b"-nan"),  # which nobody takes
    (b"NaN", b"111"),
)
"""What is put in another's place, so that strict readers take it. No `model` comes to be by it."""


class Text(NamedTuple):
    """A text that came in some encoding."""

    utf8: bytes
    encoding: str
    mark: bytes
    """Its byte order mark, or nothing."""

    def encoded(self, utf8: bytes) -> bytes:
        """Another text, written as this one was."""
        if self.encoding == "utf-8":
            return self.mark + utf8
        text = utf8.decode("utf-8", "surrogatepass")
        return self.mark + text.encode(self.encoding, "surrogatepass")


def text_of(body: bytes) -> Text:
    """*body* as UTF-8, whatever encoding of Unicode it begins in. Raise UnicodeDecodeError."""
    encoding, mark = _encoding(body)
    if encoding == "utf-8":
        return Text(body[len(mark) :] if mark else body, encoding, mark)
    text = body[len(mark) :].decode(encoding, "surrogatepass")
    return Text(text.encode("utf-8", "surrogatepass"), encoding, mark)


def strict(utf8: bytes) -> bytes:
    """*utf8* with other values in place of those that strict readers refuse.

    Each is as long as it was: what stands in the one stands at the same place in the other.
    """
    for there, instead in _SAME_LENGTH:
        if there in utf8:
            utf8 = utf8.replace(there, instead)
    return utf8


def _encoding(body: bytes) -> tuple[str, bytes]:
    """Encoding and mark. JSON begins with ASCII, whose zeros tell the width (RFC 4627, 3)."""
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
