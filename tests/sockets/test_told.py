"""What is told of a call: at `log_level: debug`, in its record, and by `repr`."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.observe import debug
from sidecar.observe.record import CallRecord
from tests.sockets.peers import EVENTS, GET, OK, chunk, until
from tests.sockets.scripted import Fleet, Scripted, chat, status
from tests.sockets.stage import FREED, Stage
from tests.sockets.test_interims import HEDGED, hedged, two

LAYERS: dict[str, Any] = {
    "hedge": {"after": "60s"},
    "limits": {"concurrency": 9, "client": {"concurrency": 9}},
    "retry": {"max": 2},
}


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    caplog.set_level(logging.DEBUG, "sidecar")
    debug.switch(True)
    yield caplog
    debug.switch(False)


async def test_nothing_is_told_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sidecar")
    async with Stage() as stage:
        await stage.answered(await stage.client())
    assert not [record for record in caplog.records if record.levelno == logging.DEBUG]


async def test_each_decision_is_told_with_its_reason(told: pytest.LogCaptureFixture) -> None:
    failing, other = Scripted("failing", always=status(503)), Scripted("other")
    upstreams = {s.name: {"endpoints": [{"url": s.url}]} for s in (failing, other)}
    routes = [{"name": "r", "upstream": "failing", "fallback": [{"upstream": "other"}]}]
    async with Fleet(failing, other, upstreams=upstreams, routes=routes) as stage:
        assert (await stage.gets(chat()))[1] == b"other"
    text = told.text
    for part in (
        "matches route r: <Request POST /v1/chat",
        f"attempt 1: <Attempt at {failing.url}: first, in flight> by <LoadBalancer round_robin",
        "on <UpstreamConnection IDLE to 127.0.0.1, use 0>",
        "retry: number 1 in ",
        ", after 503",
        "no retry: its retries are used up",
        "fallback: to upstream other, after 503",
        f"<Attempt at {other.url}: fallback after 503, 200>",
        "200> is over after ",
    ):
        assert part in text, text
    of_calls = [record for record in told.records if record.name == "sidecar.call"]
    assert len({record.__dict__["request_id"] for record in of_calls}) == 1


async def test_a_hedge_is_told(told: pytest.LogCaptureFixture) -> None:
    async with Stage(servers=two(), policy=HEDGED) as stage:
        client, ends = await hedged(stage)
        [connection] = stage.listener().connections
        assert connection.call is not None
        second = connection.call.attempts[1]
        assert (second.why, second.reason) == ("hedge", "slow")
        urls = [server.url for server in stage.servers]
        await ends[urls.index(second.endpoint.name)].sends(OK)
        assert (await client.reply()).body == b"ok"
    assert "hedge: the second is taken" in told.text
    assert "outrun" in told.text


async def test_connections_are_told(told: pytest.LogCaptureFixture) -> None:
    async with Stage(pool={"max_open": 1}) as stage:
        first, server = await stage.call()
        second = await stage.client()
        await second.sends(GET)
        await until(lambda: "a call waits for a connection" in told.text)
        await server.sends(OK)
        assert (await first.reply()).body == b"ok"
        await server.head()
        await server.sends(OK)
        assert (await second.reply()).body == b"ok"
    assert "connected <UpstreamConnection IDLE to 127.0.0.1" in told.text
    assert "closed <UpstreamConnection CLOSED" in told.text


async def test_a_record_has_its_attempts() -> None:
    failing, other = Scripted("failing", always=status(503)), Scripted("other")
    upstreams = {"u": {"endpoints": [{"url": s.url} for s in (failing, other)]}}
    routes = [{"name": "r", "upstream": "u"}]
    async with Fleet(failing, other, upstreams=upstreams, routes=routes) as stage:
        one: list[CallRecord] = []
        same: list[CallRecord] = []
        stage.serving.recorder.sinks = [one, same]
        for _ in range(4):
            await stage.gets(chat())
        await until(lambda: len(one) == 4)
    assert one == same  # any number of sinks
    assert {len(record.tries) for record in one} == {1, 2}
    [first, second] = next(record.tries for record in one if len(record.tries) == 2)
    assert (first.endpoint, first.status, first.why, first.after) == (failing.url, 503, "first", "")
    assert (second.endpoint, second.status) == (other.url, 200)
    assert (second.why, second.after) == ("retry", "503")
    assert 0 <= first.began_ms <= first.head_ms <= second.began_ms <= second.head_ms
    assert len({first.span_id, second.span_id}) == 2
    assert len(second.span_id) == 16


async def test_what_carries_a_call_can_be_printed() -> None:
    async with Stage(
        policy=LAYERS,
        upstream={
            "admission": {"max_in_flight": 5},
            "credentials": {"header": "x-api-key", "value": "sk-secret"},
        },
    ) as stage:
        client, server = await stage.call()
        await server.sends(EVENTS + chunk(b"data: 0\n\n"))
        await client.until(b"data: 0")
        layers: list[Any] = [stage.serving.snapshot.router.rules[0].route.stack]
        while hasattr(layers[-1], "_inner"):
            layers.append(layers[-1]._inner)
        found: list[object] = [t for t in gc.get_objects() if isinstance(t, FREED)]
        found += layers
        found += [stage.serving.snapshot, stage.serving.snapshot.router.rules[0].route]
        for connection in stage.listener().connections:
            call = connection.call
            assert call is not None
            found += [call.sink, call.head, *call.attempts]
        shown = {type(thing).__name__: repr(thing) for thing in found}
        server.closes()
    assert len(shown) >= 14
    for name, text in shown.items():
        assert " object at 0x" not in text, text
        assert "sk-secret" not in text
        assert len(text) < 300, (name, text)
    assert shown["Exchange"].startswith("<Exchange RECEIVING at http://127.0.0.1:")
    assert shown["DownstreamConnection"].startswith("<DownstreamConnection CALL from 127.0.0.1")
