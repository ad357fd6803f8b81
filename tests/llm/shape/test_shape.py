"""What a body becomes, for each API and operation; what is not named stays byte for byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.dialects import Dialect, Operation, error_body
from sidecar.llm.failures import read_failure
from sidecar.llm.shape.context import Context, TooLong, estimate, message_for
from sidecar.llm.shape.fields import Bounds
from sidecar.llm.shape.shape import ShapeSettings, in_json, shape

CAPPED = ShapeSettings(max_tokens=Bounds(64, None, 128, required=True))


def shaped(
    body: bytes, settings: ShapeSettings, dialect: Dialect = "openai", operation: Operation = "chat"
) -> bytes:
    new = shape(body, dialect, operation, settings)
    assert (new.body is None) == (not new.changes)
    return body if new.body is None else new.body


@pytest.mark.parametrize(
    ("dialect", "operation", "body", "becomes"),
    [
        ("openai", "chat", b"{}", b'{"max_completion_tokens":64}'),
        ("openai", "chat", b'{"max_tokens": 500}', b'{"max_tokens": 128}'),
        ("openai", "chat", b'{"max_tokens":null}', b'{"max_tokens":64}'),
        ("openai", "chat", b'{"max_completion_tokens":128}', ...),
        ("openai", "chat", b'{"max_tokens":9,"max_completion_tokens":1e3}',
         b'{"max_tokens":9,"max_completion_tokens":128}'),
        ("openai", "chat", b'{"max_tokens":-1}', b'{"max_tokens":128}'),
        ("openai", "chat", b'{"max_tokens":"4000"}', b'{"max_tokens":128}'),
        ("openai", "completions", b"{}", b'{"max_tokens":64}'),
        ("openai", "responses", b"{}", b'{"max_output_tokens":64}'),
        ("openai", "embeddings", b"{}", ...),
        ("mistral", "chat", b"{}", b'{"max_tokens":64}'),
        ("cohere", "chat", b"{}", b'{"max_tokens":64}'),
        ("anthropic", "messages", b'{"max_tokens":4096}', b'{"max_tokens":128}'),
        ("anthropic", "messages", b"{}", b'{"max_tokens":64}'),
        ("anthropic", "converse", b'{"inferenceConfig":{"topP":1}}',
         b'{"inferenceConfig":{"topP":1,"maxTokens":64}}'),
        ("gemini", "generateContent", b"{}", b'{"generationConfig":{"maxOutputTokens":64}}'),
        ("gemini", "streamGenerateContent", b'{"generation_config":{"max_output_tokens":999}}',
         b'{"generation_config":{"max_output_tokens":128}}'),
        ("gemini", "generateContent", b'{"generation_config":{}}',
         b'{"generation_config":{"maxOutputTokens":64}}'),
        ("gemini", "generateContent", b'{"generationConfig":null}',
         b'{"generationConfig":{"maxOutputTokens":64}}'),
        ("gemini", "countTokens", b"{}", ...),
    ],
)  # fmt: skip
def test_the_bound_is_in_the_field_of_the_operation(
    dialect: Dialect, operation: Operation, body: bytes, becomes: object
) -> None:
    assert shaped(body, CAPPED, dialect, operation) == (body if becomes is ... else becomes)


@pytest.mark.parametrize(
    ("bounds", "body", "becomes"),
    [
        (Bounds(64), b'{"max_tokens":9999}', b'{"max_tokens":9999}'),
        (Bounds(64), b'{"max_tokens":-1}', b'{"max_tokens":-1}'),
        (Bounds(None, None, 128, required=True), b"{}", b'{"max_tokens":128}'),
    ],
)
def test_default_and_cap_are_each_by_itself(bounds: Bounds, body: bytes, becomes: bytes) -> None:
    assert shaped(body, ShapeSettings(bounds, "max_tokens")) == becomes


@pytest.mark.parametrize(
    ("dialect", "operation", "body", "becomes"),
    [
        ("openai", "chat", b"{}", b'{"temperature":0.3}'),
        ("openai", "chat", b'{"temperature":0.25}', ...),
        ("openai", "chat", b'{"temperature":0}', b'{"temperature":0.2}'),
        ("openai", "chat", b'{"temperature":1.7,"top_p":1}', b'{"temperature":1,"top_p":0.9}'),
        ("openai", "chat", b'{"temperature":"hot"}', ...),
        ("cohere", "chat", b'{"temperature":0.5,"p":0.95}', b'{"temperature":0.5,"p":0.9}'),
        ("gemini", "generateContent", b'{"generationConfig":{"temperature":0.5,"topP":0.95}}',
         b'{"generationConfig":{"temperature":0.5,"topP":0.9}}'),
    ],
)  # fmt: skip
def test_sampling_is_brought_within_bounds(
    dialect: Dialect, operation: Operation, body: bytes, becomes: object
) -> None:
    settings = ShapeSettings(temperature=Bounds(0.3, 0.2, 1.0), top_p=Bounds(None, None, 0.9))
    assert shaped(body, settings, dialect, operation) == (body if becomes is ... else becomes)


def test_fields_are_stripped_and_added_and_told() -> None:
    settings = ShapeSettings(
        strip=(("user",), ("metadata", "id"), ("none",)),
        add=((("store",), in_json(False)), (("metadata", "team"), in_json("ä"))),
    )
    body = b'{"model":"m" , "user":"u","metadata":{"id":1, "x":1.0}, "store":true}'
    new = shape(body, "openai", "chat", settings)
    assert new.body == '{"model":"m","metadata":{"x":1.0,"team":"ä"}, "store":true}'.encode()
    assert new.changes == {"stripped": "2", "added": "1"}


SYSTEM = "Always answer in English. Always answer in English.\n\n\nBe kind."
TRIMMED = "Always answer in English.\n\nBe kind."


def system(role: str, text: object) -> dict[str, object]:
    return {"role": role, "content": text}


@pytest.mark.parametrize(
    ("body", "trimmed"),
    [
        ({"messages": [system("system", SYSTEM)]}, {"messages": [system("system", TRIMMED)]}),
        ({"messages": [system("developer", [{"type": "text", "text": SYSTEM}])]},
         {"messages": [system("developer", [{"type": "text", "text": TRIMMED}])]}),
        ({"messages": [system("user", SYSTEM), system("system", SYSTEM)]}, ...),
        ({"system": SYSTEM, "messages": [system("user", SYSTEM)]},
         {"system": TRIMMED, "messages": [system("user", SYSTEM)]}),
        ({"system": [{"text": SYSTEM, "cache_control": {"type": "ephemeral"}}]},
         {"system": [{"text": TRIMMED, "cache_control": {"type": "ephemeral"}}]}),
        ({"instructions": SYSTEM, "input": SYSTEM}, {"instructions": TRIMMED, "input": SYSTEM}),
        ({"input": [system("system", SYSTEM)]}, {"input": [system("system", TRIMMED)]}),
        ({"system_instruction": {"parts": [{"text": SYSTEM}]}},
         {"system_instruction": {"parts": [{"text": TRIMMED}]}}),
        ({"input": ["a", "b"], "messages": 1, "system": 5}, ...),
    ],
)  # fmt: skip
def test_the_system_prompt_is_trimmed_wherever_it_stands(body: Any, trimmed: Any) -> None:
    new = shape(json.dumps(body).encode(), "openai", "chat", ShapeSettings(trim_system=True))
    if trimmed is ...:
        assert new == (None, {}, 0)
        return
    assert json.loads(new.body or b"") == trimmed
    assert (new.changes, new.saved) == ({"system-trimmed": "~7"}, 7)


def test_half_an_emoji_is_left_alone() -> None:
    body = b'{"system":"\\ud83d Always answer in English. Always answer in English."}'
    assert shape(body, "anthropic", "messages", ShapeSettings(trim_system=True)).body is None


# -- the context --


def words(count: int) -> str:
    return "word " * count


def call(name: str) -> dict[str, object]:
    return {"role": "assistant", "tool_calls": [{"id": name, "type": "function"}]}


def result(name: str) -> dict[str, object]:
    return {"role": "tool", "tool_call_id": name, "content": words(40)}


def fitted(messages: list[Any], tokens: int, name: str = "messages") -> list[Any]:
    settings = ShapeSettings(context=Context(tokens, 4, "drop"))
    body = json.dumps({"model": "m", name: messages, "n": 1}).encode()
    new = shaped(body, settings)
    assert json.loads(new) | {name: 0} == {"model": "m", name: 0, "n": 1}
    found: list[Any] = json.loads(new)[name]
    return found


U1, A1 = system("user", words(20) + "1"), system("assistant", words(20) + "1")
U2, A2 = system("user", words(20) + "2"), system("assistant", words(20) + "2")
U3 = system("user", words(20) + "3")
S = system("system", "Be kind.")


@pytest.mark.parametrize(
    ("messages", "tokens", "kept"),
    [
        ([S, U1, A1, U2, A2, U3], 10_000, [S, U1, A1, U2, A2, U3]),
        ([S, U1, A1, U2, A2, U3], 140, [S, U2, A2, U3]),
        ([S, U1, A1, U2, A2, U3], 60, [S, U3]),
        # A system message in between stays, as the first does.
        ([U1, A1, S, U2], 60, [S, U2]),
        # What an assistant says first goes with the first turn.
        ([A1, U1, A1, U2], 60, [U2]),
        # A call and its results are in one turn.
        ([U1, call("a"), result("a"), A1, U2], 60, [U2]),
        # One over two turns holds them together: here only both may go.
        ([U1, call("a"), U2, result("a"), U3], 130, [U3]),
    ],
)
def test_the_oldest_turns_are_dropped(messages: list[Any], tokens: int, kept: list[Any]) -> None:
    assert fitted(messages, tokens) == kept


def test_results_of_tools_begin_no_turn() -> None:
    use = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "input": {}}]}
    done = {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "t", "content": words(60)}],
    }
    assert fitted([U1, use, done, A1, U2], 100) == [U2]
    with pytest.raises(TooLong):  # all of it is the last turn
        fitted([U1, use, done], 60)


def test_contents_of_gemini_and_items_of_responses_are_turns_too() -> None:
    ask = {"role": "user", "parts": [{"text": words(30)}]}
    reply = {"role": "user", "parts": [{"functionResponse": {"name": "f"}}]}
    tell = {"role": "model", "parts": [{"functionCall": {"name": "f"}}]}
    assert fitted([ask, tell, reply, ask], 60, "contents") == [ask]
    item = {"type": "function_call", "call_id": "c", "arguments": words(20)}
    output = {"type": "function_call_output", "call_id": "c", "output": words(20)}
    assert fitted([U1, item, output, U2], 60, "input") == [U2]


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [U1]},
        {"messages": [S, system("user", words(90))]},
        {"input": words(90)},
        {"messages": [S, U1, call("a"), U2, result("a")]},
        {"messages": ["a", "b", words(90)]},
    ],
)
@pytest.mark.parametrize("over", ["drop", "refuse"])
def test_what_can_not_be_made_shorter_is_refused(body: Any, over: Any) -> None:
    settings = ShapeSettings(context=Context(20, 4, over))
    with pytest.raises(TooLong) as caught:
        shape(json.dumps(body).encode(), "openai", "chat", settings)
    assert caught.value.estimate > caught.value.most == 20


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini", "mistral", "cohere"])
def test_the_refusal_is_understood_as_one(dialect: Dialect) -> None:
    body = error_body(dialect, 400, "other", message_for(dialect, TooLong(300, 200)), "")
    assert read_failure(400, {}, body, 0.0).kind == "context_length"


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (b'"abcdef"', 2),
        (b"\\u4e2d\\u4e2d\\u4e2d\\u4e2d", 3),
        (b"A" * 100_000, 1000),
        (b'"' + b"A" * 511 + b'"', 513 / 4),
        (b"", 0),
        (b"a b " * 64 + b"A" * 300 + b" " + b"A" * 300, 857 / 4),
        (b" " * 40 + b"A" * 511 + b" " + b"A" * 512 + b" " + b"A" * 2000, 2000 + 553 / 4),
    ],
)
def test_tokens_are_estimated_by_the_stated_rule(text: bytes, tokens: float) -> None:
    assert estimate(text, 4) == tokens


@given(st.lists(st.integers(1, 1200), max_size=9), st.integers(0, 300))
def test_runs_are_found_wherever_they_stand(lengths: list[int], before: int) -> None:
    text = b" " * before + b" ".join(b"A" * length for length in lengths)
    long = [length for length in lengths if length >= 512]
    assert estimate(text, 1) == len(text) - sum(long) + 1000 * len(long)


MESSAGES = st.lists(
    st.sampled_from([S, U1, A1, U2, call("a"), result("a"), call("b"), result("b")]), max_size=12
)


@given(MESSAGES, st.integers(20, 400))
def test_calls_and_results_stay_together_and_the_last_turn_stays(
    messages: list[Any], tokens: int
) -> None:
    body = json.dumps({"messages": messages}).encode()
    settings = ShapeSettings(context=Context(tokens, 4, "drop"))
    try:
        new = shape(body, "openai", "chat", settings)
    except TooLong:
        return
    left = json.loads(new.body or body)["messages"]
    assert estimate(json.dumps(left).encode(), 4) <= tokens + 1
    assert [m for m in left if m is S or m == S] == [m for m in messages if m == S]
    users = [i for i, m in enumerate(messages) if m["role"] == "user"]
    last = messages[users[-1] :] if users else messages
    assert [m for m in left if m != S][-len([m for m in last if m != S]) :] == [
        m for m in last if m != S
    ] or not last
    for name in "ab":
        for each in (call(name), result(name)):
            # Of each, as many are left as there were, or as none of its counterpart are.
            other = result(name) if each == call(name) else call(name)
            if left.count(each) < messages.count(each):
                assert not (left.count(other) and not left.count(each) and messages.count(each))


@given(st.dictionaries(st.text(min_size=1, max_size=4), st.integers() | st.text(), max_size=5))
def test_other_members_stay_byte_for_byte(others: dict[str, Any]) -> None:
    for name in ("max_tokens", "max_completion_tokens", "temperature", "messages", "system"):
        others.pop(name, None)
    text = json.dumps(others, indent=2).encode()
    new = shaped(text, CAPPED._replace(trim_system=True, context=Context(9**9, 4, "drop")))
    end = text.rfind(b"\n}") if others else 1
    assert new.startswith(text[:end])
    assert json.loads(new) == {**others, "max_completion_tokens": 64}
