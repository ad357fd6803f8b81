"""All that reads a stranger's bytes, as functions that the growth of time is looked at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from sidecar.config.load import ConfigErrors, load
from sidecar.errors import BadMessage, BadReply, ModelUnknown
from sidecar.http.client_hello import read_hello
from sidecar.http.fields import Fields, valid
from sidecar.http.headers import REQUEST_FIELDS, request_lines, response_lines
from sidecar.http.limits import HeadLimits
from sidecar.http.message import RequestHead, ResponseHead
from sidecar.http.paths import as_read, plain
from sidecar.http.proxied import read_asked
from sidecar.http.request_parser import RequestParser
from sidecar.http.response_parser import ResponseParser
from sidecar.http.sniff import sniff
from sidecar.http.sse import Boundary
from sidecar.http.target import normal_host, split_absolute
from sidecar.llm import coding as coded
from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.failures import read_failure
from sidecar.llm.hide_usage import UsageHider
from sidecar.llm.include_usage import insert_include_usage, is_usage_only
from sidecar.llm.json_stream import JsonSplitter
from sidecar.llm.last_message import last_message
from sidecar.llm.models import lists
from sidecar.llm.prompt import Prompt
from sidecar.llm.report import parse_metrics, parse_orca
from sidecar.llm.request import glance, read
from sidecar.llm.sse import EventSplitter
from sidecar.llm.texts import delta_of, text_of
from sidecar.observe.trace import clean_tracestate, parse_traceparent
from tests.fuzz.mutate import bytewise
from tests.http.events import Log, feed, feed_all

_LIMITS: Final = HeadLimits(1 << 20, 1 << 20, 1 << 20, 1 << 16)
"""As good as none, so that it is not a limit that makes it fast."""


class Reader(NamedTuple):
    """What reads, and how many bytes of a stranger's it is given at once, at most."""

    read: Callable[[bytes], object]
    most: int


def _requests(data: bytes, pieces: list[bytes] | None = None) -> None:
    log = Log()
    parser = RequestParser(log, _LIMITS)
    with suppress(BadMessage):
        for piece in pieces or [data]:
            feed_all(parser, piece)
    for head in log.heads:
        assert isinstance(head, RequestHead)
        request_lines(head)


def _replies(data: bytes, pieces: list[bytes] | None = None) -> None:
    log = Log()
    parser = ResponseParser(log)
    parser.expect(b"GET", False)
    with suppress(BadReply):
        for piece in pieces or [data]:
            feed(parser, piece)
    for head in log.heads:
        assert isinstance(head, ResponseHead)
        response_lines(head)


def _fields(data: bytes) -> None:
    if valid(data):
        fields = Fields(data, REQUEST_FIELDS)
        fields.without({b"a", *fields})


def _events(data: bytes) -> bool:
    boundary = Boundary()
    for piece in bytewise(data):
        boundary.feed(piece)
    return boundary.at_boundary()


def _yaml(data: bytes) -> None:
    with suppress(ConfigErrors):
        load(data.decode("latin-1"), file="x.yaml", resolve=lambda kind, name: "")


def _alias(data: bytes, content_type: bytes = b"application/json") -> None:
    with suppress(ModelUnknown):
        asked = read(data, content_type)
        if asked.named:
            asked.with_model("m")


_URLENCODED: Final = b"application/x-www-form-urlencoded"


def _form(data: bytes) -> None:
    _alias(b"--x" + data, b"multipart/form-data; boundary=x")


def _unpack(data: bytes, coding: bytes) -> None:
    with suppress(ModelUnknown):
        for _ in coded.plain(data, coding, 1 << 20):
            pass


def _split(pieces: list[bytes], most: int = 1 << 20) -> None:
    for splitter in (EventSplitter(most), JsonSplitter(most)):
        for piece in pieces:
            splitter.feed(piece)


def _hidden(pieces: list[bytes]) -> None:
    hider = UsageHider()
    for piece in pieces:
        hider.feed(piece)


def _stream(dialect: Dialect, data: bytes, pieces: list[bytes] | None = None) -> None:
    reader = APIS[dialect].stream()
    for piece in pieces or [data]:
        reader.feed(piece)
    reader.finish("ended")


def _bytewise_stream(dialect: Dialect, data: bytes) -> None:
    _stream(dialect, data, bytewise(data))


def _reply(data: bytes) -> None:
    for api in APIS.values():
        api.reply(data)
        api.parameters(data)
        api.target(b"POST", data.decode("latin-1"))


def _texts(data: bytes) -> None:
    for dialect in APIS:
        text_of(dialect, data)
        delta_of(dialect, data)


_HEAD: Final = 64 * 1024
_BODY: Final = 256 * 1024

READERS: Final[dict[str, Reader]] = {
    "sniff": Reader(sniff, 32 * 1024),
    "asked": Reader(read_asked, 32 * 1024),
    "hello": Reader(read_hello, 32 * 1024),
    "request": Reader(_requests, _HEAD),
    "request, byte by byte": Reader(lambda data: _requests(data, bytewise(data)), 16 * 1024),
    "reply": Reader(_replies, _HEAD),
    "reply, byte by byte": Reader(lambda data: _replies(data, bytewise(data)), 16 * 1024),
    "fields": Reader(_fields, _HEAD),
    "host": Reader(normal_host, 16 * 1024),
    "target": Reader(split_absolute, 16 * 1024),
    "traceparent": Reader(parse_traceparent, 16 * 1024),
    "tracestate": Reader(lambda data: clean_tracestate(data.split(b"\n")), 16 * 1024),
    "model": Reader(glance, _BODY),
    "alias": Reader(_alias, _BODY),
    "form": Reader(_form, _BODY),
    "urlencoded form": Reader(lambda data: _alias(data, _URLENCODED), _BODY),
    "gzip": Reader(lambda data: _unpack(data, b"gzip"), _BODY),
    "deflate": Reader(lambda data: _unpack(data, b"deflate"), _BODY),
    "path": Reader(lambda data: plain(data.decode("latin-1")), _HEAD),
    "path, as it may be read": Reader(lambda data: as_read(data.decode("latin-1")), _HEAD),
    "prompt": Reader(lambda data: Prompt(data).start(4096), _BODY),
    "last message": Reader(last_message, _BODY),
    "text": Reader(_texts, _BODY),
    "models": Reader(lambda data: lists(data, "m"), _BODY),
    "metrics": Reader(parse_metrics, _BODY),
    "load": Reader(parse_orca, 8 * 1024),
    "events": Reader(_events, 16 * 1024),
    "split": Reader(lambda data: _split([data]), _BODY),
    "split, byte by byte": Reader(lambda data: _split(bytewise(data)), 16 * 1024),
    "split, cut": Reader(lambda data: _split(bytewise(data), 64), 16 * 1024),
    **{f"stream of {dialect}": Reader(partial(_stream, dialect), _BODY) for dialect in APIS},
    **{
        f"stream of {dialect}, byte by byte": Reader(partial(_bytewise_stream, dialect), 16 * 1024)
        for dialect in APIS
    },
    "answer": Reader(_reply, _BODY),
    "failure": Reader(lambda data: read_failure(400, {b"retry-after": data}, data, 0.0), _BODY),
    "include_usage": Reader(insert_include_usage, _BODY),
    "usage hidden": Reader(lambda data: _hidden(bytewise(data)), 16 * 1024),
    "usage alone": Reader(is_usage_only, _BODY),
    "yaml": Reader(_yaml, 16 * 1024),
}
