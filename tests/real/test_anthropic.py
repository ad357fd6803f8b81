"""The anthropic SDK for Python: messages, its streaming helper, errors."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import httpx2
import pytest
from lockstep import TEXTS, Lockstep
from peers import Play, Sidecar, Ways
from scripted import Exchange
from sdk import async_anthropic, sync_anthropic

CALL: dict[str, Any] = {
    "model": "simulated",
    "max_tokens": 30,
    "messages": [{"role": "user", "content": "tell me"}],
}


def _text(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def test_message_is_the_servers_own(simulated: str, ways: Ways) -> None:
    texts = []
    for url in (simulated, ways.direct("simulated")):
        with sync_anthropic(url) as client:
            message = client.messages.create(**CALL)
        assert message.usage.output_tokens == 30
        texts.append(_text(message))
    assert texts[0]
    assert texts[0] == texts[1]


def test_streams_have_the_text_of_the_whole_message(simulated: str) -> None:
    with sync_anthropic(simulated) as client:
        whole = _text(client.messages.create(**CALL))
        events = list(client.messages.create(**CALL, stream=True))
        with client.messages.stream(**CALL) as stream:
            pieces = list(stream.text_stream)
            final = stream.get_final_message()
    assert events[0].type == "message_start"
    assert events[-1].type == "message_stop"
    assert len(pieces) == 30
    assert "".join(pieces) == _text(final) == whole
    assert final.stop_reason == "max_tokens"


def test_async_calls_at_once(simulated: str) -> None:
    async def run() -> None:
        async with async_anthropic(simulated) as client:

            async def streamed() -> str:
                async with client.messages.stream(**CALL) as stream:
                    return "".join([text async for text in stream.text_stream])

            whole = _text(await client.messages.create(**CALL))
            assert set(await asyncio.gather(*(streamed() for _ in range(20)))) == {whole}

    asyncio.run(run())


def _delta(text: str) -> dict[str, Any]:
    return {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": text},
    }


def _open(exchange: Exchange) -> None:
    exchange.sse_head()
    message: dict[str, Any] = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    block = {"type": "text", "text": ""}
    start = {"type": "content_block_start", "index": 0, "content_block": block}
    exchange.event({"type": "message_start", "message": message}, "message_start")
    exchange.event(start, "content_block_start")


def test_each_event_arrives_before_the_next_is_sent(play: Play) -> None:
    steps = Lockstep()

    def script(exchange: Exchange) -> None:
        _open(exchange)
        for text in TEXTS:
            exchange.event(_delta(text), "content_block_delta")
            steps.await_got()
        exchange.event({"type": "content_block_stop", "index": 0}, "content_block_stop")
        exchange.event({"type": "message_stop"}, "message_stop")
        exchange.end()

    texts = []
    with (
        sync_anthropic(play(script, "anthropic-scripted").url) as client,
        client.messages.stream(**CALL) as stream,
    ):
        for text in stream.text_stream:
            texts.append(text)
            steps.got()
    assert texts == TEXTS


def test_broken_stream_never_ends_cleanly(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        _open(exchange)
        exchange.event(_delta("x"), "content_block_delta")
        exchange.cut()

    with (
        sync_anthropic(play(script, "anthropic-scripted").url) as client,
        # A connection that merely broke escapes this SDK as its HTTP library's error.
        pytest.raises((anthropic.APIError, httpx2.TransportError)),
        client.messages.stream(**CALL) as stream,
    ):
        stream.get_final_message()


def test_broken_stream_says_why(sidecar: Sidecar, play: Play) -> None:
    def script(exchange: Exchange) -> None:
        _open(exchange)
        exchange.cut()

    with (
        sync_anthropic(play(script, "anthropic-scripted").url) as client,
        pytest.raises(anthropic.APIStatusError) as caught,
        client.messages.stream(**CALL) as stream,
    ):
        stream.get_final_message()
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"
    assert caught.value.body["error"]["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (404, anthropic.NotFoundError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.APIStatusError),
    ],
)
def test_servers_error_is_raised_as_its_own_kind(
    play: Play, status: int, kind: type[anthropic.APIStatusError]
) -> None:
    body = {"type": "error", "error": {"type": "t", "message": "no, because"}}
    later = [("retry-after", "3600"), ("request-id", "req_9")]
    scene = play(lambda exchange: exchange.json(status, body, later), "anthropic-scripted")
    with sync_anthropic(scene.url) as client, pytest.raises(kind) as caught:
        client.messages.create(**CALL)
    assert caught.value.status_code == status
    assert caught.value.body == body
    assert caught.value.request_id == "req_9"
    assert caught.value.response.headers["retry-after"] == "3600"


def test_our_own_error_has_anthropics_shape(sidecar: Sidecar) -> None:
    url = sidecar.url("/anthropic-unreachable")
    with sync_anthropic(url) as client, pytest.raises(anthropic.InternalServerError) as caught:
        client.messages.create(**CALL)
    headers = caught.value.response.headers
    assert headers["x-sidecar-error"] == "connect_failed"
    assert headers["x-request-id"]
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "error"
    assert set(caught.value.body["error"]) >= {"type", "message"}


def test_no_route_is_not_found(sidecar: Sidecar) -> None:
    with (
        sync_anthropic(sidecar.url("/nowhere")) as client,
        pytest.raises(anthropic.NotFoundError) as caught,
    ):
        client.messages.create(**CALL)
    assert caught.value.response.headers["x-sidecar-error"] == "no_route"


def test_leaving_a_stream_frees_the_server(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        _open(exchange)
        exchange.event(_delta("x"), "content_block_delta")
        exchange.await_close()

    scene = play(script, "anthropic-scripted")
    with (
        sync_anthropic(scene.url) as client,
        client.messages.stream(**CALL) as stream,
    ):
        assert next(iter(stream.text_stream)) == "x"
    assert scene.only.closed.wait(10)
