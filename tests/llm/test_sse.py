"""Events out of bytes that are split anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.sse import Event, EventSplitter

CASES = [
    (b"data: a\n\n", [Event(b"", b"a")]),
    (b"data:a\r\n\r\n", [Event(b"", b"a")]),
    (b"data:  a\r\r", [Event(b"", b" a")]),
    (b"data: a\r\n\ndata: b\n\r\n", [Event(b"", b"a"), Event(b"", b"b")]),
    (b"data: a\r\r\ndata: b\n\r", [Event(b"", b"a"), Event(b"", b"b")]),
    (b"event: x\ndata: a\ndata: b\nid: 1\nretry: 5\n\n", [Event(b"x", b"a\nb")]),
    (b"event:x\n\ndata: a\n\n", [Event(b"", b"a")]),
    (b"event: x\nevent: y\ndata: a\n\n", [Event(b"y", b"a")]),
    (b": comment\n\n:\n\n\n\ndata: a\n\n", [Event(b"", b"a")]),
    (b"data\n\n", [Event(b"", b"")]),
    (b"data: \ndata\n\n", [Event(b"", b"\n")]),
    (b"\xef\xbb\xbfdata: a\n\n", [Event(b"", b"a")]),
    (b"data: \xef\xbb\xbf\n\n", [Event(b"", b"\xef\xbb\xbf")]),
    (b"datas: a\n\n data: b\n\nDATA: c\n\n", []),
    (
        "data: a\u2028\u0085\x0b\x0c\x1c\n\n".encode(),
        [Event(b"", "a\u2028\u0085\x0b\x0c\x1c".encode())],
    ),
    (b"data: a", [Event(b"", b"a")]),
    (b"data: a\n", [Event(b"", b"a")]),
    (b"event: x", []),
    (b"", []),
]


def events(*pieces: bytes, most: int = 2**20) -> list[Event]:
    splitter = EventSplitter(most)
    found = [event for piece in pieces for event in splitter.feed(piece)]
    return found + splitter.finish()


@pytest.mark.parametrize(("stream", "expected"), CASES)
def test_events(stream: bytes, expected: list[Event]) -> None:
    assert events(stream) == expected
    assert events(*(stream[at : at + 1] for at in range(len(stream)))) == expected
    for at in range(len(stream)):
        assert events(stream[:at], stream[at:]) == expected


def test_an_event_is_there_as_soon_as_its_blank_line_is() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n") == []
    assert splitter.feed(b"\n") == [Event(b"", b"a")]
    assert splitter.feed(b"data: b\r") == []
    assert splitter.feed(b"\r") == [Event(b"", b"b")]


@pytest.mark.parametrize(
    ("fed", "idle"),
    [
        (b"data: a\n\n", True),
        (b"data: a\n\n\n", True),
        (b": hello\n", True),
        (b"data: a\r\n\r\n", True),
        (b"data: a\r\r", False),  # an LF may follow that belongs to it
        (b"data: a\n", False),
        (b"event: a\n", False),
        (b"data: a\n\nd", False),
    ],
)
def test_between_events(fed: bytes, idle: bool) -> None:
    splitter = EventSplitter()
    assert not splitter.idle
    splitter.feed(fed)
    assert splitter.idle == idle


LARGE = b"event: x\ndata: " + b"a" * 90 + b"\n\n"


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (LARGE, [Event(b"x", b"", True)]),
        (LARGE + b"data: b\n\n", [Event(b"x", b"", True), Event(b"", b"b")]),
        (b"data: 1\n" * 20 + b"\n", [Event(b"", b"", True)]),
        (b": " + b"a" * 90 + b"\ndata: b\n\n", [Event(b"", b"b")]),
        (b"data: " + b"a" * 40 + b"\n\n", [Event(b"", b"a" * 40)]),
        (LARGE[:-2], [Event(b"x", b"", True)]),
    ],
)
def test_what_is_larger_than_is_kept(stream: bytes, expected: list[Event]) -> None:
    assert events(stream, most=64) == expected
    for size in (1, 7, 50):
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert events(*pieces, most=64) == expected


@given(
    st.lists(
        st.sampled_from([b"data: a", b"data:", b"event: e", b":", b"id: 1", b"\r", b"\n", b"\r\n"]),
        max_size=40,
    ),
    st.lists(st.integers(0, 200), max_size=10),
    st.sampled_from([4, 20, 2**20]),
)
def test_it_is_the_same_however_it_is_split(parts: list[bytes], cuts: list[int], most: int) -> None:
    stream = b"".join(parts)
    cuts = sorted(min(cut, len(stream)) for cut in cuts)
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events(*pieces, most=most) == events(stream, most=most)
