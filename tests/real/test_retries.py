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


def test_openai_stops_when_the_budget_is_spent(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails, route="openai-spent")
    with (
        sync_openai(scene.url, max_retries=5) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.chat.completions.create(model="m", messages=ask("x"))
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(scene.exchanges) == 1


def test_anthropic_stops_when_the_budget_is_spent(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails, route="anthropic-spent")
    with (
        sync_anthropic(scene.url, max_retries=5) as client,
        pytest.raises(anthropic.InternalServerError),
    ):
        client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "x"}])
    assert len(scene.exchanges) == 1


def test_node_stops_when_the_budget_is_spent(play: Play, sidecar: Sidecar) -> None:
    scene = play(_fails, route="openai-spent")
    told = json.loads(run([*node_command(scene.url, "whole"), "5"]).stdout)
    assert told["kind"] == "InternalServerError"
    assert len(scene.exchanges) == 1
