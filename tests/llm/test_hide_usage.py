"""The usage goes to us and not to a caller who did not ask for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.hide_usage import UsageHider
from tests.llm.streams import DONE, OPENAI_USAGE, STREAMS, chunk, data

USAGE = data({**chunk({}), "choices": [], "usage": OPENAI_USAGE})
EVENTS = (*STREAMS["chat with usage"].events[:-2], USAGE, DONE)
OTHERS = tuple(event for event in EVENTS if event != USAGE)
ENDS = (b"\n", b"\r\n", b"\r")


def passed(*pieces: bytes) -> bytes:
    hider = UsageHider()
    return b"".join(hider.feed(piece) for piece in pieces) + hider.finish()


@pytest.mark.parametrize("end", ENDS)
def test_it_is_hidden_wherever_the_stream_is_split(end: bytes) -> None:
    body = b"".join(EVENTS).replace(b"\n", end)
    expected = b"".join(OTHERS).replace(b"\n", end)
    assert passed(body) == expected
    assert passed(*(body[at : at + 1] for at in range(len(body)))) == expected
    for at in range(len(body)):
        assert passed(body[:at], body[at:]) == expected


@pytest.mark.parametrize("event", OTHERS)
def test_other_events_go_on_at_once(event: bytes) -> None:
    hider = UsageHider()
    assert hider.feed(event) == event
    assert hider.hidden == 0


def test_it_is_held_until_it_is_known() -> None:
    hider = UsageHider()
    assert hider.feed(DONE + USAGE[:20]) == DONE
    assert hider.feed(USAGE[20:]) == b""
    assert hider.hidden == 1
    assert hider.feed(DONE[:9]) == b""
    assert hider.finish() == DONE[:9]


@pytest.mark.parametrize(
    "event",
    [
        data(chunk({"content": "a"}, usage=OPENAI_USAGE)),
        data(chunk({"content": '"prompt_tokens"'})),
        data({"choices": [], "usage": None, "prompt_tokens": 1}),
        b': "prompt_tokens"\n\n',
    ],
)
def test_what_only_looks_so_stays(event: bytes) -> None:
    assert passed(DONE, event, DONE) == DONE + event + DONE


@pytest.mark.parametrize("size", [1, 100, 5000, 50_000])
def test_a_large_event_goes_on_before_it_is_whole(size: int) -> None:
    large = data(chunk({"content": '"prompt_tokens"' * 1000}))
    body = large + USAGE + DONE
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert passed(*pieces) == large + DONE
    hider = UsageHider()
    assert hider.feed(large[:10_000]) == large[:10_000]


@given(
    st.lists(st.sampled_from([*OTHERS, USAGE, b": hello\n\n", b"id: 1\n"]), max_size=12),
    st.sampled_from(ENDS),
    st.lists(st.integers(0, 3000), max_size=12),
)
def test_all_else_stays_byte_for_byte(events: list[bytes], end: bytes, cuts: list[int]) -> None:
    body = b"".join(events).replace(b"\n", end)
    cuts = sorted(min(cut, len(body)) for cut in cuts)
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    shown = passed(*pieces)
    assert shown == passed(body)
    if b"id: 1\n" not in events:
        kept = b"".join(event for event in events if event != USAGE)
        assert shown == kept.replace(b"\n", end)
    else:
        assert shown.count(b'"choices":[]') == 0
