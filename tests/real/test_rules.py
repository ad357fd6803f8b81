"""Rules, as the SDKs see them: an answer like any other, and an error like any other."""

from __future__ import annotations

import anthropic
import openai
import pytest
from peers import Sidecar
from sdk import ask, sync_anthropic, sync_openai

RULE = "x-sidecar-rule"


def test_chat_is_answered_whole_and_streaming(sidecar: Sidecar) -> None:
    with sync_openai(sidecar.url("/openai-rules/v1")) as client:
        raw = client.chat.completions.with_raw_response.create(model="m", messages=ask("ping"))
        assert raw.headers[RULE] == "ping"
        whole = raw.parse()
        assert whole.choices[0].message.content == "pong"
        assert (whole.choices[0].finish_reason, whole.model) == ("stop", "m")
        assert whole.usage is not None
        assert whole.usage.total_tokens == 0
        stream = client.chat.completions.create(
            model="m",
            messages=ask("ping"),
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "pong"
    assert chunks[-1].usage is not None


def test_completions_and_responses_are_answered(sidecar: Sidecar) -> None:
    with sync_openai(sidecar.url("/openai-rules/v1")) as client:
        assert client.completions.create(model="m", prompt="ping").choices[0].text == "pong"
        assert client.responses.create(model="m", input="ping").output_text == "pong"
        with client.responses.stream(model="m", input="ping") as stream:
            events = list(stream)
            assert stream.get_final_response().output_text == "pong"
    assert [event.sequence_number for event in events if hasattr(event, "sequence_number")]


def test_messages_are_answered_whole_and_streaming(sidecar: Sidecar) -> None:
    with sync_anthropic(sidecar.url("/anthropic-rules")) as client:
        whole = client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "ping"}]
        )
        assert [block.text for block in whole.content if block.type == "text"] == ["pong"]
        assert (whole.stop_reason, whole.usage.output_tokens) == ("end_turn", 0)
        with client.messages.stream(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "ping"}]
        ) as stream:
            assert "".join(stream.text_stream) == "pong"
            assert stream.get_final_message().stop_reason == "end_turn"


def test_a_refusal_is_the_sdks_own_exception(sidecar: Sidecar) -> None:
    with (
        sync_openai(sidecar.url("/openai-rules/v1"), max_retries=2) as client,
        pytest.raises(openai.PermissionDeniedError) as refused,
    ):
        client.chat.completions.create(model="m", messages=ask("a bomb"))
    assert refused.value.code == "rule_refused"
    assert refused.value.response.headers[RULE] == "bomb"
    with (
        sync_anthropic(sidecar.url("/anthropic-rules")) as client,
        pytest.raises(anthropic.PermissionDeniedError, match="Not here"),
    ):
        client.messages.create(
            model="m", max_tokens=9, messages=[{"role": "user", "content": "a bomb"}]
        )
