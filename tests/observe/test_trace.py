"""The cases of the W3C's own trace-context test suite, re-told as tables, and any bytes at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.observe.trace import (
    NONE,
    RANDOM,
    SAMPLED,
    clean_tracestate,
    new_span_id,
    new_trace_id,
    parse_traceparent,
    receive,
    threshold,
    traceparent,
)

TRACE = b"12345678901234567890123456789012"
SPAN = b"1234567890123456"
VALID = b"00-" + TRACE + b"-" + SPAN + b"-01"
HEADER = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


def bits(seed: int = 1) -> Callable[[int], int]:
    return Random(seed).getrandbits


@pytest.mark.parametrize(
    "value",
    [
        VALID,
        b" " + VALID,
        b"\t" + VALID,
        VALID + b" ",
        VALID + b"\t",
        b"\t " + VALID + b" \t",
        b"cc" + VALID[2:],
        b"cc" + VALID[2:] + b"-what-the-future-will-be-like",
        b"cc" + VALID[2:] + b"-",
        b"01" + VALID[2:],
        b"fe" + VALID[2:],
    ],
)
def test_a_valid_traceparent_is_continued(value: bytes) -> None:
    assert parse_traceparent(value) == (TRACE, SPAN, SAMPLED)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"-",
        b"ff" + VALID[2:],
        b"ff" + VALID[2:] + b"-more",
        VALID + b".",
        VALID + b"-",
        VALID + b"-what-the-future-will-be-like",
        b"cc" + VALID[2:] + b".what-the-future-will-be-like",
        b"cc" + VALID[2:-1],
        b"CC" + VALID[2:],
        b".0" + VALID[2:],
        b"0." + VALID[2:],
        b"0" + VALID[2:],
        b"000" + VALID[2:],
        b"0000" + VALID[2:],
        b"00-" + b"0" * 32 + b"-" + SPAN + b"-01",
        b"00-." + TRACE[1:] + b"-" + SPAN + b"-01",
        b"00-" + TRACE[:-1] + b".-" + SPAN + b"-01",
        b"00-" + TRACE + b"3-" + SPAN + b"-01",
        b"00-" + TRACE[:-1] + b"-" + SPAN + b"-01",
        b"00-" + b"A" * 32 + b"-" + SPAN + b"-01",
        b"00-" + TRACE + b"-" + b"0" * 16 + b"-01",
        b"00-" + TRACE + b"-." + SPAN[1:] + b"-01",
        b"00-" + TRACE + b"-" + SPAN[:-1] + b".-01",
        b"00-" + TRACE + b"-" + SPAN + b"7-01",
        b"00-" + TRACE + b"-" + SPAN[:-1] + b"-01",
        b"00-" + TRACE + b"-" + b"A" * 16 + b"-01",
        VALID[:-2] + b".0",
        VALID[:-2] + b"0.",
        VALID[:-2] + b"001",
        VALID[:-2] + b"1",
        VALID[:-2] + b"0A",
        VALID[:-2],
        VALID + b"\n",
        VALID.replace(b"-", b"_"),
        VALID + b"," + VALID,
    ],
)
def test_an_invalid_traceparent_is_ignored(value: bytes) -> None:
    assert parse_traceparent(value) is None


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (b"00", b"00"),
        (b"01", b"01"),
        (b"02", b"02"),
        (b"03", b"03"),
        (b"ff", b"03"),  # reserved flags of version 00 are sent as zero
        (b"08", b"00"),
    ],
)
def test_sampled_and_random_flags_are_sent_on(header: bytes, flags: bytes) -> None:
    context = receive([VALID[:-2] + header], [], bits())
    assert context.traceparent(context.child())[-2:] == flags


def test_only_the_sampled_flag_of_a_later_version_is_known() -> None:
    assert parse_traceparent(b"cc" + VALID[2:-2] + b"ff") == (TRACE, SPAN, SAMPLED)


def test_a_continued_trace_keeps_its_id_and_gets_a_new_span_each_time() -> None:
    context = receive([VALID], [b"foo=1"], bits())
    spans = {context.child() for _ in range(3)}
    assert (context.trace_id, context.parent_id, context.tracestate) == (TRACE, SPAN, b"foo=1")
    assert len(spans) == 3
    assert SPAN not in spans


@pytest.mark.parametrize(
    "headers", [[], [b"nonsense"], [VALID, VALID], [VALID, VALID.replace(b"2-", b"1-")]]
)
def test_a_trace_begins_anew_and_drops_tracestate(headers: list[bytes]) -> None:
    context = receive(headers, [b"foo=1"], bits())
    assert context.trace_id != TRACE
    assert (context.parent_id, context.flags, context.tracestate) == (None, RANDOM, None)
    assert HEADER(context.traceparent(context.child()))


@pytest.mark.parametrize(("ratio", "least", "most"), [(0, 0, 0), (0.25, 200, 300), (1, 1000, 1000)])
def test_traces_that_begin_here_are_sampled_by_their_ids(
    ratio: float, least: int, most: int
) -> None:
    draw, reject = bits(), threshold(ratio)
    contexts = [receive([], [], draw, b"", reject) for _ in range(1000)]
    sampled = [context for context in contexts if context.flags & SAMPLED]
    assert least <= len(sampled) <= most
    assert all(context.flags & RANDOM for context in contexts)
    for context in contexts[:50]:  # any sidecar decides as this one did, also by x-trace-id
        again = receive([], [], bits(2), context.trace_id, reject)
        assert again.trace_id == context.trace_id
        assert again.flags == context.flags & SAMPLED


@pytest.mark.parametrize("reject", [0, NONE])
@pytest.mark.parametrize("flags", [b"00", b"01"])
def test_a_callers_decision_is_followed(reject: int, flags: bytes) -> None:
    context = receive([VALID[:-2] + flags], [], bits(), b"", reject)
    assert context.flags == int(flags)


def test_thresholds() -> None:
    """The bounds of OpenTelemetry's `th`: 0 takes all, half of the ids are at least 8 in hex."""
    assert (threshold(1.0), threshold(0.5), threshold(0.0)) == (0, 0x8 << 52, NONE)


def test_a_bad_tracestate_does_not_harm_the_traceparent() -> None:
    context = receive([VALID], [b"FOO=1"], bits())
    assert (context.trace_id, context.tracestate) == (TRACE, None)


ALL_KEY_CHARACTERS = b"abcdefghijklmnopqrstuvwxyz0123456789_-*/"
ALL_VALUE_CHARACTERS = bytes(c for c in range(0x20, 0x7F) if c not in b",=")
MEMBERS = [b"bar%02d=%02d" % (n, n) for n in range(1, 34)]


@pytest.mark.parametrize(
    ("headers", "combined"),
    [
        ([b"foo=1,bar=2"], b"foo=1,bar=2"),
        ([b"foo=1,bar=2", b"rojo=1,congo=2", b"baz=3"], b"foo=1,bar=2,rojo=1,congo=2,baz=3"),
        ([b"foo=1,foo=2"], b"foo=1,foo=2"),
        ([b"foo=1", b"foo=1"], b"foo=1,foo=1"),
        ([b"foo=1", b""], b"foo=1"),
        ([b"", b"foo=1"], b"foo=1"),
        ([b"foo=1,,bar=2, \t,"], b"foo=1,bar=2"),
        ([b"foo=1 \t , \t bar=2, \t baz=3"], b"foo=1,bar=2,baz=3"),
        ([b"foo=1\t \t,\t \tbar=2,\t \tbaz=3"], b"foo=1,bar=2,baz=3"),
        ([b"\t foo=1 \t"], b"foo=1"),
        ([b"foo= 1"], b"foo= 1"),  # leading blanks are part of the value
        ([b"foo@=1,bar=2"], b"foo@=1,bar=2"),
        ([b"foo@@bar=1"], b"foo@@bar=1"),
        ([b"foo@bar@baz=1"], b"foo@bar@baz=1"),
        ([b"0key=1"], b"0key=1"),
        ([b"1-a*3=z"], b"1-a*3=z"),
        ([b"z" * 256 + b"=1"], b"z" * 256 + b"=1"),
        ([b"t" * 242 + b"@v=1"], b"t" * 242 + b"@v=1"),
        ([b"t@" + b"v" * 15 + b"=1"], b"t@" + b"v" * 15 + b"=1"),
        ([b"foo=" + b"v" * 256], b"foo=" + b"v" * 256),
        ([ALL_KEY_CHARACTERS + b"=1"], ALL_KEY_CHARACTERS + b"=1"),
        ([b"k=" + ALL_VALUE_CHARACTERS], b"k=" + ALL_VALUE_CHARACTERS),
        ([b",".join(MEMBERS[:10]), b",".join(MEMBERS[10:32])], b",".join(MEMBERS[:32])),
    ],
)
def test_tracestate_is_combined_and_sent_on(headers: list[bytes], combined: bytes) -> None:
    assert clean_tracestate(headers) == combined


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b""],
        [b" ", b",", b"\t"],
        [b"foo =1"],
        [b"FOO=1"],
        [b"foo.bar=1"],
        [b"@foo=1,bar=2"],
        [b"_foo=1"],
        [b"foo=1", b"z" * 257 + b"=1"],
        [b"foo=" + b"v" * 257],
        [b"foo=bar=baz"],
        [b"foo=,bar=3"],
        [b"foo= ,bar=3"],
        [b"=1"],
        [b"foo"],
        [b"foo=1;bar=2\x00"],
        [b"foo=a\tb"],
        [b"foo=\xc3\xa9"],
        [b",".join(MEMBERS[:10]), b",".join(MEMBERS[10:33])],
    ],
)
def test_tracestate_is_discarded_whole(headers: list[bytes]) -> None:
    assert clean_tracestate(headers) is None


KEY = st.from_regex(re.compile(rb"[a-z0-9][a-z0-9_\-*/@]{0,20}"), fullmatch=True)
VALUE = st.from_regex(re.compile(rb"[ -+\--<>-~]{0,20}[!-+\--<>-~]"), fullmatch=True)
MEMBER = st.builds(lambda key, value: key + b"=" + value, KEY, VALUE)
BLANKS = st.sampled_from([b"", b" ", b"\t", b" \t "])


@given(st.lists(MEMBER, min_size=1, max_size=32), st.data())
def test_any_split_and_any_blanks_combine_to_the_same_list(
    members: list[bytes], data: st.DataObject
) -> None:
    padded = [data.draw(BLANKS) + member + data.draw(BLANKS) for member in members]
    cut = data.draw(st.integers(0, len(padded) - 1))
    headers = [b",".join(part) for part in (padded[:cut], padded[cut:]) if part]
    assert clean_tracestate(headers) == b",".join(members)


@given(st.lists(st.binary(max_size=100), max_size=3))
def test_what_is_sent_on_is_stable(headers: list[bytes]) -> None:
    once = clean_tracestate(headers)
    assert once is None or clean_tracestate([once]) == once


@given(st.binary(max_size=80))
@example(VALID)
def test_only_well_formed_ids_ever_come_out(value: bytes) -> None:
    parsed = parse_traceparent(value)
    assert parsed is None or HEADER(traceparent(*parsed))


@given(st.integers(min_value=0))
def test_ids_made_here_are_valid(seed: int) -> None:
    trace_id, span_id = new_trace_id(bits(seed)), new_span_id(bits(seed))
    assert parse_traceparent(traceparent(trace_id, span_id, RANDOM)) == (trace_id, span_id, RANDOM)


def test_a_zero_draw_makes_no_zero_id() -> None:
    def zero(_: int) -> int:
        return 0

    assert parse_traceparent(traceparent(new_trace_id(zero), new_span_id(zero), 0)) is not None
