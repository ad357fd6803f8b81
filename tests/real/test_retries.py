"""Retries between real SDKs and a failing server: who makes them, and who is told not to."""

from __future__ import annotations

import json

import anthropic
import openai
import pytest
from lockstep import completion
from peers import Play, Sidecar
from programs import run
from scripted import Exchange
from sdk import ask, sync_anthropic, sync_openai
from test_node import node_command


def _fails(exchange: Exchange) -> None:
    exchange.json(500, {"error": {"message": "no"}})


def _fails_once(exchange: Exchange) -> None:
    if exchange.header("x-stainless-retry-count") is None:
        raise AssertionError("the SDK does not count its retries any more")
    exchange.json(200, completion("well"))


def test_an_endpoint_that_is_down_is_not_noticed(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails_once, route="openai-pair")
    with sync_openai(scene.url) as client:
        for _ in range(10):
            reply = client.chat.completions.create(model="m", messages=ask("x"))
            assert reply.choices[0].message.content == "well"
    assert len(scene.exchanges) == 10


def test_a_failure_is_repeated_by_us_and_by_the_sdk(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails)
    with sync_openai(scene.url, max_retries=1) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m", messages=ask("x"))
    assert len(scene.exchanges) == 6  # three attempts of ours for each of the SDK's two
    assert [e.header("x-stainless-retry-count") for e in scene.exchanges] == ["0"] * 3 + ["1"] * 3


def _storm(url: str) -> None:
    """Let so many calls fail that it can be no chance: only then is the SDK told to stop."""
    with sync_openai(url, max_retries=0) as client:
        for _ in range(24):
            with pytest.raises(openai.InternalServerError):
                client.chat.completions.create(model="m", messages=ask("x"))


def test_a_failure_now_and_then_is_left_to_the_sdk(play: Play, sidecar: Sidecar) -> None:
    def fails_twice(exchange: Exchange) -> None:
        (_fails if len(scene.exchanges) < 3 else _fails_once)(exchange)

    scene = play(fails_twice, route="openai-spent")
    with sync_openai(scene.url, max_retries=2) as client:
        client.chat.completions.create(model="m", messages=ask("x"))
    assert len(scene.exchanges) == 3


def test_a_rate_limit_is_left_to_the_sdk(play: Play, sidecar: Sidecar) -> None:
    scene = play(lambda exchange: exchange.json(429, {"error": {}}, [("retry-after-ms", "50")]))
    with (
        sync_openai(scene.url, max_retries=2) as client,
        pytest.raises(openai.RateLimitError) as caught,
    ):
        client.chat.completions.create(model="m", messages=ask("x"))
    assert "x-should-retry" not in caught.value.response.headers
    assert len(scene.exchanges) == 3


def test_openai_stops_in_a_storm(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails, route="openai-spent")
    _storm(scene.url)
    before = len(scene.exchanges)
    with (
        sync_openai(scene.url, max_retries=5) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.chat.completions.create(model="m", messages=ask("x"))
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(scene.exchanges) == before + 1


def test_anthropic_stops_in_a_storm(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails, route="anthropic-spent")
    with sync_anthropic(scene.url, max_retries=0) as client:
        for _ in range(24):
            with pytest.raises(anthropic.InternalServerError):
                _message(client)
    before = len(scene.exchanges)
    with (
        sync_anthropic(scene.url, max_retries=5) as client,
        pytest.raises(anthropic.InternalServerError),
    ):
        _message(client)
    assert len(scene.exchanges) == before + 1


def _message(client: anthropic.Anthropic) -> None:
    client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])


def test_node_stops_in_a_storm(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails, route="openai-spent")
    _storm(scene.url)
    before = len(scene.exchanges)
    told = json.loads(run([*node_command(scene.url, "whole"), "5"]).stdout)
    assert told["kind"] == "InternalServerError"
    assert len(scene.exchanges) == before + 1
