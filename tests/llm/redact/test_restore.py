"""Whatever was masked is restored, however a reply is split into reads, events and pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.llm.redact.events import EventRestorer
from sidecar.llm.redact.restore import PlainRestorer, Restorer
from sidecar.llm.redact.rules import RULES, Finder, own
from sidecar.llm.redact.values import Values

SECRETS = ["bob@example.com", "4111 1111 1111 1111", 'a "quoted"\n\\secret\\', "ü@example.org"]
RULED = Finder([*RULES["emails"], *RULES["cards"], own("OWN", r'a "quoted"\n\\secret\\')])


def values(label: str = "") -> Values:
    made = Values(RULED, label)
    assert made.masked(" | ".join(SECRETS)) is not None
    return made


def masked(text: str, by: Values) -> str:
    return by.masked(text) or text


TEXTS = st.lists(
    st.sampled_from([
        *SECRETS, "[", "[[", "]]", "[[EMAIL_", "[[EMAIL_99]]", " and ", '"', "\\", "é", "_", "{}",
    ]),
    max_size=8,
).map("".join)  # fmt: skip


def splits(data: bytes, cuts: Iterable[int]) -> Iterator[bytes]:
    begin = 0
    for cut in sorted({cut % (len(data) + 1) for cut in cuts}):
        yield data[begin:cut]
        begin = cut
    yield data[begin:]


CUTS = st.lists(st.integers(0, 10_000), max_size=8)


def fed(restorer: Any, pieces: Iterable[bytes]) -> bytes:
    return b"".join([*map(restorer.feed, pieces), restorer.end()])


@settings(max_examples=60)
@given(TEXTS, CUTS)
def test_plain_text_is_restored(text: str, cuts: list[int]) -> None:
    by = values()
    data = masked(text, by).encode()
    assert fed(PlainRestorer(by), splits(data, cuts)).decode() == text


@settings(max_examples=60)
@given(TEXTS, TEXTS, CUTS, st.booleans())
def test_json_is_restored_with_its_escapes(
    text: str, inner: str, cuts: list[int], ascii_only: bool
) -> None:
    def reply(text: str, inner: str) -> dict[str, Any]:
        arguments = json.dumps({"to": inner, "n": [inner]}, ensure_ascii=ascii_only)
        return {"a": text, "arguments": arguments, "list": [text, {"input": {"x": inner}}], text: 1}

    by = values()
    sent = reply(masked(text, by), masked(inner, by))
    restored = fed(Restorer(by), splits(json.dumps(sent, ensure_ascii=ascii_only).encode(), cuts))
    found, wanted = json.loads(restored), reply(text, inner)
    found["arguments"], wanted["arguments"] = (
        json.loads(found["arguments"]),
        json.loads(wanted["arguments"]),
    )
    assert found == wanted


def chat(index: int, text: str, **more: Any) -> bytes:
    choice = {"index": index, "delta": {"content": text}, "finish_reason": None, **more}
    return event({"object": "chat.completion.chunk", "choices": [choice]})


def event(data: object, name: str = "") -> bytes:
    head = f"event: {name}\n" if name else ""
    return (head + f"data: {json.dumps(data, ensure_ascii=False)}\n\n").encode()


def read(stream: bytes) -> list[Any]:
    found = []
    for each in stream.split(b"\n\n"):
        data = each.partition(b"data: ")[2]
        if data and data != b"[DONE]":
            found.append(json.loads(data))
    return found


@settings(max_examples=60)
@given(st.lists(TEXTS, min_size=1, max_size=2), CUTS, CUTS, st.booleans(), st.randoms())
def test_chat_is_restored_over_events(
    texts: list[str], cuts: list[int], reads: list[int], finish_with_text: bool, random: Any
) -> None:
    by = values()
    told: list[list[bytes]] = []
    for index, text in enumerate(texts):
        whole = masked(text, by)
        parts = [p.decode("utf-8", "ignore") for p in _of_text(whole, cuts)]
        events = [chat(index, part) for part in parts]
        if finish_with_text:
            events[-1] = chat(index, parts[-1], finish_reason="stop")
        else:
            done = {"index": index, "delta": {}, "finish_reason": "stop"}
            events.append(event({"choices": [done]}))
        told.append(events)
    stream = b""
    while any(told):
        stream += random.choice([each for each in told if each]).pop(0)
    stream += event({"choices": [], "usage": {"prompt_tokens": 1}}) + b"data: [DONE]\n\n"
    restored = fed(EventRestorer(by), splits(stream, reads))
    said = ["" for _ in texts]
    finished: set[int] = set()
    for chunk in read(restored):
        for choice in chunk["choices"]:
            index = choice["index"]
            assert index not in finished, "something comes behind the end"
            said[index] += choice["delta"].get("content", "")
            if choice["finish_reason"]:
                finished.add(index)
    assert said == texts
    assert restored.endswith(b"data: [DONE]\n\n")


def _of_text(text: str, cuts: Iterable[int]) -> list[bytes]:
    begin = 0
    parts = []
    for cut in sorted({cut % (len(text) + 1) for cut in cuts}):
        parts.append(text[begin:cut].encode())
        begin = cut
    return [*parts, text[begin:].encode()]


@settings(max_examples=60)
@given(TEXTS, TEXTS, CUTS, CUTS)
def test_messages_are_restored_over_events(
    text: str, inner: str, cuts: list[int], reads: list[int]
) -> None:
    by = values()
    arguments = json.dumps({"to": masked(inner, by)}, ensure_ascii=False)
    stream = event({"type": "message_start", "message": {"content": []}}, "message_start")
    blocks = (
        ("text_delta", "text", masked(text, by)),
        ("input_json_delta", "partial_json", arguments),
    )
    for index, (kind, name, said) in enumerate(blocks):
        for part in _of_text(said, cuts):
            delta = {"type": kind, name: part.decode()}
            stream += event(
                {"type": "content_block_delta", "index": index, "delta": delta},
                "content_block_delta",
            )
        stream += event({"type": "content_block_stop", "index": index}, "content_block_stop")
    stream += event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}})
    stream += event({"type": "message_stop"}, "message_stop")
    restored = fed(EventRestorer(by), splits(stream, reads))
    found = ["", ""]
    stopped = 0
    for each in read(restored):
        if each["type"] == "content_block_delta":
            assert each["index"] == stopped
            found[each["index"]] += each["delta"].get("text", "")
            found[each["index"]] += each["delta"].get("partial_json", "")
        stopped += each["type"] == "content_block_stop"
    assert found[0] == text
    assert json.loads(found[1]) == {"to": inner}


@settings(max_examples=60)
@given(TEXTS, CUTS)
def test_responses_are_restored_over_events_and_in_the_end(text: str, cuts: list[int]) -> None:
    by = values()
    whole = masked(text, by)
    at = {"item_id": "i", "output_index": 0, "content_index": 0}
    stream = b"".join(
        event({"type": "response.output_text.delta", "delta": part.decode(), **at})
        for part in _of_text(whole, cuts)
    )
    stream += event({"type": "response.output_text.done", "text": whole, **at})
    stream += event({"type": "response.completed", "response": {"output": [{"text": whole}]}})
    found = read(fed(EventRestorer(by), [stream]))
    assert "".join(each["delta"] for each in found if "delta" in each) == text
    assert [each["text"] for each in found if "text" in each] == [text]
    assert found[-1]["response"]["output"] == [{"text": text}]


@settings(max_examples=60)
@given(TEXTS, CUTS)
def test_contents_of_gemini_are_restored_over_events(text: str, cuts: list[int]) -> None:
    by = values()
    parts = _of_text(masked(text, by), cuts)
    stream = b""
    for n, part in enumerate(parts):
        half = len(part.decode()) // 2
        content = {"parts": [{"text": part.decode()[:half]}, {"text": part.decode()[half:]}]}
        last = {"finishReason": "STOP"} if n == len(parts) - 1 else {}
        stream += event({"candidates": [{"content": content, **last}]})
    found = read(fed(EventRestorer(by), [stream]))
    said = [p["text"] for e in found for c in e["candidates"] for p in c["content"]["parts"]]
    assert "".join(said) == text


def test_events_without_a_placeholder_go_on_byte_for_byte_and_at_once() -> None:
    restorer = EventRestorer(values())
    for each in (
        b": keep alive\n\n",
        b'data: {"choices" : [ {"delta":{"content":"a [1] b"}, "x":1.0} ]}\n\n',
        b"event: ping\r\ndata: {}\r\n\r\n",
        b"data: one\ndata: two [[\n\n",
    ):
        assert restorer.feed(each) == each
    assert restorer.end() == b""


def test_only_what_may_begin_a_placeholder_is_held() -> None:
    restorer = EventRestorer(values())
    assert read(restorer.feed(chat(0, "x [[EM"))) == read(chat(0, "x "))
    assert read(restorer.feed(chat(0, "PTY"))) == read(chat(0, "[[EMPTY"))
    assert read(restorer.feed(chat(0, "[[CARD_1]"))) == read(chat(0, ""))
    assert read(restorer.feed(chat(0, "] y"))) == read(chat(0, f"{SECRETS[1]} y"))
    assert restorer.end() == b""


def test_what_is_held_when_a_stream_ends_is_sent() -> None:
    restorer = EventRestorer(values())
    restorer.feed(chat(0, "x [[EM"))
    assert read(restorer.end()) == read(chat(0, "[[EM"))


def test_an_event_that_is_too_large_is_passed_on() -> None:
    restorer = EventRestorer(values())
    large = b"data: " + b"x" * 2**20
    assert restorer.feed(large) == large
    assert restorer.feed(b"y\n\n") == b"y\n\n"
    assert read(restorer.feed(chat(0, "[[EMAIL_1]]"))) == read(chat(0, SECRETS[0]))


def test_a_repr_shows_no_value() -> None:
    assert "bob" not in repr(values())


@pytest.mark.parametrize("label", ["", "K7Q2"])
def test_a_label_tells_placeholders_apart(label: str) -> None:
    by = values(label)
    text = masked("bob@example.com", by)
    assert text == ("[[EMAIL_K7Q2_1]]" if label else "[[EMAIL_1]]")
    assert fed(PlainRestorer(by), [text.encode()]) == b"bob@example.com"


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from([
            b"data: ", b"{", b"}", b"[", b"]", b'"', b"\\", b":", b",", b"\n", b"\n\n", b"\r\n\r\n",
            b"[[EMAIL_", b"1]]", b'"content":"', b'"index":0', b'"finish_reason":"x"', b"\0",
            b"\xff",
            b'"type":"a.delta"', b"[DONE]", b"event: error\n",
        ]),
        max_size=30,
    ),
    CUTS,
)  # fmt: skip
def test_any_bytes_go_through(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    for restorer in (EventRestorer(values()), Restorer(values()), PlainRestorer(values())):
        out = fed(restorer, splits(data, cuts))
        if b"[" not in data:
            assert out == data


def test_data_that_are_nested_too_deeply_are_passed_on() -> None:
    deep = b'data: {"a":' + b"[" * 100_000 + b'"[[EMAIL_1]]"' + b"]" * 100_000 + b"}\n\n"
    assert fed(EventRestorer(values()), [deep]) == deep
    assert json.loads(fed(Restorer(values()), [b'["[[EMAIL_1]]"]'])) == [SECRETS[0]]
