"""The user's last message, in the form of each API."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.last_message import LastMessage, last_message

HI = LastMessage("hi", True)
USER = {"role": "user", "content": "hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


def of(body: Any) -> LastMessage | None:
    return last_message(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "found"),
    [
        # OpenAI, chat
        ({"messages": [USER]}, HI),
        ({"messages": [{"role": "system", "content": "s"}, USER]}, HI),
        ({"messages": [USER, {"role": "assistant", "content": "a"}]}, None),
        ({"messages": [USER, {"role": "tool", "content": "hi"}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}, HI),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}, IMAGE]}]},
            LastMessage("hi", False),
        ),
        ({"messages": []}, None),
        ({"messages": [{"role": "user"}]}, None),
        ({"messages": [{"role": "user", "content": None}]}, None),
        # completions
        ({"prompt": "hi"}, HI),
        ({"prompt": ["hi", "there"]}, LastMessage("hi\nthere", True)),
        ({"prompt": [1, 2]}, LastMessage("", False)),
        # Responses
        ({"input": "hi"}, HI),
        ({"input": [USER]}, HI),
        (
            {"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]},
            HI,
        ),
        ({"input": [{"type": "message", **USER}]}, HI),
        ({"input": [USER, {"type": "function_call_output", "output": "hi"}]}, None),
        ({"input": [USER, {"type": "message", "role": "assistant", "content": "a"}]}, None),
        # Anthropic
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": "hi"}]}]},
            LastMessage("", False),
        ),
        # Gemini
        ({"contents": [{"parts": [{"text": "hi"}]}]}, HI),
        ({"contents": [{"role": "user", "parts": [{"text": "h"}, {"text": "i"}]}]},
         LastMessage("h\ni", True)),
        ({"contents": [{"role": "model", "parts": [{"text": "hi"}]}]}, None),
        (
            {"contents": [{"parts": [{"text": "hi"}, {"inlineData": {}}]}]},
            LastMessage("hi", False),
        ),
        # others
        ({}, None),
        ([], None),
        ({"messages": "hi"}, None),
        ({"messages": [1]}, None),
        ({"input": 1}, None),
    ],
)  # fmt: skip
def test_the_last_message(body: Any, found: LastMessage | None) -> None:
    assert of(body) == found


@given(st.binary() | st.text(alphabet='{}[]":, messagesroltupin').map(str.encode))
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    last_message(body)


def test_a_body_of_millions_of_messages_takes_no_memory() -> None:
    body = b'{"messages":[' + b"{}," * 2_000_000 + b"{}]}"
    tracemalloc.start()
    assert last_message(body) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000
