"""What a conversation is recognised by stays the same, byte by byte, over its turns."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.prompt import Prompt

PLENTY = 1_000_000
SYSTEM = '{"role":"system","content":"be brief"}'
DEVELOPER = '{"role":"developer","content":"be kind"}'
USER = '{"role":"user","content":"why?"}'
OTHER = '{"role":"assistant","content":"because"}'


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        # OpenAI, chat completions
        (f'{{"messages":[{USER}]}}', USER),
        (f'{{"messages":[{SYSTEM},{USER},{OTHER},{USER}]}}', f"{SYSTEM}\n{USER}"),
        (f'{{"messages":[{SYSTEM},{DEVELOPER},{USER}]}}', f"{SYSTEM}\n{DEVELOPER}\n{USER}"),
        (f'{{"messages": [ {SYSTEM} , {USER} ] }}', f"{SYSTEM}\n{USER}"),  # space between
        ('{"messages":[{ "role" : "user" }]}', '{ "role" : "user" }'),  # and within
        (f'{{"messages":[{SYSTEM}]}}', SYSTEM),
        # OpenAI, completions
        ('{"prompt":"Once upon"}', '"Once upon"'),
        ('{"prompt":["Once","upon"]}', '["Once","upon"]'),
        # OpenAI, responses
        ('{"input":"why?"}', '"why?"'),
        ('{"instructions":"be brief","input":"why?"}', '"be brief"\n"why?"'),
        ('{"instructions":null,"input":"why?"}', '"why?"'),
        (f'{{"input":[{DEVELOPER},{USER},{OTHER}]}}', f"{DEVELOPER}\n{USER}"),
        (f'{{"input": [ {USER},{OTHER}]}}', USER),
        ('{"input":[{"type":"function_call_output"},{"role":"user"}]}',
         '{"type":"function_call_output"}'),
        # Anthropic
        (f'{{"system":"be brief","messages":[{USER},{OTHER}]}}', f'"be brief"\n{USER}'),
        (f'{{"messages":[{USER}],"system":[{{"type":"text"}}]}}', f'[{{"type":"text"}}]\n{USER}'),
        # Gemini
        ('{"contents":[{"parts":[1]},{"role":"model"}]}', '{"parts":[1]}'),
        ('{"systemInstruction":{"parts":[]},"contents":[{"role":"user"},{"role":"model"}]}',
         '{"parts":[]}\n{"role":"user"}'),
        ('{"system_instruction":{"parts":[]},"contents":[{"role":"user"}]}',
         '{"parts":[]}\n{"role":"user"}'),
        # none of these
        ("", ""), ("{", ""), ("null", ""), ("[]", ""), ("{}", ""), ('{"model":"m"}', ""),
        ('{"messages":5}', ""), ('{"messages":[{"role":5}]}', ""), ('{"messages":[]}', ""),
        ('{"messages":null,"input":null,"prompt":null,"system":null}', ""),
        ('{"messages":[1,2]}', "1"),
        ('{"messages":' + "[" * 100_000, ""),
    ],
)  # fmt: skip
def test_table(body: str, expected: str) -> None:
    assert Prompt(body.encode()).start(PLENTY) == expected.encode()


TEXT = st.text(max_size=20)
SHAPES = [
    ("messages", {}),
    ("messages", {"system": "be brief"}),
    ("input", {"instructions": "be brief"}),
    ("contents", {"systemInstruction": {"parts": [{"text": "be brief"}]}}),
]


@given(
    st.sampled_from(SHAPES),
    st.lists(st.fixed_dictionaries({"role": st.just("system"), "content": TEXT}), max_size=2),
    TEXT,
    st.lists(
        st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"])}), max_size=4
    ),
    st.dictionaries(st.sampled_from(["tools", "temperature", "model", "stream"]), TEXT),
    st.integers(0, 200),
)
def test_later_turns_begin_alike(
    shape: tuple[str, dict[str, Any]],
    system: list[Any],
    asked: str,
    later: list[Any],
    more: dict[str, Any],
    size: int,
) -> None:
    member, given_once = shape
    first = [*system, {"role": "user", "content": asked}]
    now = json.dumps({**given_once, member: first}).encode()
    then = json.dumps({**more, **given_once, member: first + later}).encode()
    assert Prompt(now).start(size) == Prompt(then).start(size)
    assert Prompt(now).start(PLENTY) != b""


@given(TEXT, TEXT)
def test_other_questions_begin_otherwise(one: str, other: str) -> None:
    starts = {
        Prompt(json.dumps({"messages": [{"role": "user", "content": text}]}).encode()).start(PLENTY)
        for text in (one, other)
    }
    assert len(starts) == len({one, other})


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)
MEMBERS = ["messages", "contents", "input", "prompt", "system", "instructions"]


@given(
    st.binary() | st.dictionaries(st.sampled_from(MEMBERS), JSON).map(json.dumps),
    st.integers(0, 50),
)
def test_whatever_comes(body: str | bytes, size: int) -> None:
    data = body.encode() if isinstance(body, str) else body
    start = Prompt(data).start(size)
    assert len(start) <= size
    assert start == Prompt(data).start(PLENTY)[:size]


@given(st.binary())
def test_what_is_no_object_gives_nothing(body: bytes) -> None:
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        assert Prompt(body).start(PLENTY) == b""


@pytest.mark.parametrize("item", ["1", "{}", "[]", SYSTEM])
def test_millions_of_messages_make_nothing_of_themselves(item: str) -> None:
    body = ('{"messages":[' + ",".join([item] * 300_000) + "]}").encode()
    tracemalloc.start()
    start = Prompt(body).start(PLENTY)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert start.startswith(item.encode())
    assert most < 100_000
