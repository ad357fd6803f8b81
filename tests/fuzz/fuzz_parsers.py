"""The pure parsers, in this process: thousands of inputs a second."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from random import Random
from typing import ClassVar, Final, NamedTuple

from tests.fuzz import (
    http_checks,
    llm_checks,
    llm_inputs,
    reply_inputs,
    request_inputs,
    stream_checks,
)
from tests.fuzz.cases import Case, Fault, Fuzzer
from tests.fuzz.mutate import mutated

_TARGETS: Final = (
    *(b"http://a.b:80/c?d", b"https://[::1]:443", b"a.b", b"[fe80::1%25eth0]:1", b"A:", b"*"),
    *(b"http://u@a/", b"a%2Db:99999", b"HTTP://a#b", b"/a/%2e%2e/b", b"[", b"http:///x"),
)


class Parser(NamedTuple):
    """What is tried, what it is given, and what mutations put into that."""

    check: Callable[[Case], Hashable]
    make: Callable[[Random], bytes]
    words: Sequence[bytes]


def _unit(random: Random) -> bytes:
    return random.choice(llm_inputs.UNITS).encode()


def _target(random: Random) -> bytes:
    return random.choice(_TARGETS)


PARSERS: Final[dict[str, Parser]] = {
    "requests": Parser(http_checks.requests, request_inputs.connection, request_inputs.WORDS),
    "replies": Parser(http_checks.replies, reply_inputs.reply, reply_inputs.WORDS),
    "target": Parser(http_checks.target, _target, (b"http://", b"@", b":", b"[::1]", b"#", b"%")),
    "trace": Parser(http_checks.trace, llm_inputs.trace, (b"-", b",", b"=", b"\n", b"0" * 32)),
    "request": Parser(llm_checks.request, llm_inputs.body, llm_inputs.JSON_WORDS),
    "alias": Parser(llm_checks.alias, llm_inputs.body, llm_inputs.JSON_WORDS),
    "prompt": Parser(llm_checks.prompt, llm_inputs.body, llm_inputs.JSON_WORDS),
    "models": Parser(llm_checks.models, llm_inputs.body, llm_inputs.JSON_WORDS),
    "report": Parser(llm_checks.report, llm_inputs.metrics, llm_inputs.METRIC_WORDS),
    "dialects": Parser(llm_checks.dialects, llm_inputs.body, llm_inputs.JSON_WORDS),
    "streams": Parser(stream_checks.streams, stream_checks.stream, stream_checks.WORDS),
    "hidden": Parser(stream_checks.hidden, stream_checks.stream, stream_checks.WORDS),
    "include_usage": Parser(
        stream_checks.include_usage, stream_checks.asking, llm_inputs.JSON_WORDS
    ),
    "units": Parser(llm_checks.units, _unit, llm_inputs.UNIT_WORDS),
}


class ParserFuzzer(Fuzzer):
    """Each case goes to one parser. What it raises, unless it is documented, is a fault."""

    name: ClassVar[str] = "parsers"
    share: ClassVar[int] = 2

    def fresh(self, random: Random) -> Case:
        name = random.choice(list(PARSERS))
        parser = PARSERS[name]
        data = parser.make(random)
        if random.random() < 0.7:
            data = mutated(random, data, parser.words)
        method = random.choice(("GET", "GET", "HEAD"))
        limits = random.choice(("", "tight"))
        return Case(data, {"parser": name, "method": method, "limits": limits})

    def mutate(self, random: Random, case: Case) -> Case:
        words = PARSERS[case.options["parser"]].words
        return Case(mutated(random, case.data, words), case.options)

    async def check(self, case: Case) -> Hashable:
        name = case.options["parser"]
        try:
            return name, PARSERS[name].check(case)
        except Fault:
            raise
        except Exception as error:
            raise Fault(f"{name}: {type(error).__name__}", error) from error
