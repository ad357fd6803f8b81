"""Redaction and shaping, as the SDKs see them: masked upstream, restored for the caller."""

from __future__ import annotations

import json
import re
from typing import Any

import anthropic
import openai
import pytest
from lockstep import completion, token
from peers import Play, Sidecar
from scripted import Exchange
from sdk import sync_anthropic, sync_openai

MAIL = "bob@example.com"
SYSTEM = "You are a clerk.\nYou are a clerk.\nWrite mails."
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "send", "parameters": {"type": "object", "properties": {}}},
}


def placeholder(exchange: Exchange) -> str:
    """The one that the provider got instead of the address, which it did not."""
    assert MAIL.encode() not in exchange.body
    found = re.search(rb"\[\[EMAIL_1\]\]", exchange.body)
    assert found is not None
    return found[0].decode()


def pieces(text: str) -> list[str]:
    """*text* in tokens of three letters."""
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def chat(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(
        model="m",
        max_tokens=9000,
        messages=[
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": f"Write to {MAIL}."},
        ],
        **more,
    )


def test_chat_is_masked_shaped_and_restored(sidecar: Sidecar, play: Play) -> None:
    def script(exchange: Exchange) -> None:
        body = json.loads(exchange.body)
        assert body["max_tokens"] == 64
        assert body["messages"][0]["content"] == "You are a clerk.\nWrite mails."
        exchange.json(200, completion(f"To {placeholder(exchange)}: hello"))

    with sync_openai(play(script, "openai-redact").url) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="m",
            max_tokens=9000,
            messages=[
                {"role": "system", "content": SYSTEM},
                {"role": "user", "content": f"Write to {MAIL}."},
            ],
        )
    assert raw.parse().choices[0].message.content == f"To {MAIL}: hello"
    assert raw.headers["x-sidecar-redacted"] == "EMAIL=1"
    assert raw.headers["x-sidecar-shaped"] == "system-trimmed=~4, max_tokens=64"


def test_a_stream_of_chat_is_restored(sidecar: Sidecar, play: Play) -> None:
    def script(exchange: Exchange) -> None:
        arguments = json.dumps({"to": placeholder(exchange)})
        exchange.sse_head()
        for piece in pieces(f"To {placeholder(exchange)}: [["):
            exchange.event(token(piece))
        for n, piece in enumerate(pieces(arguments)):
            function = {"arguments": piece, **({} if n else {"name": "send"})}
            call = {
                "index": 0,
                "function": function,
                **({} if n else {"id": "c", "type": "function"}),
            }
            exchange.event(
                {**token(""), "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}
            )
        end = {"index": 0, "delta": {}, "finish_reason": "tool_calls"}
        exchange.event({**token(""), "choices": [end]})
        exchange.event("[DONE]")
        exchange.end()

    with sync_openai(play(script, "openai-redact").url) as client:
        chunks = list(chat(client, stream=True, tools=[TOOL]))
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.content or "" for delta in deltas) == f"To {MAIL}: [["
    calls = [call for delta in deltas for call in delta.tool_calls or []]
    assert json.loads("".join(call.function.arguments for call in calls)) == {"to": MAIL}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_responses_are_restored_over_their_events(sidecar: Sidecar, play: Play) -> None:
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}

    def response(text: str, status: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"id": "msg_1", "type": "message", "role": "assistant", "status": status}
        return {
            "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": status,
            "output": [{**item, "content": [part]}] if text else [], "tools": [],
            "parallel_tool_calls": True, "tool_choice": "auto",
        }  # fmt: skip

    def script(exchange: Exchange) -> None:
        text = f"To {placeholder(exchange)}."
        exchange.sse_head()
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": response("", "in_progress")},
            *(
                {"type": "response.output_text.delta", "delta": piece, "logprobs": [], **at}
                for piece in pieces(text)
            ),
            {"type": "response.output_text.done", "text": text, "logprobs": [], **at},
            {"type": "response.completed", "response": response(text, "completed")},
        ]
        for number, event in enumerate(events):
            exchange.event({**event, "sequence_number": number}, event["type"])
        exchange.end()

    url = play(script, "openai-redact").url
    with sync_openai(url) as client:
        events = list(client.responses.create(model="m", input=f"Write to {MAIL}.", stream=True))
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said) == f"To {MAIL}."
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == f"To {MAIL}."


def test_messages_are_restored_whole_and_streaming(sidecar: Sidecar, play: Play) -> None:
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip

    def whole(exchange: Exchange) -> None:
        found = placeholder(exchange)
        content = [
            {"type": "text", "text": f"To {found}"},
            {"type": "tool_use", "id": "t", "name": "send", "input": {"to": found}},
        ]
        exchange.json(200, {**message, "content": content, "stop_reason": "tool_use"})

    def stream(exchange: Exchange) -> None:
        found = placeholder(exchange)
        exchange.sse_head()
        start = {"type": "message_start", "message": {**message, "content": []}}
        exchange.event(start, "message_start")
        blocks: list[tuple[dict[str, Any], str, str, str]] = [
            ({"type": "text", "text": ""}, "text_delta", "text", f"To {found} [["),
            (
                {"type": "tool_use", "id": "t", "name": "send", "input": {}},
                "input_json_delta",
                "partial_json",
                json.dumps({"to": found}),
            ),
        ]
        for index, (block, kind, name, text) in enumerate(blocks):
            begin = {"type": "content_block_start", "index": index, "content_block": block}
            exchange.event(begin, "content_block_start")
            for piece in pieces(text):
                delta = {"type": kind, name: piece}
                event = {"type": "content_block_delta", "index": index, "delta": delta}
                exchange.event(event, "content_block_delta")
            exchange.event({"type": "content_block_stop", "index": index}, "content_block_stop")
        end = {"stop_reason": "tool_use", "stop_sequence": None}
        exchange.event(
            {"type": "message_delta", "delta": end, "usage": {"output_tokens": 9}}, "message_delta"
        )
        exchange.event({"type": "message_stop"}, "message_stop")
        exchange.end()

    call: dict[str, Any] = {
        "model": "m",
        "max_tokens": 30,
        "messages": [{"role": "user", "content": f"Write to {MAIL}."}],
    }
    with sync_anthropic(play(whole, "anthropic-redact").url) as client:
        told = client.messages.create(**call)
    assert told.content[0].type == "text"
    assert told.content[0].text == f"To {MAIL}"
    assert told.content[1].type == "tool_use"
    assert told.content[1].input == {"to": MAIL}
    with (
        sync_anthropic(play(stream, "anthropic-redact").url) as client,
        client.messages.stream(**call) as events,
    ):
        final = events.get_final_message()
    assert final.content[0].type == "text"
    assert final.content[0].text == f"To {MAIL} [["
    assert final.content[1].type == "tool_use"
    assert final.content[1].input == {"to": MAIL}


def test_what_can_not_be_looked_at_is_a_bad_request(sidecar: Sidecar) -> None:
    with (
        sync_openai(sidecar.url("/openai-redact/v1")) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        client.post("/chat/completions", body=[1], cast_to=object)
    assert caught.value.code == "not_redacted"
    with (
        sync_anthropic(sidecar.url("/anthropic-redact")) as anthropic_client,
        pytest.raises(anthropic.BadRequestError) as refused,
    ):
        anthropic_client.post("/v1/messages", body=[1], cast_to=object)
    assert refused.value.response.headers["x-sidecar-error"] == "not_redacted"
