"""Read the heads of messages: bytes into `RequestHead` and `ResponseHead`, or an error.

RFC 9112, sections 3 to 7, without the leniency that it permits for old senders: a bare LF, folded
lines, white space before a colon and lists of lengths are refused. Whether two programs read a
message alike depends on its head, so there is one reader for all of them, and it is strict.
"""

from __future__ import annotations

import re
from typing import Final

from sidecar.errors import BadMessage, BadReply
from sidecar.http import semantics
from sidecar.http.fields import Fields, valid
from sidecar.http.headers import REPLY_FIELDS, REQUEST_FIELDS
from sidecar.http.limits import HeadLimits
from sidecar.http.message import CHUNKED, CLOSE_DELIMITED, NO_BODY, RequestHead, ResponseHead
from sidecar.http.target import resolve_target

METHODS: Final = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR"
    b" MKCOL MOVE NOTIFY OPTIONS PATCH POST PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH"
    b" SOURCE SUBSCRIBE TRACE UNBIND UNLINK UNLOCK UNSUBSCRIBE".split()
)
"""IANA's registry and some others. An unknown method may frame its messages in unknown ways, as
CONNECT does: 501 (RFC 9110, section 9.1)."""

_REQUEST_LINE: Final = re.compile(rb"([A-Z-]+) ([!-~]+) HTTP/(\d)\.(\d)").fullmatch
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: ([\t -~\x80-\xff]*))?").fullmatch
_WORD: Final = re.compile(rb"[^ \r\n]{,%d}" % (max(map(len, METHODS)) + 1)).match
bare_lf: Final = re.compile(rb"(?<!\r)\n").search
"""Finds a bare LF, which no valid head has."""
_LONGEST_LENGTH: Final = 19
"""Digits of a Content-Length, as in 2**63. `int` fails with thousands of leading zeros."""
_LONGEST_KNOWN: Final = 256
_KNOWN_LINES: Final = 256
_known_lines: Final[dict[bytes, tuple[bytes, bytes, int]]] = {}
"""Valid request lines: callers send the same few. Bounded."""


def read_request(head: RequestHead, data: bytes, limits: HeadLimits) -> None:
    """Fill *head* from *data*, without the empty line at its end.

    Raise BadMessage if it must not be forwarded; *head* then has the parts read before.
    """
    line, block = _parted(data)
    read_request_line(head, line, limits)
    if not valid(block):
        raise BadMessage("malformed header")
    head.fields = fields = Fields(block, REQUEST_FIELDS)
    known = fields.known
    _measure(fields, limits)
    head.body = _request_body(head, known)
    if limits.body is not None and head.body > limits.body:
        message = f"the body is longer than {limits.body} bytes"
        raise BadMessage(message, status=413, code="body_too_large")
    problem = resolve_target(head)
    if problem is not None:
        raise BadMessage(problem)
    head.keep_alive = semantics.persists(head)
    if b"upgrade" in known:
        head.upgrade = semantics.is_websocket(head)
    if b"expect" in known:
        head.expects_continue = semantics.expects_continue(head)


def read_response(data: bytes, limits: HeadLimits, to_head: bool) -> ResponseHead:
    """Read a response's head; *to_head*: it answers a HEAD request. Raise BadReply."""
    line, block = _parted(data)
    found = _STATUS_LINE(line)
    if found is None or len(line) > limits.header:
        raise BadReply("the reply is malformed: it does not begin with a status line")
    head = ResponseHead()
    head.minor, head.status, head.reason = int(found[1]), int(found[2]), found[3] or b""
    if not valid(block):
        raise BadReply("the reply is malformed: a header line is invalid")
    head.fields = fields = Fields(block, REPLY_FIELDS)
    try:
        _measure(fields, limits)
    except BadMessage as error:
        raise BadReply(error.message) from None
    head.body = _response_body(head, fields.known, to_head)
    head.keep_alive = head.body != CLOSE_DELIMITED and semantics.persists(head)
    return head


def _parted(data: bytes) -> tuple[bytes, bytes]:
    """Split *data* into the first line and the header lines, each after a CR LF."""
    at = data.find(b"\r\n")
    return (data, b"") if at < 0 else (data[:at], data[at:])


def read_request_line(head: RequestHead, line: bytes, limits: HeadLimits) -> None:
    """Fill method, target and version of *head* from *line*, without its CR LF.

    Raise BadMessage; the method is set even then, if it is valid.
    """
    known = _known_lines.get(line)
    if known is None or len(line) + 2 > limits.request_line:
        known = _check_request_line(head, line, limits)
    head.method, head.target, head.minor = known


def first_word(data: bytes | bytearray) -> bytes:
    """Return the method at the beginning of *data*, cut to the longest that is needed."""
    found = _WORD(data)
    return bytes(found[0]) if found else b""


def _check_request_line(
    head: RequestHead, line: bytes, limits: HeadLimits
) -> tuple[bytes, bytes, int]:
    """Return method, target and minor version (RFC 9112, section 3)."""
    method = head.method = first_word(line)
    if method not in METHODS:
        head.method = b""
        raise BadMessage("the method is unknown", status=501)
    if len(line) + 2 > limits.request_line and b"\n" not in line[: limits.request_line]:
        message = f"the request line is longer than {limits.request_line} bytes"
        raise BadMessage(message, status=414, code="request_line_too_long")
    found = _REQUEST_LINE(line)
    if found is None:
        raise BadMessage("malformed request line")
    version = found[3] + found[4]
    if version not in (b"11", b"10"):
        text = f"HTTP/{found[3].decode()}.{found[4].decode()} is not supported"
        raise BadMessage(text, status=505)
    if method == b"CONNECT":
        raise BadMessage(
            "this listener does not accept CONNECT; use a listener of mode forward", status=405
        )
    known = (method, found[2], int(found[4]))
    if len(line) <= _LONGEST_KNOWN:
        if len(_known_lines) >= _KNOWN_LINES:
            _known_lines.clear()
        _known_lines[line] = known
    return known


def _measure(fields: Fields, limits: HeadLimits) -> None:
    if fields.count > limits.header_count:
        raise BadMessage(
            f"more than {limits.header_count} headers", status=431, code="head_too_large"
        )
    size = len(fields.block)
    if size > limits.headers:
        raise BadMessage(
            f"headers are longer than {limits.headers} bytes", status=431, code="head_too_large"
        )
    if size > limits.header and max(map(len, fields.block.split(b"\r\n"))) + 2 > limits.header:
        raise BadMessage(
            f"a header is longer than {limits.header} bytes", status=431, code="head_too_large"
        )


def _request_body(head: RequestHead, known: dict[bytes, bytes]) -> int:
    """Return the framing of a request's body (RFC 9112, sections 6.1 to 6.3)."""
    length, codings = known.get(b"content-length"), known.get(b"transfer-encoding")
    if codings is None:
        return NO_BODY if length is None else _length(length)
    if length is not None or head.minor == 0:
        raise BadMessage("Transfer-Encoding with Content-Length, or in HTTP/1.0")
    names = [name.strip() for name in codings.lower().split(b",")]
    if b"chunked" in names[:-1] or b"" in names:
        raise BadMessage("chunked is not the last transfer coding")
    if names != [b"chunked"]:
        raise BadMessage("chunked is the only transfer coding supported", status=501)
    return CHUNKED


def _length(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _LONGEST_LENGTH:
        raise BadMessage("Content-Length is not a single number")
    return int(digits)


def _response_body(head: ResponseHead, known: dict[bytes, bytes], to_head: bool) -> int:
    """Return the framing of a response's body (RFC 9112, section 6.3, rules 1 to 8)."""
    length, codings = known.get(b"content-length"), known.get(b"transfer-encoding")
    if length is not None and (
        codings is not None or not length.isdigit() or len(length) > _LONGEST_LENGTH
    ):
        raise BadReply(
            "the reply's Content-Length is not a single number, or comes with Transfer-Encoding"
        )
    if head.status < 200:
        if head.status != 101 and (length is not None or codings is not None):
            raise BadReply("an interim reply has a body")  # RFC 9110, section 15.2
        return NO_BODY
    if to_head or head.status in {204, 304}:
        return NO_BODY
    if codings is not None:
        if head.minor == 0 or codings.lower() != b"chunked":
            raise BadReply("the reply's transfer coding is not chunked")
        return CHUNKED
    return CLOSE_DELIMITED if length is None else int(length)
