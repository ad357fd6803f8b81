"""Messages that come whole in one read and say nothing unusual: most of them.

The callers and servers of a sidecar repeat themselves: their heads differ in Content-Length, a
date, an id. A head that is known but for its Content-Length is not looked at again; in others each
line is looked at once, then known. Whatever is not plain (chunked, upgrades, repeated fields, split
reads, anything at all that this does not understand) is left to the parser, so that there is one
place where the hard cases are decided. What is accepted here, the parser accepts with the same
result; a test holds the two against each other.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Generic, NamedTuple, TypeVar

from sidecar.http.headers import NOT_FORWARDED_DOWNSTREAM, NOT_FORWARDED_UPSTREAM, SAID_TO_US
from sidecar.http.limits import HeadLimits
from sidecar.http.message import Head, Header, RequestHead, ResponseHead
from sidecar.http.target import normal_host

# RFC 9110, section 5.5: a name is a token; a value is text, here still with the white space at its
# end. Possessive, so that no byte is tried in two ways: its time is linear.
_FIELD: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([\t -~\x80-\xff]*+)"
).fullmatch
_LENGTH: Final = re.compile(rb"\r\n([Cc]ontent-[Ll]ength): (\d{1,17})(?=\r\n)").search
# RFC 9112, section 3, with an origin-form target of RFC 3986's characters.
_REQUEST: Final = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE|OPTIONS|HEAD) "
    rb"((/[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*)(?:\?[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*)?) HTTP/1\.1"
).fullmatch
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ([\t -~\x80-\xff]*)").fullmatch

_UNUSUAL: Final = frozenset(
    {b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer"}
)
_OPTIONS: Final = frozenset({b"connection", b"proxy-connection"})
"""Both may say that the connection closes: llhttp reads the second as it does the first."""
_UNIQUE: Final = frozenset(
    {b"traceparent", b"tracestate", b"x-request-id", b"request-id", b"cf-ray", b"idempotency-key"}
)
"""Fields with a new value in every message: nothing with them is worth remembering."""
_NO_BODY: Final = frozenset({204, 304})
_LONGEST_LINE: Final = 256
_LONGEST_HEAD: Final = 2048
_LINES: Final = 2048
_HEADS: Final = 256

Line = tuple[Header, tuple[bytes, bytes], bytes]
"""A header, its (lower-case name, value), and the line as it is sent on; empty if it is not."""

Start = TypeVar("Start")


class _Known(NamedTuple, Generic[Start]):
    """A head without its Content-Length. Shared by the messages that have it: never changed."""

    start: Start
    host: bytes | None
    """Lower-case; None if there is not a valid one."""
    headers: tuple[Header, ...]
    fields: dict[bytes, bytes]
    before: bytes
    """Lines as they are sent on, up to where Content-Length stood."""
    behind: bytes
    at: int
    """How many headers stand before it."""


class _Heads(Generic[Start]):
    """Heads and lines that were found to be plain. Bounded in number and length."""

    def __init__(self, dropped: frozenset[bytes], said_to_us: tuple[bytes, ...] = ()) -> None:
        self._dropped = dropped
        self._said_to_us = said_to_us
        self._heads: dict[tuple[bytes, bytes], _Known[Start]] = {}
        self._lines: dict[bytes, Line] = {}

    def find(self, before: bytes, behind: bytes) -> _Known[Start] | None:
        """The head that is *before*, a Content-Length and *behind*; None if it is not plain."""
        return self._heads.get((before, behind)) or self._read(before, behind)

    def _start(self, line: bytes) -> Start | None:
        raise NotImplementedError

    def _read(self, before: bytes, behind: bytes) -> _Known[Start] | None:
        lines = before.split(b"\r\n")
        start = self._start(lines.pop(0))
        at = len(lines)
        if behind:
            lines += behind[2:].split(b"\r\n")
        found = [self._lines.get(line) or self._look(line) for line in lines]
        plain = [line for line in found if line is not None]
        fields = dict([line[1] for line in plain])
        if start is None or not len(lines) == len(plain) == len(fields):
            return None
        headers = tuple([line[0] for line in plain])
        sent = [line[2] for line in plain]
        host = normal_host(fields.get(b"host", b""))
        known = _Known(start, host, headers, fields, b"".join(sent[:at]), b"".join(sent[at:]), at)
        if len(before) + len(behind) <= _LONGEST_HEAD and _UNIQUE.isdisjoint(fields):
            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[before, behind] = known
        return known

    def _look(self, line: bytes) -> Line | None:
        match = _FIELD(line)
        if match is None:
            return None
        name, value = match.groups()
        value = value.rstrip(b" \t")
        low = name.lower()
        if low in _UNUSUAL or (low in _OPTIONS and value.lower() != b"keep-alive"):
            return None
        dropped = low in self._dropped or low.startswith(self._said_to_us)
        sent = b"" if dropped else b"\r\n%b: %b" % (name, value)
        known = ((low, name, value), (low, value), sent)
        if len(line) <= _LONGEST_LINE and low not in _UNIQUE:
            if len(self._lines) >= _LINES:
                self._lines.clear()
            self._lines[line] = known
        return known


class _Requests(_Heads[tuple[bytes, bytes, bytes]]):
    def _start(self, line: bytes) -> tuple[bytes, bytes, bytes] | None:
        match = _REQUEST(line)
        return None if match is None else (match[1], match[2], match[3])


class _Responses(_Heads[tuple[int, bytes]]):
    def _start(self, line: bytes) -> tuple[int, bytes] | None:
        match = _STATUS(line)
        return None if match is None or int(match[1]) in _NO_BODY else (int(match[1]), match[2])


_requests: Final = _Requests(NOT_FORWARDED_UPSTREAM, (SAID_TO_US,))
_responses: Final = _Responses(NOT_FORWARDED_DOWNSTREAM, (SAID_TO_US,))


def whole_request(
    data: bytes, limits: HeadLimits, longest: int
) -> tuple[RequestHead, bytes] | None:
    """The request that *data* is, and its body; None when it is not exactly one, and plain.

    A head longer than *longest* bytes is not looked at, so that no limit of a size need be.
    """
    end = data.find(b"\r\n\r\n")
    if end < 0 or end > longest:
        return None
    length = _LENGTH(data, 0, end + 2)
    if length is None:
        known, size = _requests.find(data[:end], b""), 0
    else:
        known = _requests.find(data[: length.start()], data[length.end() : end])
        size = int(length[2])
    if known is None or len(data) != end + 4 + size:
        return None
    if (
        not known.host
        or len(known.headers) >= limits.header_count
        or (limits.body is not None and size > limits.body)
    ):
        return None
    head = RequestHead()
    head.method, head.target, head.path = known.start
    head.host = known.host
    head.body = size
    _fill(head, known, length)
    return head, data[end + 4 :]


def whole_response(data: bytes) -> tuple[ResponseHead, bytes] | None:
    """The reply (not to HEAD) that *data* is, and its body; None when it is not one, and plain."""
    end = data.find(b"\r\n\r\n")
    length = _LENGTH(data, 0, end + 2) if 0 <= end <= 8192 else None
    if length is None or len(data) != end + 4 + int(length[2]):
        return None
    known = _responses.find(data[: length.start()], data[length.end() : end])
    if known is None or len(known.headers) > 128:
        return None
    head = ResponseHead()
    head.status, head.reason = known.start
    head.body = int(length[2])
    _fill(head, known, length)
    return head, data[end + 4 :]


@lru_cache(_LINES)
def plain_chunk(length: int) -> tuple[tuple[bytes, ...], int]:
    """How a chunk of *length* bytes, framing and all, may begin, and how much data is in it.

    That is RFC 9112, section 7.1, with no more digits than needed and no extension; it ends with
    CR LF. There is no way to begin one that has less than three bytes of data.
    """
    for digits in range(1, 9):
        size = length - digits - 4
        if size > 2 and len(line := b"%x\r\n" % size) == digits + 2:
            return (line, line.upper()), size
    return (), 0


def _fill(head: Head, known: _Known[Start], length: re.Match[bytes] | None) -> None:
    head.fields = known.fields
    if length is None:
        head.headers = known.headers
        head.lines = known.before
    else:
        at, line = known.at, (b"content-length", length[1], length[2])
        head.headers = (*known.headers[:at], line, *known.headers[at:])
        head.lines = known.before + length[0] + known.behind
