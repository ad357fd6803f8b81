"""Java's HttpClient, which by default offers `Upgrade: h2c` with every request's body."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lockstep import TEXTS, Lockstep, completion
from peers import Play, Ways
from programs import reading, run
from scripted import Exchange

CALL = {
    "model": "tiny",
    "temperature": 0,
    "max_tokens": 30,
    "messages": [{"role": "user", "content": "tell me"}],
}
VERSIONS = pytest.mark.parametrize("version", ["default", "1.1"])


@pytest.fixture(scope="session")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the compiled client."""
    classes = str(tmp_path_factory.mktemp("java"))
    run(["javac", "-d", classes, str(Path(__file__).parent / "java" / "Client.java")])
    return ["java", "-XX:TieredStopAtLevel=1", "-cp", classes, "Client"]


def _replies(command: list[str]) -> list[str]:
    texts = []
    for line in run(command).stdout.splitlines():
        status, version, body = line.split(" ", 2)
        assert (status, version) == ("200", "HTTP_1_1")
        texts.append(json.loads(body)["choices"][0]["message"]["content"])
    return texts


@VERSIONS
def test_calls_in_a_row_are_the_servers_own(
    java: list[str], llama: str, ways: Ways, version: str
) -> None:
    path, body = "/chat/completions", json.dumps(CALL)
    texts = _replies([*java, llama + path, version, "whole", body])
    direct = ways.direct("llama", "/v1")
    assert texts == _replies([*java, direct + path, "1.1", "whole", body])
    assert len(set(texts)) == 1


@VERSIONS
def test_stream_by_lines(java: list[str], llama: str, version: str) -> None:
    body = json.dumps({**CALL, "stream": True})
    lines = run([*java, llama + "/chat/completions", version, "lines", body]).stdout.splitlines()
    events = [line.removeprefix("data: ") for line in lines if line]
    assert events[-1] == "[DONE]"
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
    assert len("".join(delta.get("content", "") for delta in deltas)) > 30


@VERSIONS
def test_each_event_arrives_before_the_next_is_sent(
    java: list[str], play: Play, version: str
) -> None:
    steps = Lockstep()
    texts = []
    with reading([*java, play(steps.script).url, version, "lines", "{}"]) as lines:
        for line in lines:
            if line.startswith("data: {"):
                event = json.loads(line.removeprefix("data: "))
                texts.append(event["choices"][0]["delta"]["content"])
                steps.got()
    assert texts == TEXTS


@VERSIONS
def test_parallel_calls(java: list[str], llama: str, version: str) -> None:
    body = json.dumps(CALL)
    texts = _replies([*java, llama + "/chat/completions", version, "parallel", body])
    assert len(texts) == 16
    assert len(set(texts)) == 1


@VERSIONS
def test_bodies_arrive_once_and_whole(java: list[str], play: Play, version: str) -> None:
    body = json.dumps({**CALL, "filler": "abc " * 20_000})

    def script(exchange: Exchange) -> None:
        exchange.json(200, completion("ok"))

    scene = play(script)
    assert _replies([*java, scene.url, version, "whole", body]) == ["ok"] * 3
    assert [exchange.body.decode() for exchange in scene.exchanges] == [body] * 3


def test_upgrade_is_not_handed_on(java: list[str], play: Play, ways: Ways) -> None:
    scene = play(lambda exchange: exchange.json(200, completion("ok")))
    _replies([*java, scene.url, "default", "whole", "{}"])
    offered = [exchange.header("upgrade") for exchange in scene.exchanges]
    settings = [exchange.header("http2-settings") for exchange in scene.exchanges]
    if ways.sidecar is None:  # The control group: Java does offer it.
        assert offered[0] == "h2c"
    else:
        assert offered == settings == [None] * 3
