"""Valid messages, built from parts, next to what a parser must say of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

from sidecar.http.message import CHUNKED, CLOSE_DELIMITED, NO_BODY
from tests.http.events import Message, Pair

LURE = b"GET /smuggled HTTP/1.1\r\nHost: b\r\n\r\n"
NAMES = st.sampled_from([b"X-A", b"x-a", b"X-Drop", b"X-Stainless-Retry-Count", b"X-!#$&'*+.^_`|~"])
VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f")
    | st.just("\t"),
    max_size=12,
).map(lambda text: text.encode("latin-1").translate(None, bytes(range(0x7F, 0xA0))).strip(b" \t"))
HEADERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)
SPACE = st.sampled_from([b"", b" ", b"\t ", b"  "])
BODIES = st.one_of(st.binary(max_size=40), st.just(LURE), st.just(b"0\r\n\r\n" + LURE))
EXTENSIONS = st.sampled_from([b"", b";a", b";a=b", b';a="b\\"; c";d'])
TARGETS = st.sampled_from(
    [
        (b"/", b"/", b""),
        (b"/v1/chat/completions?a=b&c=%20", b"/v1/chat/completions?a=b&c=%20", b""),
        (b"http://B:80/x", b"/x", b"b:80"),
        (b"http://b?y", b"/?y", b"b"),
    ]
)
H2C: list[Pair] = [
    (b"Connection", b"Upgrade, HTTP2-Settings"),
    (b"Upgrade", b"h2c"),
    (b"HTTP2-Settings", b"AAMAAABkAAQAAP__"),
]


@dataclass
class Body:
    raw: bytes
    data: bytes
    framing: int
    headers: list[Pair]
    trailers: list[Pair]


@st.composite
def lines(draw: st.DrawFn, headers: list[Pair]) -> bytes:
    """*headers* on the wire, with optional white space around their values."""
    parts = []
    for name, value in headers:
        after = b"" if name == b"Transfer-Encoding" else draw(SPACE)  # see guard._trimmed
        parts.append(b"%b:%b%b%b\r\n" % (name, draw(SPACE), value, after))
    return b"".join(parts)


@st.composite
def fixed_bodies(draw: st.DrawFn) -> Body:
    data = draw(BODIES)
    zeros = b"0" * draw(st.integers(0, 3))
    return Body(data, data, len(data), [(b"Content-Length", zeros + b"%d" % len(data))], [])


@st.composite
def chunked_bodies(draw: st.DrawFn) -> Body:
    chunks = draw(st.lists(BODIES.filter(bool), max_size=4))
    size = draw(st.sampled_from([b"%x", b"%X", b"00%x"]))
    raw = b"".join(
        b"%b%b\r\n%b\r\n" % (size % len(chunk), draw(EXTENSIONS), chunk) for chunk in chunks
    )
    trailers = draw(HEADERS)
    raw += b"0%b\r\n%b\r\n" % (draw(EXTENSIONS), draw(lines(trailers)))
    headers = [(b"Transfer-Encoding", draw(st.sampled_from([b"chunked", b"Chunked"])))]
    return Body(raw, b"".join(chunks), CHUNKED, headers, trailers)


NOTHING = Body(b"", b"", NO_BODY, [], [])


def start_and_options(draw: st.DrawFn, minor: int, last: bool) -> list[Pair]:
    """Says whether the connection stays, where the version doesn't."""
    if last != (minor == 0):
        return [(b"Connection", b"close" if last else b"Keep-Alive")]
    return draw(st.sampled_from([[], [(b"Connection", b"x-drop")]]))


@st.composite
def requests_built(draw: st.DrawFn, last: bool = False) -> tuple[bytes, Message]:
    minor = draw(st.sampled_from([1, 1, 1, 0]))
    kinds = [st.just(NOTHING), fixed_bodies()] + [chunked_bodies()] * minor
    body = draw(st.one_of(kinds))
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"DELETE", b"M-SEARCH", b"QUERY"]))
    written, target, authority = draw(TARGETS)
    host = draw(st.sampled_from([b"a", b"API.a:443", b"[::1]:80"]))
    options = start_and_options(draw, minor, last)
    upgrade = H2C if minor and not last and draw(st.booleans()) else []
    extra = draw(st.permutations([(b"hOst", host), *body.headers, *draw(HEADERS)]))
    headers = [*extra, *options, *upgrade]
    raw = b"%b %b HTTP/1.%d\r\n%b\r\n" % (method, written, minor, draw(lines(headers)))
    start = (method, target, authority or host.lower())
    message = Message(start, headers, body.framing, not last, minor=minor)
    message.body, message.trailers = body.data, body.trailers
    return raw + body.raw, message


@st.composite
def pipelines(draw: st.DrawFn) -> tuple[bytes, list[Message]]:
    """Several requests on one connection. The last may ask to close it; then rubbish follows."""
    built = draw(st.lists(requests_built(), max_size=4))
    rubbish = b""
    if not built or draw(st.booleans()):
        built.append(draw(requests_built(last=True)))
        rubbish = draw(st.sampled_from([b"", LURE, b"\x00"]))
    return b"".join(raw for raw, _ in built) + rubbish, [message for _, message in built]


@dataclass
class Exchange:
    method: bytes
    raw: bytes
    messages: list[Message]
    """Interim replies and the final one."""
    until_close: bool = False


@st.composite
def exchanges(draw: st.DrawFn, last: bool = False) -> Exchange:
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD"]))
    interims = [
        draw(heads(st.sampled_from([100, 102, 103, 150]))) for _ in range(draw(st.integers(0, 2)))
    ]
    status = draw(st.sampled_from([200, 200, 200, 201, 204, 304, 404, 500, 599, 999]))
    body = draw(st.one_of(fixed_bodies(), chunked_bodies()))
    if last and draw(st.booleans()):
        body = Body(body.raw, body.raw, CLOSE_DELIMITED, [], [])
    options = [(b"Connection", b"Close")] if last and body.framing != CLOSE_DELIMITED else []
    raw, message = draw(heads(st.just(status), body.headers + options))
    message.framing, message.keep_alive, message.trailers = body.framing, not last, body.trailers
    message.body = body.data
    if method == b"HEAD" or status in {204, 304}:
        if body.framing == CLOSE_DELIMITED:
            message.keep_alive = True
        message.framing, message.body, message.trailers = NO_BODY, b"", []
    else:
        raw += body.raw
    whole = b"".join(raw for raw, _ in interims) + raw
    messages = [message for _, message in interims] + [message]
    return Exchange(method, whole, messages, message.framing == CLOSE_DELIMITED)


@st.composite
def heads(
    draw: st.DrawFn, statuses: st.SearchStrategy[int], fixed: list[Pair] | None = None
) -> tuple[bytes, Message]:
    status = draw(statuses)
    reason = draw(st.sampled_from([b" OK", b" ", b"", b" Not \xe9 \t Found"]))
    headers = draw(st.permutations([*(fixed or []), *draw(HEADERS)]))
    raw = b"HTTP/1.1 %d%b\r\n%b\r\n" % (status, reason, draw(lines(headers)))
    return raw, Message((status, reason[1:]), headers)


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """*data* as reads: byte by byte, cut behind some lines (as writers do), or anywhere."""
    places = st.integers(0, len(data))
    lines = [match.end() for match in re.finditer(b"\r\n", data)]
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return [data[at : at + 1] for at in range(len(data))]
    if kind < 5 and lines:
        places = st.sampled_from(lines)
    cuts = sorted(draw(st.lists(places, max_size=12)))
    reads = [data[a:b] for a, b in pairwise([0, *cuts, len(data)])]
    return [read for read in reads if read]
