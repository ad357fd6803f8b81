"""What is said in requests of every dialect, as OpenTelemetry's conventions write it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.llm.spoken import Content, answered, asked

MOST = 4096
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def text(content: str) -> dict[str, str]:
    return {"type": "text", "content": content}


@pytest.mark.parametrize(
    ("body", "system", "messages"),
    [
        (
            {
                "messages": [
                    {"role": "system", "content": "be short"},
                    {"role": "user", "content": [{"type": "text", "text": "hi"}, IMAGE]},
                    {"role": "assistant", "content": None, "tool_calls": []},
                    {"role": "tool", "content": "42"},
                ]
            },
            [text("be short")],
            [
                ("user", [text("hi"), {"type": "image_url"}]),
                ("assistant", []),
                ("tool", [text("42")]),
            ],
        ),
        (
            {
                "system": [{"type": "text", "text": "a"}],
                "messages": [{"role": "user", "content": "b"}],
            },
            [text("a")],
            [("user", [text("b")])],
        ),
        (
            {
                "systemInstruction": {"parts": [{"text": "s"}]},
                "contents": [
                    {"role": "user", "parts": [{"text": "q"}, {"inlineData": {}}]},
                    {"role": "model", "parts": [{"text": "a"}]},
                ],
            },
            [text("s")],
            [("user", [text("q"), {"type": "inlineData"}]), ("assistant", [text("a")])],
        ),
        ({"instructions": "i", "input": "q"}, [text("i")], [("user", [text("q")])]),
        ({"input": ["a", "b"]}, None, [("user", [text("a")]), ("user", [text("b")])]),
        (
            {"input": [{"type": "function_call_output", "output": "42"}]},
            None,
            [("function_call_output", [])],
        ),
        ({"prompt": "p"}, None, [("user", [text("p")])]),
    ],
)
def test_what_is_asked(
    body: dict[str, Any], system: list[Any] | None, messages: list[tuple[str, list[Any]]]
) -> None:
    said = asked(json.dumps(body).encode(), MOST)
    assert (json.loads(said.system) if said.system else None) == system
    assert [(each["role"], each["parts"]) for each in json.loads(said.input)] == messages


def test_the_last_messages_are_told_and_long_ones_are_cut() -> None:
    body = {"messages": [{"role": "user", "content": word * 30} for word in "abc"]}
    said = json.loads(asked(json.dumps(body).encode(), 40).input)
    assert [each["parts"][0]["content"] for each in said] == ["b" * 10 + "...", "c" * 30]


@pytest.mark.parametrize("body", [b"", b"[1]", b"{", b'{"messages": 3, "input": {"a": 1}}'])
def test_what_can_not_be_read_is_not_told(body: bytes) -> None:
    assert asked(body, MOST) == Content()


def test_an_answer() -> None:
    [message] = json.loads(answered("yes", "stop"))
    assert message == {"role": "assistant", "parts": [text("yes")], "finish_reason": "stop"}
