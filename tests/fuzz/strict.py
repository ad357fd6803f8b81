"""HTTP/1.1 requests by the letter, as a proxy must send them (RFC 9110, RFC 9112).

Written without a look at the sidecar's own parser, and stricter than an origin would be.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_REQUEST_LINE: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) (/[!-\"$-~\x80-\xff]*|\*) HTTP/1\.1"
)
_FIELD: Final = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*"
    rb"((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[\t ]*"
)
"""White space around a value stays as it came (RFC 9112, section 5.1)."""
_HOST: Final = re.compile(
    rb"(?:\[[0-9a-f:.]+(?:%25[\w.~-]+)?\]|[a-z0-9._~!$&'()*+,;=%-]+)(?::\d*)?"
)
_SIZE: Final = re.compile(rb"[0-9a-f]{1,16}")
_LENGTH: Final = re.compile(rb"0*\d{1,19}")
_OF_ONE_CONNECTION: Final = {
    *(b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"),
    b"expect",
}
"""Names that must not be sent on. `Connection`, `TE` and `Upgrade` have rules of their own."""

Pairs = list[tuple[bytes, bytes]]


class NotStrict(Exception):
    """What was forwarded breaks the grammar."""


class Request(NamedTuple):
    """A whole request."""

    method: bytes
    target: bytes
    fields: Pairs
    """Names are in lower case."""
    body: bytes
    trailers: Pairs
    chunked: bool
    raw: bytes

    def values(self, name: bytes) -> list[bytes]:
        """All values of the field *name*."""
        return [value for key, value in self.fields if key == name]


def read_request(data: bytes) -> Request | None:
    """The request that *data* begins with; None while it is not complete. Raise NotStrict."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        _check_beginning(data)
        return None
    first, *lines = head.split(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise NotStrict(f"request line {first!r}")
    fields = [_field(each) for each in lines]
    chunked, length = _framing(fields)
    _check_fields(fields)
    body = _chunked_body(rest) if chunked else _plain_body(rest, length)
    if body is None:
        return None
    content, trailers, size = body
    raw = data[: len(head) + 4 + size]
    return Request(line[1], line[2], fields, content, trailers, chunked, raw)


def _check_beginning(data: bytes) -> None:
    """An incomplete head must be good as far as it goes."""
    if re.search(rb"[^\r]\n|\r(?!\n|\Z)|\x00", data):
        raise NotStrict(f"a line end that is none, or NUL: {data!r}")


def _field(line: bytes) -> tuple[bytes, bytes]:
    found = _FIELD.fullmatch(line)
    if found is None:
        raise NotStrict(f"field line {line!r}")
    return found[1].lower(), found[2]


def _framing(fields: Pairs) -> tuple[bool, int]:
    """Whether the body is chunked, and its length if not. RFC 9112, section 6."""
    lengths = [value for name, value in fields if name == b"content-length"]
    codings = [value for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1:
        raise NotStrict(f"framed more than once: {lengths!r}, {codings!r}")
    if codings and codings != [b"chunked"]:
        raise NotStrict(f"transfer coding {codings[0]!r}")
    if lengths and not _LENGTH.fullmatch(lengths[0]):
        raise NotStrict(f"length {lengths[0]!r}")
    return bool(codings), int(lengths[0]) if lengths else 0


def _check_fields(fields: Pairs) -> None:
    """Host, and what belongs to one connection only (RFC 9110, section 7.6.1)."""
    hosts = [value for name, value in fields if name == b"host"]
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise NotStrict(f"hosts {hosts!r}")
    for name, value in fields:
        if name in _OF_ONE_CONNECTION or name.startswith(b"x-sidecar-"):
            raise NotStrict(f"{name!r} was sent on")
        if name == b"connection" and value not in (b"TE", b"Upgrade"):
            raise NotStrict(f"connection: {value!r}")
        if name == b"te" and value != b"trailers":
            raise NotStrict(f"te: {value!r}")
        if name == b"upgrade" and value != b"websocket":
            raise NotStrict(f"upgrade: {value!r}")


def _plain_body(data: bytes, length: int) -> tuple[bytes, Pairs, int] | None:
    return (data[:length], [], length) if len(data) >= length else None


def _chunked_body(data: bytes) -> tuple[bytes, Pairs, int] | None:
    """Content, trailers and size on the wire."""
    content: list[bytes] = []
    at = 0
    while (line := _line(data, at)) is not None:
        if not _SIZE.fullmatch(line):
            raise NotStrict(f"chunk size {line!r}")
        size, at = int(line, 16), at + len(line) + 2
        if size == 0:
            return _trailers(b"".join(content), data, at)
        if len(data) < at + size + 2:
            return None
        if data[at + size : at + size + 2] != b"\r\n":
            raise NotStrict(f"a chunk of {size} bytes does not end where it should")
        content.append(data[at : at + size])
        at += size + 2
    begun = data[at:].removesuffix(b"\r")
    if begun and not _SIZE.fullmatch(begun):
        raise NotStrict(f"chunk size {begun!r}")
    return None


def _trailers(content: bytes, data: bytes, at: int) -> tuple[bytes, Pairs, int] | None:
    trailers: Pairs = []
    while line := _line(data, at):
        trailers.append(_field(line))
        at += len(line) + 2
    return None if line is None else (content, trailers, at + 2)


def _line(data: bytes, at: int) -> bytes | None:
    """The line that begins *at*, without its end; None if it is not complete."""
    end = data.find(b"\r\n", at)
    return None if end < 0 else data[at:end]
