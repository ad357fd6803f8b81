"""A stream of a stored response that breaks anywhere, and those that continue it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.stored_stream import StoredStream


def event(kind: str, number: int | None, end: str = "\n", **more: Any) -> bytes:
    body = {"type": kind, "sequence_number": number, **more}
    return f"event: {kind}{end}data: {json.dumps(body)}{end}{end}".encode()


def whole(end: str = "\n", count: int = 6) -> list[bytes]:
    response = {"id": "resp_1", "background": True, "status": "queued"}
    return [
        event("response.created", 0, end, response=response),
        *(event("response.output_text.delta", n, end, delta=f"{n}\n\n") for n in range(1, count)),
        event("response.completed", count, end, response=response),
    ]


def behind(events: list[bytes], number: int | None) -> bytes:
    return b"".join(events[0 if number is None else number + 1 :])


@given(
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    breaks=st.lists(st.integers(0, 500), max_size=6),
    size=st.integers(1, 80),
    again=st.integers(0, 3),
)
def test_it_is_whole_wherever_it_breaks(end: str, breaks: list[int], size: int, again: int) -> None:
    """*again*: so many events before the right one come again."""
    events = whole(end)
    stream, given_out = StoredStream(), b""
    source = behind(events, None)
    for cut in [*breaks, len(source)]:
        for at in range(0, min(cut, len(source)), size):
            given_out += stream.feed(source[at : min(at + size, cut)])
        if stream.over:
            break
        if stream.after is None:  # nothing is known yet: it begins anew
            stream, given_out = StoredStream(), b""
            source = behind(events, None)
            continue
        assert stream.resumable
        assert given_out == b"".join(events[: stream.after + 1])
        stream.again()
        source = behind(events, max(-1, stream.after - again))
    if not stream.over:
        given_out += stream.feed(source)
    given_out += stream.finish()
    assert given_out == b"".join(events)
    assert stream.over
    assert not stream.resumable
    assert not stream.gap


@pytest.mark.parametrize(
    ("response", "resumable"),
    [
        ({"id": "resp_1", "background": True}, True),
        ({"id": "resp_1", "background": False}, False),
        ({"id": "resp_1"}, False),
        ({"id": 1, "background": True}, False),
        ({"id": "", "background": True}, False),
        ({"id": "a\r\nX: y", "background": True}, False),
        ({"id": "a b", "background": True}, False),
        ({"id": "../files/a", "background": True}, False),
        ({"id": "..", "background": True}, False),
        ({"id": "a?b=c&", "background": True}, False),
        ({"id": "ä", "background": True}, False),
        ({"id": "a" * 257, "background": True}, False),
        ({"id": "resp_1.a:b-C", "background": True}, True),
    ],
)
def test_only_what_goes_on_in_the_background_can_be_taken_up(
    response: Any, resumable: bool
) -> None:
    stream = StoredStream()
    stream.feed(event("response.created", 0, response=response))
    assert stream.resumable is resumable


@pytest.mark.parametrize("last", ["completed", "failed", "incomplete", "cancelled"])
def test_behind_its_last_event_nothing_is_missing(last: str) -> None:
    stream = StoredStream("resp_1", 4)
    assert stream.resumable
    stream.feed(event(f"response.{last}", 5))
    assert stream.over
    assert stream.feed(b"data: [DONE]\n\n") == b"data: [DONE]\n\n"
    stream = StoredStream("resp_1", 4)
    stream.feed(event("error", 5, message="x"))
    assert not stream.resumable


def test_the_last_empty_line_may_be_missing() -> None:
    stream = StoredStream("resp_1", 4)
    text = event("response.completed", 5)[:-1]
    assert stream.feed(text) == b""
    assert stream.finish() == text
    assert stream.over
    stream = StoredStream("resp_1", 4)
    stream.feed(event("a", 5)[:-1])
    assert stream.finish() == b""  # it comes again
    stream = StoredStream()
    stream.feed(b"data: cut")
    assert stream.finish() == b"data: cut"


def test_comments_and_what_is_no_json_pass() -> None:
    stream = StoredStream("resp_1")
    for text in (b": alive\n\n", b"data: {\n\n", b"data: [1]\n\n", b"id: 4\n\n", b"\n\n"):
        assert stream.feed(text) == text
    assert stream.after is None


def test_a_stream_that_lacks_events_is_not_taken() -> None:
    stream = StoredStream("resp_1")
    stream.feed(event("a", 0) + event("b", 1))
    stream.again()
    assert stream.feed(b": comment\n\n" + event("d", 3)) == b""
    assert stream.feed(event("response.completed", 4)) == b""
    assert stream.gap
    assert not stream.over
    assert not stream.resumable


@pytest.mark.parametrize("numbers", [(0, 2, 1), (0, 0), (3, 1), (None, 0), (0, None)])
def test_what_would_come_twice_unseen_is_not_taken_up(numbers: tuple[int | None, ...]) -> None:
    stream = StoredStream("resp_1")
    text = b"".join(event("a", number) for number in numbers)
    assert stream.feed(text) == text
    assert not stream.resumable


def test_numbers_with_gaps_of_their_own_are_taken() -> None:
    stream = StoredStream("resp_1")
    stream.feed(event("a", 0) + event("b", 5))
    stream.again()
    assert stream.feed(event("b", 5) + event("c", 9)) == event("c", 9)
    assert not stream.gap


def test_an_event_that_is_too_long_is_passed_on_and_ends_it() -> None:
    stream = StoredStream("resp_1", 0)
    begun = b"data: " + b"x" * 2**20
    assert stream.feed(begun) == b""
    passed = b"".join(stream.feed(b"x" * 2**20) for _ in range(9))
    assert len(passed) == len(begun) + 9 * 2**20
    assert not stream.resumable
