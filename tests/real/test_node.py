"""The openai SDK for Node, whose HTTP client is undici."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from lockstep import TEXTS, Lockstep, token
from peers import Play, Sidecar, Ways
from programs import reading, run
from scripted import Exchange


def node_command(url: str, mode: str) -> list[str]:
    return ["node", str(Path(__file__).parent / "node" / "client.mjs"), url, "tiny", mode]


def _node(url: str, mode: str) -> list[Any]:
    return [json.loads(line) for line in run(node_command(url, mode)).stdout.splitlines()]


def test_completion_is_the_servers_own(llama: str, ways: Ways) -> None:
    direct = _node(ways.direct("llama", "/v1"), "whole")
    assert _node(llama, "whole") == direct != [""]


def test_stream_has_the_text_of_the_whole_reply(llama: str) -> None:
    pieces = _node(llama, "stream")
    assert len(pieces) > 10
    assert "".join(pieces) == _node(llama, "whole")[0]


def test_parallel_calls(llama: str) -> None:
    assert _node(llama, "parallel") == [_node(llama, "whole") * 16]


def test_each_event_arrives_before_the_next_is_sent(play: Play) -> None:
    steps = Lockstep()
    texts = []
    with reading(node_command(play(steps.script).url, "stream")) as lines:
        for line in lines:
            texts.append(json.loads(line))
            steps.got()
    assert texts == TEXTS


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, "AuthenticationError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
    ],
)
def test_servers_error_is_thrown_as_its_own_kind(play: Play, status: int, kind: str) -> None:
    body = {"error": {"message": "no, because", "code": "c"}}
    scene = play(lambda exchange: exchange.json(status, body, [("retry-after", "3600")]))
    [error] = _node(scene.url, "whole")
    assert (error["kind"], error["status"], error["code"]) == (kind, status, "c")
    assert "no, because" in error["message"]


def test_our_own_error(sidecar: Sidecar) -> None:
    [error] = _node(sidecar.url("/openai-unreachable/v1"), "stream")
    assert error["kind"] == "InternalServerError"
    assert error["sidecar"] == "connect_failed"
    assert error["requestID"]


def test_broken_stream_never_ends_cleanly(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.sse_head()
        exchange.event(token("x"))
        exchange.cut()

    *texts, error = _node(play(script).url, "stream")
    assert texts == ["x"]
    assert error["kind"]


def test_leaving_a_stream_frees_the_server(play: Play) -> None:
    def script(exchange: Exchange) -> None:
        exchange.sse_head()
        exchange.event(token("x"))
        exchange.await_close()

    scene = play(script)
    assert _node(scene.url, "leave") == ["x"]
    assert scene.only.closed.wait(10)
