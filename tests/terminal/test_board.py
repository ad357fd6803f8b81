"""What the board makes of the sidecar's messages, also beside the feed that sends them."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.control.live.feed import Feed
from sidecar.control.live.seen import seen_by_route
from sidecar.observe.record import CallRecord
from sidecar.observe.stats import RouteStats
from sidecar.terminal.board import Board, quantile
from tests.control.plane import Plane
from tests.terminal.scenes import AT, endpoint, route, state


def snapshot(routes: list[dict[str, Any]], at: float = AT, **history: Any) -> dict[str, Any]:
    return {
        "at": at,
        "tables": {"state": {"": state()}, "routes": {each["name"]: each for each in routes}},
        "history": history,
        "calls": [],
    }


def delta(at: float, seen: dict[str, Any] | None = None, **tables: Any) -> dict[str, Any]:
    return {"at": at, "tables": tables, "seen": seen or {}, "calls": [], "more_calls": 0}


def grown(calls: int, **fields: Any) -> dict[str, Any]:
    return {"set": {"chat": {"calls": calls, "outcomes": {"ok": calls}, **fields}}}


def test_rates_need_two_messages() -> None:
    board = Board()
    board.take("snapshot", snapshot([route(0, "chat", 100, 0)]))
    (chat,) = board.routes()
    assert (chat.calls_s, chat.tokens_min, chat.ok, chat.first_p50_ms) == (None, None, 0, None)
    board.take("delta", delta(AT + 2, routes=grown(110, input=11_000, cost=0.4)))
    (chat,) = board.routes()
    assert (chat.calls_s, chat.ok, chat.failed) == (5.0, 10, 0)
    assert chat.tokens_min == pytest.approx(1000 * 30)
    assert chat.cost_min == pytest.approx(0.3 * 30)


def test_calls_a_second_are_of_the_last_seconds_and_the_rest_of_a_minute() -> None:
    board = Board()
    board.take("snapshot", snapshot([route(0, "chat", 0, 0)]))
    for second in range(1, 101):
        calls = min(second, 90)  # then none
        board.take("delta", delta(AT + second, routes=grown(calls)))
    (chat,) = board.routes()
    assert chat.calls_s == 0.0
    assert chat.ok == 50


def test_a_route_that_comes_later_has_no_rate_at_first() -> None:
    board = Board()
    board.take("snapshot", snapshot([]))
    board.take("delta", delta(AT + 1, routes={"set": {"chat": route(0, "chat", 7, 0)}}))
    (chat,) = board.routes()
    assert (chat.calls_s, chat.ok) == (None, 0)
    board.take("delta", delta(AT + 2, routes={"gone": ["chat"]}))
    assert board.routes() == []


def test_a_sidecar_that_comes_back_begins_anew() -> None:
    board = Board()
    board.take("snapshot", snapshot([route(0, "chat", 1000, 0)]))
    board.take("delta", delta(AT + 1, routes=grown(1001)))
    board.take("snapshot", snapshot([route(0, "chat", 1, 0)], AT + 2))
    (chat,) = board.routes()
    assert (chat.calls_s, chat.ok) == (None, 0)


def test_times_to_the_first_token_are_of_a_minute_with_those_before_it_began() -> None:
    board = Board()
    history = {"1": {"calls": 1, "first": {"60": 1}}, "20": {"calls": 9, "first": {"90": 9}}}
    board.take("snapshot", snapshot([route(0, "chat", 1, 0)], chat=history))
    (chat,) = board.routes()
    assert chat.first_p50_ms == pytest.approx(1.1**60, rel=0.06)
    board.take("delta", delta(AT + 1, {"chat": {"calls": 3, "first": {"80": 3}}}))
    (chat,) = board.routes()
    assert chat.first_p50_ms == pytest.approx(1.1**80, rel=0.06)
    board.take("delta", delta(AT + 70))
    (chat,) = board.routes()
    assert chat.first_p50_ms is None


def test_endpoints() -> None:
    board = Board()
    told = snapshot([])
    told["tables"]["endpoints"] = {"u\ne": endpoint(0, "e", attempts=10, statuses={"200": 10})}
    board.take("snapshot", told)
    more = {"attempts": 20, "statuses": {"200": 13, "503": 4, "0": 3}, "errors": {"reset": 3}}
    board.take("delta", delta(AT + 5, endpoints={"set": {"u\ne": more}}))
    (found,) = board.endpoints()
    assert (found.attempts_s, found.ok, found.failed) == (2.0, 3, 7)


@given(st.dictionaries(st.integers(0, 150), st.integers(1, 1000), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_among_the_times(buckets: dict[int, int], part: float) -> None:
    found = quantile(buckets, part)
    assert found is not None
    assert 1.1 ** (min(buckets) - 1) <= found <= 1.1 ** max(buckets)


def test_the_median_is_off_by_five_percent_at_most() -> None:
    told = random.Random(7)
    times = sorted(told.lognormvariate(6, 1) for _ in range(999))
    calls = [CallRecord(1e9, "x", status=200, first_token_ms=ms) for ms in times]
    found = quantile(seen_by_route(calls)["none"].first, 0.5)
    assert found == pytest.approx(times[499], rel=0.05)


async def _ask(question: Callable[[], Any]) -> Any:
    return question()


async def test_the_feed_and_the_board_understand_each_other() -> None:
    plane = Plane()
    feed = Feed(plane, _ask, "token")
    stats = plane.stats.routes["all", "openai"] = RouteStats()
    board = Board()

    def hear(message: bytes) -> None:
        kind, data = message.decode().removesuffix("\n\n").split("\n")
        board.take(kind.removeprefix("event: "), json.loads(data.removeprefix("data: ")))

    await feed.begin()
    hear(feed.snapshot())
    stats.durations["ok"].observe(0.1)
    stats.models.spent_by("m", "").input += 10
    plane.calls.append(CallRecord(1e9, "c", status=200, route="all", first_token_ms=80.0))
    hear(await feed.step())
    (found,) = board.routes()
    assert (found.name, found.ok, found.failed) == ("all", 1, 0)
    assert found.calls_s is not None
    assert found.calls_s > 0
    assert found.first_p50_ms == pytest.approx(80, rel=0.05)
    assert board.state["ready"]
