"""The oracles of the fuzzers in process: each finds the fault that is planted for it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from sidecar.config.problems import ConfigErrors
from sidecar.errors import BadMessage
from sidecar.http.client_hello import ClientHello
from sidecar.http.proxied import Asked, Form
from sidecar.http.sse import Boundary
from sidecar.llm.request import read
from sidecar.policy.load import Report
from sidecar.proxy.exchange.relay import Relay
from tests.fuzz import (
    fuzz_events,
    fuzz_first,
    fuzz_yaml,
    http_checks,
    llm_checks,
    stream_checks,
)
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.fuzz_events import EventFuzzer, ends_between_events
from tests.fuzz.fuzz_first import FirstBytesFuzzer
from tests.fuzz.fuzz_growth import GrowthFuzzer
from tests.fuzz.fuzz_parsers import PARSERS, ParserFuzzer
from tests.fuzz.fuzz_yaml import YamlFuzzer

Patch = pytest.MonkeyPatch
ALL = [FirstBytesFuzzer, EventFuzzer, ParserFuzzer, YamlFuzzer, GrowthFuzzer]


async def fault_of(fuzzer: Fuzzer, case: Case) -> str:
    with pytest.raises(Fault) as raised:
        await fuzzer.check(case)
    return raised.value.kind


def raises(*_: object) -> Any:
    raise RuntimeError("planted")


@pytest.mark.parametrize("kind", ALL)
async def test_all_is_well_with_what_comes_first(kind: type[Fuzzer]) -> None:
    async with kind() as fuzzer:
        for number in range(20):
            random = Random(number)
            case = fuzzer.fresh(random)
            await fuzzer.check(case)
            await fuzzer.check(fuzzer.mutate(random, case))


# -- first bytes --


@pytest.mark.parametrize(
    ("read", "fault"),
    [
        (raises, "sniff raises RuntimeError"),
        (lambda data: len(data) or None, "sniff changes its mind"),
        (lambda data: None, "sniff waits for more than it may"),
        (
            lambda data: ClientHello("A.b", (), b"") if data else None,
            "sniff names a host that is none",
        ),
        (lambda data: Asked(Form.CONNECT, "a", 0, 9), "sniff asks for no place"),
        (lambda data: Asked(Form.ABSOLUTE, "", 1, 9), "sniff asks for no place"),
    ],
)
async def test_first_bytes(monkeypatch: Patch, read: Callable[[bytes], Any], fault: str) -> None:
    monkeypatch.setitem(fuzz_first.READERS, "sniff", (read, 100))
    assert await fault_of(FirstBytesFuzzer(), Case(b"GET / HTTP/1.1\r\n" * 20)) == fault


# -- events --


@pytest.mark.parametrize(
    ("stream", "between"),
    [
        (b"", True),
        (b"data: a\n\n", True),
        (b"data: a\r\n\r\n", True),
        (b"data: a\r\r", True),
        (b"data: a\n\r", True),
        (b"\n", True),
        (b"data: a\n", False),
        (b"data: a\r\n", False),
        (b"data: a", False),
        (b"data: a\n\nx", False),
    ],
)
def test_where_events_end(stream: bytes, between: bool) -> None:
    assert ends_between_events(stream) == between


async def test_events(monkeypatch: Patch) -> None:
    case = Case(b"data: a\n\ndata: b\n\n")
    fault = "where an event ends depends on how it comes"
    monkeypatch.setattr(Boundary, "at_boundary", lambda self: self.framed[:-2].endswith(b"\r\n"))
    assert await fault_of(EventFuzzer(), case) == fault


async def test_events_that_are_relayed(monkeypatch: Patch) -> None:
    case = Case(b"data: a\n\n")

    def take(self: Relay, data: bytes) -> bool:
        self._write(data[1:])
        return True

    monkeypatch.setattr(Relay, "take", take)
    assert await fault_of(EventFuzzer(), case) == "a chunk is not passed on as it came"
    monkeypatch.setattr(fuzz_events, "fed", lambda pieces, random, relayed: relayed < 1)
    assert "depends on how" in await fault_of(EventFuzzer(), case)


# -- parsers --


def parse(parser: str, data: bytes) -> Case:
    return Case(data, {"parser": parser})


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def split_matters(right: Callable[..., Any]) -> Callable[..., Any]:
    """Feed a parser something else where the message comes in few pieces."""

    def feed(parser: Any, read: bytes) -> None:
        wrong = read.replace(b"\r\nHost: a", b"\r\nHost: b").replace(
            b"200 OK\r\nContent-Length", b"201 OK\r\nContent-Length"
        )
        right(parser, wrong)

    return feed


async def test_requests_and_replies_that_depend_on_how_they_are_split(monkeypatch: Patch) -> None:
    fuzzer = ParserFuzzer()
    for name in ("feed_all", "feed"):
        monkeypatch.setattr(http_checks, name, split_matters(getattr(http_checks, name)))
    fault = "requests mean another thing when they are split"
    assert await fault_of(fuzzer, parse("requests", GET)) == fault
    fault = "a reply means another thing when it is split"
    assert await fault_of(fuzzer, parse("replies", OK)) == fault


async def test_a_refusal_of_another_kind(monkeypatch: Patch) -> None:
    def refuses(*_: object) -> None:
        raise BadMessage("planted", status=418, code="teapot")

    monkeypatch.setattr(http_checks, "feed_all", refuses)
    fault = "a refusal of a status that is none"
    assert await fault_of(ParserFuzzer(), parse("requests", GET)) == fault


@pytest.mark.parametrize("name", list(PARSERS))
async def test_what_a_parser_raises(monkeypatch: Patch, name: str) -> None:
    monkeypatch.setitem(PARSERS, name, PARSERS[name]._replace(check=raises))
    assert await fault_of(ParserFuzzer(), parse(name, b"x")) == f"{name}: RuntimeError"


def told(**values: float) -> Report:
    return Report(**{"queued": 0.0, "running": 0.0, "kv_used": 0.0, "utilization": 0.0, **values})


PLANTED: list[tuple[Any, str, Any, str, bytes, str]] = [
    (http_checks, "normal_host", lambda h: b"A b", "target", b"a", "a host is normal that is none"),
    (http_checks, "host_name", lambda h: b"x", "target", b"a", "a host's name is not a part of it"),
    (
        http_checks,
        "split_absolute",
        lambda t: (b"u@a", b"/"),
        "target",
        b"a",
        "a URL is split wrongly",
    ),
    (
        http_checks,
        "split_absolute",
        lambda t: (b"a", b"x"),
        "target",
        b"",
        "a URL is split wrongly",
    ),
    (
        http_checks,
        "parse_traceparent",
        lambda v: (b"G" * 32, b"0" * 16, 0),
        "trace",
        b"",
        "a traceparent that is none",
    ),
    (
        http_checks,
        "parse_traceparent",
        lambda v: (b"a" * 32, b"0" * 16, 4),
        "trace",
        b"",
        "a traceparent that is none",
    ),
    (
        http_checks,
        "clean_tracestate",
        lambda values: b",".join(values) + b",x",
        "trace",
        b"a=b",
        "a tracestate is not clean when it was cleaned",
    ),
    (
        llm_checks,
        "glance",
        lambda body: ("other", False),
        "request",
        b'{"model": "m"}',
        "another model is read than servers read",
    ),
    (
        llm_checks,
        "asked",
        lambda body: read(b'{"model":"a"}', b"application/json"),
        "request",
        b'{"model":"a","model":"b"}',
        "a model is certain that is not",
    ),
    (llm_checks, "with_model", lambda b, m: b"{", "alias", b"{}", "a body is no JSON any more"),
    (
        llm_checks,
        "with_model",
        lambda b, m: b'{"model":"neu","model":"m"}',
        "alias",
        b'{"model":"m"}',
        "somebody may read another model",
    ),
    (
        llm_checks,
        "with_model",
        lambda b, m: b'{"model":"neu"}',
        "alias",
        b'{"a":1,"model":"m"}',
        "other members are changed with the model",
    ),
    (
        llm_checks,
        "with_model",
        lambda b, m: b"{}",
        "alias",
        b'{"model":"m"}',
        "we do not read the model that we wrote",
    ),
    (
        llm_checks,
        "Prompt",
        lambda body: SimpleNamespace(start=lambda size: b"x" * min(size, 9) + b"y"),
        "prompt",
        b"",
        "a prompt's start is not a start of it",
    ),
    (
        llm_checks,
        "parse_metrics",
        lambda page: told(kv_used=1.5),
        "report",
        b"",
        "a load is told that is none",
    ),
    (
        llm_checks,
        "parse_orca",
        lambda page: told(queued=float("inf")),
        "report",
        b"",
        "a load is told that is none",
    ),
    (
        llm_checks,
        "error_event",
        lambda *of: b"data: a\n\ndata: b\n\n",
        "dialects",
        b"",
        "an error's event is more than one",
    ),
    (llm_checks, "error_body", lambda *of: b"{", "dialects", b"", "dialects: JSONDecodeError"),
    (
        stream_checks,
        "_told",
        lambda dialect, pieces, skim=False: (len(pieces),),
        "streams",
        b"ab",
        "openai: a stream is read in two ways",
    ),
    (
        stream_checks,
        "_shown",
        lambda pieces: bytes(len(pieces)),
        "hidden",
        b"abc",
        "a stream is shown in two ways",
    ),
    (stream_checks, "_shown", lambda pieces: b"", "hidden", b"abc", "a stream is changed"),
    (
        stream_checks,
        "insert_include_usage",
        lambda body: b"{",
        "include_usage",
        b"{}",
        "a body is no JSON any more",
    ),
    (
        stream_checks,
        "insert_include_usage",
        lambda body: b'{"stream":true,"stream_options":{"include_usage":true}}',
        "include_usage",
        b'{"a":1}',
        "other members are changed",
    ),
    (
        stream_checks,
        "insert_include_usage",
        lambda body: b'{"stream_options":{"include_usage":false}}',
        "include_usage",
        b"{}",
        "the usage is not asked for",
    ),
    (
        stream_checks,
        "insert_include_usage",
        lambda body: b'{"stream_options":{"include_usage":true}}',
        "include_usage",
        b"{}",
        "the usage is asked for twice",
    ),
]


@pytest.mark.parametrize(("module", "name", "wrong", "parser", "data", "fault"), PLANTED)
async def test_parsers(
    monkeypatch: Patch, module: Any, name: str, wrong: Any, parser: str, data: bytes, fault: str
) -> None:
    monkeypatch.setattr(module, name, wrong)
    assert await fault_of(ParserFuzzer(), parse(parser, data)) == fault


class Negative(float):
    def __new__(cls, text: object) -> Negative:
        return super().__new__(cls, -1)


class Forgetful(float):
    def __new__(cls, text: object) -> Forgetful:
        return super().__new__(cls, 7 if text == "?" else 5)

    def written(self) -> str:
        return "?"


async def test_units(monkeypatch: Patch) -> None:
    monkeypatch.setitem(llm_checks._UNITS, "duration", Negative)
    assert await fault_of(ParserFuzzer(), parse("units", b"5s")) == "a duration that is no number"
    monkeypatch.setitem(llm_checks._UNITS, "duration", Forgetful)
    fault = "a duration is written as another"
    assert await fault_of(ParserFuzzer(), parse("units", b"5s")) == fault


# -- configurations --


class Unplaced(ConfigErrors):
    def __init__(self) -> None:
        super().__init__([])

    def __str__(self) -> str:
        return "something is wrong"


class Unexplained(ConfigErrors):
    def __init__(self) -> None:
        super().__init__([])

    def __str__(self) -> str:
        return "fuzz.yaml:1: a: does not fit the schema"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (RuntimeError(), "load raises RuntimeError"),
        (Unplaced(), "errors without a line"),
        (Unexplained(), "an error that nobody can explain"),
    ],
)
async def test_configurations(monkeypatch: Patch, error: Exception, fault: str) -> None:
    def load(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(fuzz_yaml, "load", load)
    assert await fault_of(YamlFuzzer(), Case(b"a: 1")) == fault


async def test_a_configuration_that_takes_memory(monkeypatch: Patch) -> None:
    monkeypatch.setattr(fuzz_yaml, "_MOST_MEMORY", 2**23)
    monkeypatch.setattr(fuzz_yaml, "load", lambda text, **_: bytearray(2**25))
    assert "too much memory" in await fault_of(YamlFuzzer(), Case(b"a: 1"))
