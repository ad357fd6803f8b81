"""Budgets: calls are counted by what they used, and refused or passed on when it is spent."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sidecar.proxy.layers.budgets import Budget
from sidecar.store.ledger import read
from tests.sockets.peers import until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.test_access import ACCESS
from tests.sockets.test_fallbacks import asked, upstreams

USAGE = {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
TEN = {
    "id": "x",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}
    ],
    "usage": USAGE,
}
JSON = b"Content-Type: application/json"
PRICES = {"cheap": {"input": 0, "output": 0}, "*": {"input": 1e6, "output": 1e6}}
DAY = {"per": "day", "tokens": 30}


def answer(**more: Any) -> bytes:
    return status(200, JSON, body=json.dumps(TEN | more).encode())


def fleet(
    path: Path, limits: dict[str, Any], *servers: Scripted, policy: Any = None, **route: Any
) -> Fleet:
    servers = servers or (Scripted("a", always=answer()),)
    known = upstreams(**{server.name: server for server in servers})
    routes = [{"name": "r", "upstream": servers[0].name, **route}]
    stage = Fleet(
        *servers, upstreams=known, routes=routes, policy={"retry": {"max": 0}, **(policy or {})}
    )
    stage.config["budgets"] = {"ledger": str(path / "ledger.db"), "limits": limits}
    stage.config["prices"] = PRICES
    return stage


def budget(stage: Fleet, name: str = "b") -> Budget:
    found = stage.stats.budgets[name]
    assert isinstance(found, Budget)
    return found


async def statuses(stage: Fleet, calls: int, *lines: bytes, model: str = "m") -> list[int]:
    client = await stage.client()
    return [(await stage.gets(chat(model, *lines), client))[0] for _ in range(calls)]


@pytest.mark.parametrize("limit", [DAY, {"per": "hour", "money": 30.0}])
async def test_a_spent_budget_refuses(tmp_path: Path, limit: dict[str, Any]) -> None:
    server = Scripted("a", always=answer())
    async with fleet(tmp_path, {"b": limit}, server) as stage:
        assert await statuses(stage, 5) == [200, 200, 200, 429, 429]
        assert server.calls == 3
        code, body, reply = await stage.gets(chat())
        error = json.loads(body)["error"]
        assert (code, reply.code, error["code"]) == (429, "budget_spent", "budget_spent")
        assert 0 < int(reply["retry-after"]) <= 86_400
        assert reply["x-should-retry"] == "false"
        assert budget(stage).current() == {"": 30.0}
        assert budget(stage).exceeded == 3
        assert stage.route.limited == {"budget_spent": 3}


async def test_a_spent_budget_only_counts_if_it_says_so(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"b": DAY | {"when_spent": "count"}}) as stage:
        assert await statuses(stage, 5) == [200] * 5
        assert budget(stage).current() == {"": 50.0}
        assert budget(stage).exceeded == 2


async def test_a_cheaper_model_is_asked(tmp_path: Path) -> None:
    a, b = Scripted("a", always=answer()), Scripted("b", always=answer(model="cheap"))
    limit = {"per": "month", "money": 20.0, "model": "m*", "when_spent": "fallback"}
    fallback = [{"upstream": "b", "model": "cheap"}]
    async with fleet(tmp_path, {"b": limit}, a, b, fallback=fallback) as stage:
        assert await statuses(stage, 5) == [200] * 5
        assert (len(asked(a)), asked(b)) == (2, ["cheap"] * 3)
        assert budget(stage).current() == {"": 20.0}
        assert stage.route.fallbacks == {"b": 3}


async def test_with_no_fallback_left_it_refuses(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"b": DAY | {"when_spent": "fallback"}}) as stage:
        assert await statuses(stage, 4) == [200, 200, 200, 429]
        _, _, reply = await stage.gets(chat())
        assert (reply.code, reply["x-should-retry"]) == ("budget_spent", "false")
        assert int(reply["retry-after"]) > 0


async def test_each_team_has_its_own(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"b": DAY | {"header": "X-Team"}}) as stage:
        assert await statuses(stage, 4, b"x-team: red") == [200, 200, 200, 429]
        assert await statuses(stage, 1, b"x-team: blue") == [200]
        assert await statuses(stage, 1) == [200]
        assert budget(stage).current() == {"red": 30.0, "blue": 10.0, "": 10.0}


async def test_only_calls_of_its_model_and_route_count(tmp_path: Path) -> None:
    limits = {"b": DAY | {"model": "gpt-*"}, "other": DAY | {"route": "s"}}
    stage = fleet(tmp_path, limits)
    stage.config["routes"].insert(0, {"name": "s", "upstream": "a", "match": {"model": "s"}})
    async with stage:
        assert await statuses(stage, 4, model="m") == [200] * 4
        assert await statuses(stage, 4, model="gpt-5") == [200, 200, 200, 429]
        assert await statuses(stage, 1, model="s") == [200]
        assert budget(stage).current() == {"": 30.0}
        assert budget(stage, "other").current() == {"": 10.0}


async def test_what_was_spent_survives_a_reload_and_a_restart(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"b": DAY}) as stage:
        assert await statuses(stage, 2) == [200] * 2
        stage.config["budgets"]["limits"]["b"] = DAY | {"tokens": 40}
        await stage.apply()
        assert budget(stage).current() == {"": 20.0}
    async with fleet(tmp_path, {"b": DAY}) as stage:
        assert await statuses(stage, 2) == [200, 429]
    assert list(read(str(tmp_path / "ledger.db")).values()) == [30.0]


async def test_without_budgets_there_is_no_layer_and_no_file(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}) as stage:
        assert await statuses(stage, 1) == [200]
        assert "budgets" not in stage.serving.snapshot.router.rules[0].route.layers
    assert not os.listdir(tmp_path)


async def test_a_ledger_that_cant_be_opened_is_refused(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}) as stage:
        stage.config["budgets"] = {"ledger": f"{tmp_path}/gone/x.db", "limits": {"b": DAY}}
        with pytest.raises(OSError, match="cannot open the ledger"):
            await stage.apply()
        assert await statuses(stage, 1) == [200]


async def test_little_left_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with fleet(tmp_path, {"b": {"per": "day", "tokens": 100, "warn_at": "50%"}}) as stage:
        await statuses(stage, 4)
        assert not [r for r in caplog.records if r.name == "sidecar.budgets"]
        await statuses(stage, 4)
        (record,) = [r for r in caplog.records if r.name == "sidecar.budgets"]
        assert (record.__dict__["budget"], record.__dict__["share"]) == ("b", "50%")


async def test_attempts_that_failed_cost_nothing(tmp_path: Path) -> None:
    server = Scripted("a", status(500), "reset", answer())
    async with fleet(tmp_path, {"b": DAY}, server, policy={"retry": {"max": 2}}) as stage:
        assert await statuses(stage, 1) == [200]
        assert server.calls == 3
        assert budget(stage).current() == {"": 10.0}


async def test_a_stream_that_its_caller_leaves_is_counted_as_far_as_it_came(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"word"}}]}\n\n'
    server = Scripted("a", "wait")
    server.answer = head + piece * 5
    async with fleet(tmp_path, {"b": DAY | {"tokens": 100_000}}, server) as stage:
        client = await stage.client()
        await client.sends(chat(stream=True))
        await until(lambda: server.calls == 1)
        server.gate.set()
        await until(lambda: stage.endpoint.in_flight == 1 and stage.route.in_flight == 1)
        await client.until(b"word")
        client.closes()
        await until(lambda: bool(budget(stage).current()))
        assert budget(stage).current()[""] >= 5


async def test_each_known_caller_has_a_budget_of_its_own(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"b": DAY | {"each_caller": True}}) as stage:
        stage.config["listeners"][0] |= ACCESS
        await stage.apply()
        for line in (b"x-api-key: key-of-search", b"x-api-key: key-of-billing"):
            assert await statuses(stage, 4, line, b"x-team: any") == [200, 200, 200, 429]
        assert budget(stage).current() == {"search": 30.0, "billing": 30.0}
