"""Messages that come whole in one read and say nothing unusual: most of them.

The callers and servers of a sidecar repeat themselves: the same few lines in every head. Each line
is looked at once, then known. Whatever is not plain (chunked, upgrades, repeated fields, split
reads, anything at all that this does not understand) is left to the parser, so that there is one
place where the hard cases are decided. What is accepted here, the parser accepts with the same
result; a test holds the two against each other.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.http.headers import NOT_FORWARDED_DOWNSTREAM, NOT_FORWARDED_UPSTREAM
from sidecar.http.limits import HeadLimits
from sidecar.http.message import Head, Header, RequestHead, ResponseHead
from sidecar.http.target import normal_host

# RFC 9110, section 5.5: a name is a token; a value is text without white space at its ends.
_FIELD: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
    rb"((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*"
).fullmatch
# RFC 9112, section 3, with an origin-form target of RFC 3986's characters.
_REQUEST: Final = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE|OPTIONS|HEAD) "
    rb"((/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?) HTTP/1\.1"
).fullmatch
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ([\t -~\x80-\xff]*)").fullmatch

_UNUSUAL: Final = frozenset({b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer"})
_UNIQUE: Final = frozenset({b"traceparent", b"tracestate", b"x-request-id"})
"""Fields with a new value in every message: not worth remembering."""
_NO_BODY: Final = frozenset({204, 304})
_LONGEST: Final = 256
_REMEMBERED: Final = 2048

Known = tuple[Header, tuple[bytes, bytes], bytes]
"""A header, its (lower-case name, value), and the line as it is sent on; empty if it is not."""


class _Lines:
    """Header lines that were found to be plain. Bounded in number and length."""

    def __init__(self, dropped: frozenset[bytes]) -> None:
        self._known: dict[bytes, Known] = {}
        self._dropped = dropped

    def fill(self, head: Head, lines: list[bytes]) -> bool:
        """Fill *head* from *lines*. False when they are not all plain, or one is repeated."""
        found = list(map(self._known.get, lines))
        if None in found:
            found = list(map(self._look, lines))
            if None in found:
                return False
        headers, pairs, sent = zip(*found, strict=False)
        head.headers = headers
        head.fields = dict(pairs)
        head.lines = b"".join(sent)
        return len(head.fields) == len(headers)

    def _look(self, line: bytes) -> Known | None:
        known = self._known.get(line)
        if known is not None:
            return known
        match = _FIELD(line)
        if match is None:
            return None
        name, value = match.groups()
        low = name.lower()
        if not _is_plain(low, value):
            return None
        sent = b"" if low in self._dropped else b"\r\n%b: %b" % (name, value)
        known = ((low, name, value), (low, value), sent)
        if len(line) <= _LONGEST and low not in _UNIQUE:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[line] = known
        return known


def _is_plain(low: bytes, value: bytes) -> bool:
    if low == b"content-length":
        return value.isdigit() and len(value) < 18
    if low == b"connection":
        return value.lower() == b"keep-alive"
    return low not in _UNUSUAL


_request_lines: Final = _Lines(NOT_FORWARDED_UPSTREAM)
_response_lines: Final = _Lines(NOT_FORWARDED_DOWNSTREAM)
_requests: Final[dict[bytes, tuple[bytes, bytes, bytes]]] = {}
_statuses: Final[dict[bytes, tuple[int, bytes]]] = {}


def whole_request(
    data: bytes, limits: HeadLimits, longest: int
) -> tuple[RequestHead, bytes] | None:
    """The request that *data* is, and its body; None when it is not exactly one, and plain.

    A head longer than *longest* bytes is not looked at, so that no limit of a size need be.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 or end > longest:
        return None
    lines = data[:end].split(b"\r\n")
    start = lines.pop(0)
    line = _requests.get(start) or _look_at_request(start)
    head = RequestHead()
    if line is None or not lines or not _request_lines.fill(head, lines):
        return None
    fields = head.fields
    length = int(fields.get(b"content-length", 0))
    host = normal_host(fields.get(b"host", b""))
    if (
        len(data) != end + 4 + length
        or not host
        or len(lines) > limits.header_count
        or (limits.body is not None and length > limits.body)
    ):
        return None
    head.method, head.target, head.path = line
    head.host = host
    head.body = length
    return head, data[end + 4 :]


def whole_response(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """The reply (not to HEAD) that *data* is, and its body; None when it is not one, and plain."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or end > 8192:
        return None
    lines = data[:end].split(b"\r\n")
    start = lines.pop(0)
    line = _statuses.get(start) or _look_at_status(start)
    head = ResponseHead()
    if line is None or not lines or len(lines) > 128 or not _response_lines.fill(head, lines):
        return None
    length = head.fields.get(b"content-length")
    if length is None or len(data) != end + 4 + int(length):
        return None
    head.status, head.reason = line
    head.body = int(length)
    return head, data[end + 4 :]


def _look_at_request(start: bytes) -> tuple[bytes, bytes, bytes] | None:
    match = _REQUEST(start)
    if match is None:
        return None
    line = (match[1], match[2], match[3])
    if len(start) <= _LONGEST:
        if len(_requests) >= _REMEMBERED:
            _requests.clear()
        _requests[start] = line
    return line


def _look_at_status(start: bytes) -> tuple[int, bytes] | None:
    match = _STATUS(start)
    if match is None or int(match[1]) in _NO_BODY:
        return None
    line = (int(match[1]), match[2])
    if len(start) <= _LONGEST and len(_statuses) < _REMEMBERED:
        _statuses[start] = line
    return line
