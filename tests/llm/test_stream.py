"""What is read in a stream, however it is split, and what is thought of it at its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.llm.dialects import APIS, Dialect
from sidecar.llm.dialects.anthropic import ANTHROPIC
from sidecar.llm.dialects.openai import OPENAI
from sidecar.llm.stream import Outcome, Verdict
from tests.llm.streams import (
    DONE,
    PLAIN_USED,
    STREAMS,
    TRAPS,
    Stream,
    chunk,
    data,
    gemini,
    named,
    read,
    told,
)

each = pytest.mark.parametrize("name", STREAMS)
ENDS = ("\n", "\r\n", "\r")


def expected(stream: Stream) -> tuple[object, ...]:
    return (
        stream.usage,
        stream.finish_reasons,
        stream.chunks,
        stream.first is not None,
        stream.model,
        stream.id,
    )


@each
def test_what_is_read(name: str) -> None:
    stream = STREAMS[name]
    reader, verdict = read(stream.dialect, stream.events)
    assert told(reader)[:6] == expected(stream)
    error = (reader.error.kind, reader.error.status) if reader.error else None
    assert (verdict, error, reader.terminal) == (stream.verdict, stream.error, stream.terminal)


@each
def test_the_first_content(name: str) -> None:
    stream = STREAMS[name]
    reader = APIS[stream.dialect].stream()
    first = None
    for place, event in enumerate(stream.events):
        reader.feed(event)
        if reader.content and first is None:
            first = place
    assert first == stream.first


@each
def test_it_is_the_same_wherever_it_is_split(name: str) -> None:
    stream = STREAMS[name]
    body = stream.body
    whole, verdict = read(stream.dialect, [body])
    assert told(whole)[:6] == expected(stream)
    bytewise = [body[at : at + 1] for at in range(len(body))]
    splits = [[body[:at], body[at:]] for at in range(1, len(body))]
    for pieces in (bytewise, *splits):
        reader, also = read(stream.dialect, pieces)
        assert (told(reader), also) == (told(whole), verdict)


@each
@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_it_is_the_same_with_other_line_ends(name: str, end: bytes, mark: bytes) -> None:
    stream = STREAMS[name]
    events = [event.replace(b"\n", end) for event in stream.events]
    reader, verdict = read(stream.dialect, [mark, *events])
    assert told(reader)[:6] == expected(stream)
    assert verdict == stream.verdict
    whole, also = read(stream.dialect, [b"".join((mark, *events))])
    assert (told(whole), also) == (told(reader), verdict)


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(list(STREAMS)), st.data())
def test_it_is_the_same_in_any_pieces_and_with_any_line_ends(
    name: str, draw: st.DataObject
) -> None:
    stream = STREAMS[name]
    lines = stream.body.split(b"\n")
    ends = draw.draw(st.lists(st.sampled_from(ENDS), min_size=1, max_size=8))
    if not name.startswith("gemini, an array"):  # blanks between its lines may be anything
        lines = [
            line + ends[place % len(ends)].encode() for place, line in enumerate(lines[:-1])
        ] + lines[-1:]
        body = _told_apart(lines)
    else:
        body = stream.body
    whole, verdict = read(stream.dialect, [body])
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    reader, also = read(stream.dialect, pieces)
    assert (told(reader), also) == (told(whole), verdict)
    assert told(reader)[:6] == expected(stream)


def _told_apart(lines: list[bytes]) -> bytes:
    """*lines* joined; where a CR ends one and an LF the blank next, both would be one end."""
    body = b""
    for line in lines:
        body += b"\r\n" if body.endswith(b"\r") and line == b"\n" else line
    return body


@pytest.mark.parametrize(
    ("name", "how", "verdict"),
    [
        ("chat", "cut", "complete"),
        ("chat", "aborted", "complete"),
        ("chat", "stalled", "complete"),
        ("no end", "cut", "truncated"),
        ("no end", "aborted", "aborted"),
        ("no end", "stalled", "stalled"),
        ("no [DONE]", "cut", "truncated"),
        ("no [DONE]", "aborted", "aborted"),
        ("comments alone", "cut", "truncated"),
        ("comments alone", "stalled", "stalled"),
        ("an error first", "aborted", "error"),
        ("an error, then [DONE]", "cut", "error"),
        ("anthropic, no end", "cut", "truncated"),
        ("gemini", "cut", "complete"),
        ("gemini, an array that breaks off", "cut", "truncated"),
    ],
)
def test_what_is_thought_of_its_end(name: str, how: Outcome, verdict: Verdict) -> None:
    stream = STREAMS[name]
    assert read(stream.dialect, stream.events, how)[1] == verdict


@pytest.mark.parametrize("how", get_args(Outcome))
@pytest.mark.parametrize("dialect", list(APIS))
def test_nothing_at_all(dialect: Dialect, how: Outcome) -> None:
    verdicts = {"ended": "empty", "cut": "truncated", "stalled": "stalled", "aborted": "aborted"}
    assert read(dialect, [], how)[1] == verdicts[how]


def test_an_event_that_is_not_whole_counts_where_it_is_the_last() -> None:
    assert read("openai", [data(chunk({"content": "a"})), DONE[:-2]])[1] == "complete"
    assert read("openai", [data(chunk({"content": "a"})), DONE[:-3]])[1] == "truncated"


PLAIN: dict[Dialect, Callable[[str], bytes]] = {
    "openai": lambda text: data(chunk({"content": text}, usage=None, obfuscation=text * 2)),
    "anthropic": lambda text: named(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    ),
    "gemini": lambda text: data(gemini(text), compact=False).replace(b"\n", b"\r\n"),
    "mistral": lambda text: data(
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": f'"a": "{text}'}}]})
    ),
}


@pytest.mark.parametrize("dialect", PLAIN)
def test_a_plain_event_is_known_without_being_read(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = PLAIN[dialect]
    reader = APIS[dialect].stream()
    for place in range(3):
        reader.feed(event(str(place)))
    monkeypatch.setattr(type(reader), "_read", lambda self, event: 1 // 0)
    for place in range(100):
        reader.feed(event(str(place) * 3))
    reader.feed(b"".join(event(str(place)) for place in range(5)))
    assert reader.chunks == 108


TEXT = st.text('ab"\\\\{}:,\n\u2028é', max_size=6) | st.sampled_from(TRAPS)
DELTAS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    TEXT.map(lambda text: {"content": text}),
    TEXT.map(lambda text: {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}),
    TEXT.map(lambda text: {"reasoning_content": text}),
    st.just({"role": "assistant", "content": ""}),
    st.just({}),
)
CHUNKS = st.builds(
    chunk,
    DELTAS,
    st.sampled_from([None] * 8 + ["stop", "length"]),
    st.sampled_from([0, 0, 0, 1]),
    usage=st.sampled_from([None] * 4 + [{"prompt_tokens": 3, "completion_tokens": 2}]),
    obfuscation=st.text("xyz", max_size=3),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(CHUNKS, max_size=30), st.lists(st.integers(0, 5000), max_size=20), st.booleans())
def test_chat_is_read_as_one_reads_it_who_parses_all(
    chunks: list[dict[str, Any]], cuts: list[int], compact: bool
) -> None:
    body = b"".join(data(each, compact=compact) for each in chunks)
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    reader, _ = read("openai", pieces)
    count, finished, usage = 0, {}, None
    for each in chunks:
        choice = each["choices"][0]
        says = any(value for name, value in choice["delta"].items() if name != "role")
        plain = choice["finish_reason"] is None and each["usage"] is None
        count += says or (count > 0 and plain)
        if choice["finish_reason"]:
            finished[choice["index"]] = choice["finish_reason"]
        usage = each["usage"] or usage
    reasons = tuple(reason for _, reason in sorted(finished.items()))
    assert (reader.chunks, reader.finish_reasons) == (count, reasons)
    assert reader.usage == (PLAIN_USED if usage else None)


@pytest.mark.parametrize("dialect", list(APIS))
def test_done_is_no_event_that_nobody_knows(dialect: Dialect) -> None:
    reader, verdict = read(dialect, [b": hello\n\n", DONE])
    assert (reader.unknown, verdict) == (False, "empty")


def skimmed(stream: Stream, pieces: list[bytes]) -> tuple[tuple[object, ...], Verdict, int]:
    """What is read where each piece is skimmed if it can be, and how many can."""
    reader = APIS[stream.dialect].stream()
    count = 0
    for piece in pieces:
        framed = b"a\r\n%b\r\n" % piece
        if reader.skims(framed, 3, len(framed) - 2):
            count += 1
        else:
            reader.feed(piece)
    verdict = reader.finish("ended")
    return told(reader), verdict, count


@each
def test_what_is_skimmed_is_read_as_well(name: str) -> None:
    stream = STREAMS[name]
    for events in (stream.events, (*stream.events[:-1], *stream.events[:-1], stream.events[-1])):
        for step in (1, 2, 3):
            pieces = [b"".join(events[at : at + step]) for at in range(0, len(events), step)]
            halves = [half for p in pieces for half in (p[: len(p) // 2], p[len(p) // 2 :])]
            for cut in (pieces, halves):
                reader, verdict = read(stream.dialect, cut)
                assert skimmed(stream, cut)[:2] == (told(reader), verdict)


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "mistral"])
def test_a_plain_event_is_skimmed(dialect: Dialect) -> None:
    event = PLAIN[dialect]
    pieces = [event(str(place)) for place in range(20)]
    stream = Stream(dialect, tuple(pieces), "truncated")
    assert skimmed(stream, pieces)[2] >= 16
    broken = [*pieces, event("x")[:-1], b"\n", event("\r"), event('"'), event("y") * 2, b""]
    reader, verdict = read(dialect, broken)
    assert skimmed(stream, broken)[:2] == (told(reader), verdict)


def test_nothing_counts_behind_the_end() -> None:
    event = data(chunk({"content": "a"}))
    for pieces in ([event, event, event, DONE, event, event], [event * 3 + DONE + event * 2]):
        reader, verdict = read("openai", pieces)
        assert (reader.chunks, verdict) == (3, "complete")


def test_a_large_event_is_passed_over() -> None:
    announced = named({"type": "response.created", "response": {"instructions": "x" * 2**20}})
    assert read("openai", [announced])[1] == "empty"
    large = named({"type": "response.completed", "response": {"output": "x" * 2**20}})
    reader, verdict = read("openai", [large])
    assert (verdict, reader.usage) == ("complete", None)
    reader, verdict = read("openai", [data(chunk({"content": "x" * 2**20})), DONE])
    assert (verdict, reader.chunks) == ("complete", 1)
    reader, verdict = read("gemini", [data(gemini("x" * 2**20))])
    assert (verdict, reader.chunks) == ("truncated", 1)


@pytest.mark.parametrize("dialect", list(APIS))
@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: []\n\ndata: 1\n\ndata: null\n\n",
        b"event: error\n\n",
        b'data: {"choices": {}, "type": 1, "error": 0}\n\n',
        b'data: {"choices": [{"delta": []}, {"index": "a", "finish_reason": 1}]}\n\n',
        b'data: {"type": [], "message": 1, "usage": 1, "delta": ""}\n\n',
        b'data: {"candidates": [{"content": {"parts": [1]}}]}\n\n',
        b"data: \xff\n\n",
        b"data: " + b"[" * 10_000 + b"\n\n",
        b"{",
        b"[}",
        b"]",
    ],
)
def test_nonsense_is_no_content_and_no_error_of_ours(dialect: Dialect, body: bytes) -> None:
    reader, verdict = read(dialect, [body])
    assert reader.usage is None or reader.usage.input == 0
    assert (reader.error is None) == (verdict != "error")


def test_an_error_that_is_no_json() -> None:
    for dialect in (OPENAI, ANTHROPIC):
        reader = dialect.stream()
        reader.feed(b"event: error\ndata: out of luck\n\n")
        assert reader.error is not None
        assert (reader.error.message, reader.error.status) == ("out of luck", 500)
