"""Any split of any valid byte stream parses the same, and the same bytes go on."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import BadMessage, BadReply
from sidecar.http import headers
from sidecar.http.limits import HeadLimits
from sidecar.http.message import CHUNKED, Header, RequestHead, ResponseHead
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from tests.http.events import Log, Message, Pair, feed_all, reply, requests
from tests.http.messages import LURE, Exchange, cut, exchanges, pipelines


def request_log(reads: list[bytes]) -> Log:
    log = Log()
    parser = RequestParser(log, HeadLimits())
    for read in reads:
        feed_all(parser, read)
    return log


@given(st.data(), pipelines())
def test_requests(data: st.DataObject, built: tuple[bytes, list[Message]]) -> None:
    raw, expected = built
    log = request_log(data.draw(cut(raw)))
    assert log.messages == expected
    for head, message in zip(log.heads, log.messages, strict=True):
        assert isinstance(head, RequestHead)
        check_forwarded_request(head, message)


@given(st.data(), st.lists(exchanges(), max_size=3), exchanges(last=True))
def test_replies(data: st.DataObject, kept: list[Exchange], last: Exchange) -> None:
    log = Log()
    parser = ResponseParser(log)
    for exchange in [*kept, last]:
        before = len(log.messages)
        parser.expect(exchange.method, False)
        for read in data.draw(cut(exchange.raw)):
            parser.feed(read)
        assert parser.end_of_stream() == exchange.until_close
        assert log.messages[before:] == exchange.messages
        for head, message in zip(log.heads[before:], log.messages[before:], strict=True):
            assert isinstance(head, ResponseHead)
            check_forwarded_reply(head, message, exchange.method)


def dropped(headers: list[Pair]) -> set[bytes]:
    """Independently of the code: what belongs to the connection that *headers* came on."""
    named = b",".join(value for name, value in headers if name.lower() == b"connection")
    tokens = {token.strip() for token in named.lower().split(b",")}
    return tokens | {b"connection", b"upgrade", b"transfer-encoding", b"host"}


def end_to_end(message: Message) -> list[Pair]:
    drops = dropped(message.headers)
    if message.start[0] == 204:  # RFC 9110, section 8.6
        drops.add(b"content-length")
    return [(name, value) for name, value in message.headers if name.lower() not in drops]


def triples(trailers: list[Pair] | None) -> list[Header]:
    return [(name.lower(), name, value) for name, value in trailers or []]


def framed(message: Message) -> tuple[bytes, bytes]:
    """The header line and the body to forward *message* with."""
    if message.framing != CHUNKED:
        return b"", message.body
    body = headers.chunk(message.body) if message.body else b""
    return headers.CHUNKED_LINE, body + headers.response_end(triples(message.trailers))


def check_forwarded_request(head: RequestHead, message: Message) -> None:
    line, body = framed(message)
    start = b"%b %b HTTP/1.1\r\nHost: %b" % (head.method, head.target, head.host)
    raw = start + headers.request_lines(head) + line + b"\r\n\r\n" + body
    (again,) = requests(raw)
    assert (again.start, again.framing) == (message.start, message.framing)
    assert end_to_end(again) == end_to_end(message)
    assert (again.body, again.trailers) == (message.body, message.trailers)


def check_forwarded_reply(head: ResponseHead, message: Message, method: bytes) -> None:
    line, body = framed(message)
    raw = headers.status_line(head) + headers.response_lines(head) + line + b"\r\n\r\n" + body
    *_, again = reply(raw, method=method)
    assert (again.start, again.framing) == (message.start, message.framing)
    assert end_to_end(again) == end_to_end(message)
    assert again.body == message.body


PIECES = st.one_of(
    st.binary(max_size=8),
    st.sampled_from(
        [
            b"GET / HTTP/1.1\r\n",
            b"POST http://a/ HTTP/1.0\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.1 101 \r\n",
            b"Host: a\r\n",
            b"Content-Length: 3\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"Connection: upgrade, close\r\n",
            b"Upgrade: websocket\r\n",
            b"Expect: 100-continue\r\n",
            b"\r\n",
            b"3\r\nabc\r\n",
            b"0\r\n",
            LURE,
        ]
    ),
)


@given(st.lists(PIECES, max_size=12), st.booleans())
def test_nothing_but_a_refusal_comes_of_garbage(pieces: list[bytes], joined: bool) -> None:
    reads = [b"".join(pieces)] if joined else pieces
    reads = [read for read in reads if read]
    try:
        requests(*reads)
    except BadMessage as error:
        assert error.status in {400, 405, 501, 505}  # noqa: PT017  (it need not come)
    for method in (b"GET", b"HEAD"):
        try:
            reply(*reads, method=method, upgrade=joined)
        except BadReply as error:
            assert error.code == "bad_reply"  # noqa: PT017


@given(st.data(), st.lists(PIECES, max_size=10))
def test_garbage_means_the_same_however_it_is_split(
    data: st.DataObject, pieces: list[bytes]
) -> None:
    raw = b"".join(pieces)
    logs = []
    for reads in ([raw] if raw else [], data.draw(cut(raw))):
        log = Log()
        parser = RequestParser(log, HeadLimits())
        try:
            for read in reads:
                feed_all(parser, read)
        except BadMessage as error:
            log.messages.append(Message((error.status, error.code), []))
        logs.append(log.messages)
    assert logs[0] == logs[1]
