"""What is kept of the calls that ended last: their attempts, and what was decided for them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from sidecar.observe.lines import encode
from sidecar.observe.record import CallRecord
from tests.sockets.peers import GET, until
from tests.sockets.scripted import Fleet, Scripted, chat, status


async def last(fleet: Fleet) -> CallRecord:
    await until(lambda: len(fleet.serving.calls) > 0)
    return next(iter(fleet.serving.calls))


def told(call: CallRecord) -> list[str]:
    return [note.what for note in call.notes]


async def test_a_usual_call_has_no_notes() -> None:
    async with Fleet(Scripted("one")) as fleet:
        await fleet.gets(chat())
        call = await last(fleet)
        assert call.notes == ()
        assert call.layers == ("reads", "retry", "attempt")
        assert call.tries[0].sent_ms >= call.tries[0].began_ms
        assert all(value for value in json.loads(encode(call)).values())
        waited = call.tries[0].sent_ms - call.tries[0].began_ms
        assert abs(call.connect_ms - waited) < 0.01


async def test_retries_and_why_there_is_no_other() -> None:
    one = Scripted("one", always=status(500))
    async with Fleet(one, policy={"retry": {"max": 1}}) as fleet:
        await fleet.gets(chat())
        call = await last(fleet)
        assert told(call) == ["retry", "no_retry"]
        assert call.notes[0].text == "number 1 in 0.000 s, after 500"
        assert [each.after for each in call.tries] == ["", "500"]


async def test_a_fallback_and_the_message_of_an_error() -> None:
    routes = [{"name": "r", "upstream": "u", "fallback": [{"upstream": "b"}]}]
    a, b = Scripted("a", always="reset"), Scripted("b", always="reset")
    upstreams: dict[str, Any] = {
        server.name: {"endpoints": [{"url": server.url}]} for server in (a, b)
    }
    upstreams["u"] = upstreams.pop("a")
    policy = {"retry": {"max": 0}}
    async with Fleet(a, policy=policy, routes=routes, upstreams=upstreams).beside(b) as fleet:
        await fleet.gets(chat())
        call = await last(fleet)
        assert told(call) == ["fallback", "error"]
        assert call.notes[0].text == "to upstream b, after upstream_reset"
        assert "without a reply" in call.notes[1].text
        assert call.layers == ("fallback", "target", "reads", "attempt")


async def test_a_hedge_that_is_taken() -> None:
    slow, quick = Scripted("slow", always="hang"), Scripted("quick")
    async with Fleet(slow, quick, policy={"hedge": {"after": "20ms"}}) as fleet:
        while not slow.calls:
            await fleet.gets(chat())
        await until(lambda: any(call.hedged for call in fleet.serving.calls))
        call = next(call for call in fleet.serving.calls if call.hedged)
        assert (told(call), call.notes[0].text) == (["hedge"], "the second is taken")
        assert {each.error for each in call.tries} == {"outrun", ""}


async def test_a_wait_for_admission() -> None:
    one = Scripted("one", "wait")
    async with Fleet(one, upstream={"admission": {"max_in_flight": 1}}) as fleet:
        clients = []
        for number in (1, 2):
            clients.append(await fleet.client())
            await clients[-1].sends(chat())
            await until(
                lambda number=number: fleet.line.in_flight + fleet.line.queued == number  # type: ignore[misc]
            )
        one.gate.set()
        for client in clients:
            await client.reply()
        await until(lambda: len(fleet.serving.calls) == 2)
        second = next(call for call in fleet.serving.calls if call.queue_ms)
        assert told(second) == ["admission"]


async def test_the_access_log_in_the_form_that_is_wanted(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with Fleet(Scripted("one")) as fleet:
        for wanted, expected in (
            (
                {"fields": ["status", "tries"]},
                r'\{"time":"[^"]+","request_id":"r1","status":200,"tries":\[',
            ),
            ({"format": "text"}, r"\d\d:\d\d:\d\d   200 .* POST /v1/chat/completions  m\n"),
            ({"omit": ["client"]}, r'\{"time":(?!.*client)'),
        ):
            fleet.config["access_log"] = {"path": str(log), **wanted}
            await fleet.apply()
            await fleet.gets(chat("m", b"x-request-id: r1"))
            await until(lambda: log.exists() and log.read_text().endswith("\n"))
            assert re.match(expected, log.read_text())
            log.unlink()
        fleet.config["access_log"] = {"path": None}
        await fleet.apply()


async def test_none_are_kept_if_none_are_wanted() -> None:
    async with Fleet(Scripted("one")) as fleet:
        await fleet.gets(GET)
        await last(fleet)
        fleet.config["calls"] = {"keep": 0, "errors": 0, "slow": 0}
        await fleet.apply()
        assert len(fleet.serving.calls) == 0
        await fleet.gets(GET)
        assert fleet.serving.recorder.sinks == []


async def test_calls_that_share_a_reply_and_who_had_the_attempts() -> None:
    one = Scripted("one", "wait", always=status(500))
    one.answer = status(500)
    policy: dict[str, Any] = {"retry": {"max": 1}, "single_flight": {}}
    async with Fleet(one, policy=policy) as fleet:
        clients = []
        for _ in range(2):
            clients.append(await fleet.client())
            await clients[-1].sends(chat(temperature=0))
        await until(lambda: fleet.serving.in_flight() == 2)
        one.gate.set()
        for client in clients:
            await client.reply()
        await until(lambda: len(fleet.serving.calls) == 2)
        assert sorted(map(told, fleet.serving.calls)) == [["joined"], ["retry", "no_retry"]]
