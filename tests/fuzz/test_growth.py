"""What grows too fast is found, and nothing that reads a stranger's bytes does."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.fuzz import fuzz_growth, growth, readers
from tests.fuzz.cases import Case, Fault
from tests.fuzz.fuzz_growth import GrowthFuzzer, pumped
from tests.fuzz.growth import FACTOR, grows_too_fast
from tests.fuzz.readers import READERS, Reader

Patch = pytest.MonkeyPatch


@pytest.mark.parametrize(("size", "power"), [(100, 2), (10, 3)])
def test_what_grows_too_fast(size: int, power: int) -> None:
    def work(size: int) -> Callable[[], object]:
        return lambda: sum(range(size**power))

    assert grows_too_fast(work(size), work(FACTOR * size))


def test_what_takes_long_already_is_not_tried_with_more(monkeypatch: Patch) -> None:
    monkeypatch.setattr(growth, "_LONGEST", 0.0001)  # on the fastest machine, too
    assert grows_too_fast(lambda: sum(range(10**6)), lambda: 1 // 0)


def test_what_is_linear_is_left_alone() -> None:
    assert not grows_too_fast(lambda: sum(range(100_000)), lambda: sum(range(FACTOR * 100_000)))


def test_what_is_quick_is_left_alone() -> None:
    assert not grows_too_fast(lambda: None, lambda: sum(range(100)))


def test_one_verdict_is_not_enough(monkeypatch: Patch) -> None:
    verdicts = iter(["slow", "slow", None])
    monkeypatch.setattr(growth, "_looks_so", lambda small, large: next(verdicts))
    assert not grows_too_fast(lambda: None, lambda: None)


SLOW = re.compile(rb"\n[Hh][Oo][Ss][Tt]:[ \t]*([^\r\n]*?)[ \t]*\r?\n")


async def test_a_reader_that_grows_too_fast(monkeypatch: Patch) -> None:
    monkeypatch.setitem(readers.READERS, "sniff", Reader(SLOW.search, 32 * 1024))
    case = Case(fuzz_growth._MARK.join((b"\nHost:", b" ", b"x")), {"reader": "sniff"})
    with pytest.raises(Fault, match="the time of sniff grows too fast"):
        await GrowthFuzzer().check(case)


async def test_growth_is_looked_at_where_most_of_the_input_grows(monkeypatch: Patch) -> None:
    looked: list[object] = []
    monkeypatch.setattr(fuzz_growth, "grows_too_fast", lambda *of: looked.append(of))
    data = fuzz_growth._MARK.join((b"a" * 100, b"b", b"c" * 100))
    await GrowthFuzzer().check(Case(data, {"reader": "target"}))  # at most 16 KiB
    assert len(looked) == 1
    await GrowthFuzzer().check(Case(b"abc", {"reader": "target"}))
    assert len(looked) == 4


def test_pumps() -> None:
    case = fuzz_growth._MARK.join((b"a", b"bc", b"d"))
    assert pumped(case, 8) == b"abcbcbcd"
    assert pumped(case, 0) == b"abcd"
    assert pumped(b"ab", 5) == b"abab"


PUMPS = [
    (b"GET / HTTP/1.1\r\nHost: a\r\n", b"A: b\r\n", b"\r\n"),
    (b"GET / HTTP/1.1\r\nHost:", b" ", b"x"),
    (b"GET / HTTP/1.1\r\nA:", b" ", b"\x01\r\n\r\n"),
    (b"GET / HTTP/1.1\r\nConnection: ", b"a,", b"\r\nHost: a\r\n\r\n"),
    (b"GET http://", b"a", b"# HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"GET /", b"/..", b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", b"0\r\n\r\n"),
    (b"HTTP/1.1 200 ", b" ", b"\r\n\r\n"),
    (b"", b"HTTP/1.1 103 A\r\n\r\n", b""),
    (b"", b"\x16\x03\x01\x00\x01\x01", b""),
    (b"CONNECT ", b"a.", b":443 HTTP/1.1\r\n\r\n"),
    (b'{"model": "m", "a": ', b"[", b""),
    (b'{"model": "m"', b', "a": 1', b"}"),
    (b'{"messages": [', b'{"role": "system"},', b"{}]}"),
    (b'{"model": "', b"\\\\", b'"}'),
    (b"", b'vllm:num_requests_waiting{a="b"} 1\n', b""),
    (b"vllm:num_requests_waiting{", b'a="', b""),
    (b"TEXT ", b"a=b,", b""),
    (b"", b"a=b,", b""),
    (b"", b"data: a\n\n", b""),
    (b"", b"data: {}\n", b"\n"),
    (b"", b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', b""),
    (b'data: {"error": {"message": "', b"try again in 1 s", b'"}}\n\n'),
    (b'data: {"choices": [', b"{},", b"{}]}\n\n"),
    (b"event: content_block_delta\n", b"data: {}\n\n", b""),
    (b"", b'data: {"candidates": [{"finishReason": "STOP"}]}\r\n\r\n', b""),
    (b"[", b'{"candidates": []},', b""),
    (b"[", b"[", b""),
    (b"data: ", b'"prompt_tokens" ', b"\n\n"),
    (b'["', b'\\"', b""),
    (b"a: ", b"{a: ", b""),
    (b"a: &a x\nb: [", b"*a, ", b"]"),
    (b"", b"a: 1\n", b""),
]


@pytest.mark.parametrize("reader", list(READERS))
async def test_every_reader_takes_linear_time(reader: str) -> None:
    for parts in PUMPS:
        await GrowthFuzzer().check(Case(fuzz_growth._MARK.join(parts), {"reader": reader}))
