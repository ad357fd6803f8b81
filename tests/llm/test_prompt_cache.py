"""Which bodies get which hint, and that no other byte of them changes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.llm.dialects import Dialect, Operation
from sidecar.llm.prompt_cache import Hints, hint, takes_hints
from sidecar.llm.splice import UNREADABLE

ANY = Hints(0, "5m")


@pytest.mark.parametrize(
    ("dialect", "operation", "path", "taken"),
    [
        ("anthropic", "messages", b"/v1/messages?beta=true", True),
        ("anthropic", "messages", b"/v1/p/models/claude:rawPredict", False),
        ("anthropic", "count_tokens", b"/v1/messages/count_tokens", False),
        ("openai", "chat", b"/v1/chat/completions", True),
        ("openai", "responses", b"/v1/responses", True),
        ("openai", "completions", b"/v1/completions", False),
        ("mistral", "chat", b"/v1/chat/completions", False),
    ],
)
def test_which_calls_take_hints(
    dialect: Dialect, operation: Operation, path: bytes, taken: bool
) -> None:
    assert takes_hints(dialect, operation, path) is taken


def test_the_mark_stands_at_the_end_and_all_else_stays() -> None:
    body = b'{ "model":"c", "messages" : [],"x":1.0 }'
    hinted = hint(body, "anthropic", ANY)
    assert hinted.result == "added"
    assert hinted.body == body[:-2] + b',"cache_control":{"type":"ephemeral"} }'
    longer = hint(body, "anthropic", Hints(0, "1h")).body
    assert longer is not None
    assert json.loads(longer)["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert hint(body, "anthropic", Hints(len(body) + 1, "5m")).result == "short"
    assert hint(body.decode().encode("utf-16"), "anthropic", ANY).result == "added"


@pytest.mark.parametrize(
    "body",
    [
        b'{"cache_control":null}',
        b'{"system":[{"text":"a","cache_control":{"type":"ephemeral"}}]}',
        b'{"tools":[{"cache\\u005fcontrol":{"type":"ephemeral"}}]}',
        b'{"tools":[{"cache\\u005Fcontr\\u006fl":{"type":"ephemeral"}}]}',
    ],
)
def test_a_callers_own_marks_are_kept(body: bytes) -> None:
    assert hint(body, "anthropic", ANY) == ("kept", None, None)


def test_a_text_that_speaks_of_marks_has_none() -> None:
    body = json.dumps({"messages": [{"content": 'put "cache_control" there'}]}).encode()
    assert hint(body, "anthropic", ANY).result == "added"


def chat(*turns: str, **more: Any) -> bytes:
    roles = ("system", "user", "assistant", "user", "assistant")
    messages = [{"role": r, "content": t} for r, t in zip(roles, turns, strict=False)]
    return json.dumps({"messages": messages, **more}).encode()


def test_turns_of_a_conversation_have_one_key_and_others_another() -> None:
    first = hint(chat("be kind", "hi"), "openai", ANY)
    assert first.key is not None
    assert first.body is not None
    assert json.loads(first.body)["prompt_cache_key"] == first.key.decode()
    assert len(first.key) <= 64
    later = hint(chat("be kind", "hi", "hello", "more", model="m"), "openai", ANY)
    assert later.key == first.key
    assert hint(chat("be kind", "ho"), "openai", ANY).key != first.key
    assert hint(chat("be kind", "hi", prompt_cache_key=None), "openai", ANY).key == first.key


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"prompt_cache_key": "mine"}, ("kept", None, b"mine")),
        ({"prompt_cache_key": 7}, ("kept", None, None)),
        ({"previous_response_id": "resp_1", "input": "more"}, ("continued", None, None)),
        ({}, ("continued", None, None)),
    ],
)
def test_bodies_that_get_no_key(more: dict[str, Any], expected: Any) -> None:
    assert hint(json.dumps(more).encode(), "openai", ANY) == expected


def test_a_stored_conversation_has_the_key_of_its_id() -> None:
    keys = {
        hint(json.dumps({"conversation": said, "input": text}).encode(), "openai", ANY).key
        for said in ("conv_1", {"id": "conv_1"})
        for text in ("hi", "ho")
    }
    assert len(keys) == 1


@given(st.binary())
def test_any_bytes_are_hinted_or_unreadable(body: bytes) -> None:
    dialects: tuple[Dialect, ...] = ("openai", "anthropic")
    for dialect in dialects:
        try:
            hinted = hint(body, dialect, ANY)
        except UNREADABLE:
            continue
        if hinted.body is not None:
            msgspec.json.decode(hinted.body)
