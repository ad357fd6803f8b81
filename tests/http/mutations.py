"""Messages that are nearly valid: a plain one with a few things done to it."""

from __future__ import annotations

from hypothesis import strategies as st

REQUEST_LINES = [
    b"GET / HTTP/1.1",
    b"POST /a?b=c HTTP/1.1",
    b"HEAD http://B:80/c HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"OPTIONS http://b HTTP/1.1",
    b"GET / HTTP/1.0",
    b"GET  / HTTP/1.1",
    b"GET /  HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"GET / HTTP/2.0",
    b"GET / RTSP/1.1",
    b"GET /a#b HTTP/1.1",
    b"CONNECT a:1 HTTP/1.1",
]
STATUS_LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 \xe9",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 500  \t",
    b"HTTP/1.1 999 ",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK",
    b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK",
    b"HTTP/1.1 104 Interim",
    b"HTTP/1.1 101 Switching",
    b"HTTP/1.1 099 OK",
    b"HTTP/1.1  200 OK",
    b"HTTP/1.1 200 O\x00K",
    b"RTSP/1.1 200 OK",
]
LENGTHS = [b"5", b"0", b"05", b"5 ", b"5\t", b"+5", b"5,5", b"5 5", b"0x5", b"", b"\xb25", b"5;"]
CODINGS = [
    *(b"chunked", b"Chunked", b"chunked ", b"chunked\t", b"\tchunked", b"chunked,", b",chunked"),
    *(b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"xchunked", b"chunked;a"),
]
OPTIONS = [b"close", b"keep-alive", b"Upgrade", b"upgrade, close", b"close\t", b"x, Close", b",,"]
HOSTS = [b"a", b"A:80", b"[::1]:1", b"", b"a,b", b"a b", b"u@a", b"a/b"]
ODD_LINES = [
    *(b" A: b", b"\tA: b", b"A : b", b"A\t: b", b"A b: c", b": b", b"A", b":", b"A:", b"A:b\nB:c"),
    *(b"A: b\rB: c", b"A: \x00", b"A: \x01", b"A: \x7f", b"A: \x0b", b"A: \xff", b"A\xe9: b"),
    *(b"Expect: 100-continue", b"Upgrade: h2c", b"Upgrade: websocket", b"Trailer: A", b"TE: x"),
    *(b"X-A: 1", b"x-a: 2", b"A: b ", b"A:  \t b\tc \t", b'A": b', b"A\x00: b", b"\xa0A: b"),
]
BODIES = [
    b"",
    b"hello",
    b"helloGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"5\r\nhello\r\n0\r\n\r\n",
    b"5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n",
    b"05\r\nhello\r\n00\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    b"3\r\nhel\r\n2;a\r\nlo\r\n0;b\r\nA: b\r\nA:\r\n\r\n",
    b"5 \r\nhello\r\n0\r\n\r\n",
    b"5\nhello\n0\n\n",
    b"5\r\nhello0\r\n\r\n",
    b"+5\r\nhello\r\n0\r\n\r\n",
    b"0x5\r\nhello\r\n0\r\n\r\n",
    b"5\r\nhello\r\n0\r\nA : b\r\n\r\n",
    b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
]
NASTY = [bytes([code]) for code in b'\x00\x01\t\n\x0b\x0c\r\x1f !"#,:;@\\\x7f\x80\xa0\xff05aA']


def field(name: bytes, values: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda space, value: name + b":" + space + value,
        st.sampled_from([b" ", b" ", b"", b"\t", b"  "]),
        st.sampled_from(values),
    )


FRAMING = field(b"Content-Length", LENGTHS) | field(b"Transfer-Encoding", CODINGS)
SOUND = st.sampled_from([b"Content-Length: 5", b"Transfer-Encoding: chunked"])
EXTRA = FRAMING | field(b"Connection", OPTIONS) | st.sampled_from(ODD_LINES)


@st.composite
def mutated(draw: st.DrawFn, starts: list[bytes], hosts: bool) -> bytes:
    start = draw(st.just(starts[0]) | st.just(starts[1]) | st.sampled_from(starts))
    lines = [b"Host: a"] if hosts else []
    if draw(st.integers(0, 2)):
        lines.append(draw(SOUND | FRAMING))
    lines += draw(st.lists(EXTRA, max_size=2))
    if hosts and draw(st.integers(0, 9)) == 0:
        lines[draw(st.integers(0, 0))] = draw(field(b"Host", HOSTS))
    if draw(st.integers(0, 9)) == 0 and lines:
        lines.append(draw(st.sampled_from(lines)))
    lines = draw(st.permutations(lines))
    raw = b"\r\n".join([start, *lines, b"", b""]) + draw(st.sampled_from(BODIES))
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(raw)))
        gone = draw(st.integers(0, 1))
        raw = raw[:at] + draw(st.sampled_from([*NASTY, b""])) + raw[at + gone :]
    return raw


def near_requests() -> st.SearchStrategy[bytes]:
    return mutated(REQUEST_LINES, hosts=True)


def near_replies() -> st.SearchStrategy[bytes]:
    return mutated(STATUS_LINES, hosts=False)
