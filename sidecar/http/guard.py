"""What both parsers share: collecting a head, its limits, and what chunked framing may cost."""

from __future__ import annotations

from typing import Final, NoReturn

from sidecar.http.limits import HeadLimits
from sidecar.http.message import Head, Header

_FRAMING_ALLOWANCE: Final = 16 * 1024
"""Bytes of chunk headers, extensions and trailers beyond 16 a chunk (as Go's net/http counts)."""
_SMALL: Final = 8 * 1024
"""A read this small can't break a usual limit of a size, so that heads in it are not measured."""
_NO_TRAILERS: Final = frozenset({b"connection", b"proxy-connection", b"transfer-encoding"})
"""RFC 9110, section 6.5.1. llhttp obeys them, and takes no further message after some."""
_LONGEST_LENGTH: Final = 20
"""Digits of 2**64, where llhttp stops. `int` gives up on thousands of leading zeros."""


class Guard:
    """Takes httptools' header events and holds what is read to *limits*."""

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self._small = min(_SMALL, limits.request_line, limits.header, limits.headers)
        self._trailers: list[Header] = []
        self._headers: list[Header] = self._trailers
        self._fields: dict[bytes, bytes] = {}
        self.in_head = False
        self._in_line = False
        self._unfinished = 0
        self._current = b""
        self._seen = 0
        self._earlier: list[bytes] = []
        self._excess = 0
        self._data = 0
        self._chunks = 0
        self._raw = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header, or a trailer once the head is complete."""
        low = name.lower()
        if value and value[-1] <= 32:
            value = _trimmed(low, value)
        if not self.in_head:
            self._trailers.append((low, name, value))
            return
        fields = self._fields
        if low in fields:
            if len(self._headers) >= self._limits.header_count:
                self._refuse_count()  # here too: joining many would take quadratic time
            value_so_far = fields[low]
            fields[low] = value_so_far + b", " + value
        else:
            fields[low] = value
        self._headers.append((low, name, value))

    def _begin(self, head: Head) -> None:
        self._headers = []
        head.headers = self._headers
        self._fields = head.fields
        self.in_head = self._in_line = True
        self._unfinished = 0

    def _keep_line(self) -> None:
        """Keep the reads that a head began in, as far as they may hold its first line."""
        if self._in_line:
            self._earlier.append(self._current[self._seen :])
            self._in_line = not self._headers

    def _saw(self, line: bytes) -> bool:
        """Whether *line*, which llhttp made out, was really spelled so.

        It also takes RTSP and ICE for HTTP, and several spaces for one. Each read is searched once,
        from where the last line was found.
        """
        if self._earlier:
            self._earlier.append(self._current)
            read = b"".join(self._earlier)
            self._earlier.clear()
            return line in read
        at = self._current.find(line, self._seen)
        self._seen = at + len(line)
        return at >= 0

    def _end_head(self, head: Head) -> None:
        """Check the sizes of a complete head."""
        self.in_head = False
        read = len(self._current)
        self._excess = -read  # what was read so far may be head: not framing's to answer for
        if self._unfinished or read > self._small:
            self._measure(self._headers)
        elif len(head.headers) > self._limits.header_count:
            self._refuse_count()

    def _take_trailers(self) -> list[Header]:
        trailers = self._trailers
        if trailers:
            self._measure(trailers)
            for low, name, _ in trailers:
                if low in _NO_TRAILERS:
                    message = f"a trailer is named {name.decode('ascii')}"
                    self._refuse(message, 400, "bad_request")
            self._trailers = []
        return trailers

    def _measure(self, headers: list[Header]) -> None:
        limits = self._limits
        if len(headers) > limits.header_count:
            self._refuse_count()
        total = 0
        for low, _, value in headers:
            size = len(low) + len(value) + 4
            if size > limits.header:
                self._refuse(
                    f"a header is longer than {limits.header} bytes", 431, "head_too_large"
                )
            total += size
        if total > limits.headers:
            self._refuse_headers()

    def _count_framing(self) -> None:
        """Bound what a chunked body may carry besides data, such as endless chunk extensions."""
        excess = self._excess + len(self._current) - self._data - 16 * self._chunks
        self._excess = excess if excess > 0 else 0
        self._data = self._chunks = 0
        if excess > _FRAMING_ALLOWANCE:
            self._refuse("chunked framing carries too much besides data", 400, "bad_request")

    def _length(self) -> int:
        """Content-Length, which llhttp has found to be one number."""
        digits = self._fields[b"content-length"]
        if len(digits) > _LONGEST_LENGTH:
            self._refuse("Content-Length is too long", 400, "bad_request")
        return int(digits)

    def _refuse_count(self) -> NoReturn:
        self._refuse(f"more than {self._limits.header_count} headers", 431, "head_too_large")

    def _refuse_headers(self) -> NoReturn:
        message = f"headers are longer than {self._limits.headers} bytes"
        self._refuse(message, 431, "head_too_large")

    def _refuse(self, message: str, status: int, code: str) -> NoReturn:
        raise NotImplementedError


def _trimmed(low: bytes, value: bytes) -> bytes:
    """*value* without trailing white space (RFC 9112, section 5), which llhttp keeps.

    It takes `chunked` with a tab behind it for another coding: so must we.
    """
    return value.rstrip(b" " if low == b"transfer-encoding" else b" \t")
