from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sidecar.control.live.feed import Feed, changes
from sidecar.control.live.view import View
from sidecar.observe.record import CallRecord
from sidecar.observe.stats import RouteStats
from sidecar.upstream.endpoints.sources import UrlSource
from sidecar.upstream.endpoints.upstream import Membership, Upstream
from tests.control.plane import Plane
from tests.upstream.served import endpoint as endpoint_at


async def ask(question: Callable[[], Any]) -> Any:
    return question()


class Mirror:
    """A viewer that keeps what it was told."""

    def __init__(self, plane: Plane) -> None:
        self.feed = Feed(plane, ask, "token")
        self.tables: dict[str, dict[str, dict[str, Any]]] = {}

    async def begin(self) -> dict[str, Any]:
        await self.feed.begin()
        return self.hear(self.feed.snapshot())

    async def step(self) -> dict[str, Any]:
        return self.hear(await self.feed.step())

    def hear(self, message: bytes) -> dict[str, Any]:
        assert message.count(b"\n") == 3
        event, data = message.decode().removesuffix("\n\n").split("\n")
        told: dict[str, Any] = json.loads(data.removeprefix("data: "))
        if event == "event: snapshot":
            self.tables = told["tables"]
        else:
            apply(self.tables, told["tables"])
        return told


def apply(tables: dict[str, Any], changed: dict[str, Any]) -> None:
    for name, of in changed.items():
        for key, fields in of.get("set", {}).items():
            tables.setdefault(name, {}).setdefault(key, {}).update(fields)
        for key in of.get("gone", ()):
            del tables[name][key]


_rows = st.dictionaries(
    st.sampled_from("abc"), st.fixed_dictionaries({"x": st.integers(0, 2), "y": st.booleans()})
)
_tables = st.fixed_dictionaries({"routes": _rows, "endpoints": _rows})


@given(_tables, _tables)
def test_changes_make_the_old_tables_the_new_ones(old: Any, new: Any) -> None:
    changed = changes(old, new)
    kept = msgspec.json.decode(msgspec.json.encode(old))
    apply(kept, msgspec.json.decode(msgspec.json.encode(changed)))
    assert kept == new
    assert (changed == {}) == (old == new)


async def test_a_second_without_calls_changes_no_row_of_a_route() -> None:
    plane = Plane()
    plane.stats.routes["all", "openai"] = RouteStats()
    mirror = Mirror(plane)
    told = await mirror.begin()
    assert (told["v"], told["token"], told["calls"]) == (1, "token", [])
    assert mirror.tables["routes"]["all"]["match"] == [{}]
    assert (await mirror.step())["tables"].keys() <= {"state"}


async def test_counts_follow_the_plane() -> None:
    plane = Plane()
    mirror = Mirror(plane)
    stats = plane.stats.routes["all", "openai"] = RouteStats()
    other = plane.stats.routes["all", "spare"] = RouteStats()
    await mirror.begin()
    for each in (stats, stats, other):
        each.statuses[200] += 1
        each.durations["ok"].observe(0.1)
        spent = each.models.spent_by("m", "")
        spent.input += 10
        spent.estimated_output += 5
        spent.cost += 0.25
    stats.retries["503"] += 2
    told = await mirror.step()
    row = mirror.tables["routes"]["all"]
    assert (row["calls"], row["statuses"], row["retries"]) == (3, {"200": 3}, {"503": 2})
    assert (row["input"], row["output"], row["cost"]) == (30, 15, 0.75)
    assert "match" not in told["tables"]["routes"]["set"]["all"]  # it has not changed
    del plane.stats.routes["all", "spare"]
    await mirror.step()
    assert mirror.tables["routes"]["all"]["calls"] == 2


async def test_each_call_is_told_once_and_counted_even_if_it_is_not_shown() -> None:
    plane = Plane()
    mirror = Mirror(plane)
    plane.calls.append(CallRecord(1e9, "before", status=200))
    assert [call["id"] for call in (await mirror.begin())["calls"]] == ["before"]
    for number in range(3):
        plane.calls.append(CallRecord(1e9, f"new{number}", status=200))
    told = await mirror.step()
    assert [call["id"] for call in told["calls"]] == ["new2", "new1", "new0"]
    assert told["seen"]["none"]["calls"] == 3
    assert (await mirror.step())["calls"] == []


async def test_more_calls_than_are_kept_or_shown() -> None:
    plane = Plane()  # it keeps ten
    mirror = Mirror(plane)
    await mirror.begin()
    for number in range(25):
        plane.calls.append(CallRecord(1e9, f"id{number}", status=200))
    told = await mirror.step()
    assert len(told["calls"]) + told["more_calls"] == told["seen"]["none"]["calls"] == 10


async def test_endpoints_and_upstreams_come_and_go() -> None:
    plane = Plane()
    mirror = Mirror(plane)
    endpoint = endpoint_at("http://127.0.0.1:1")
    source = UrlSource(endpoint, lambda _: None)
    upstream = Upstream("u", "openai", [source], Membership())
    plane.stats.upstream("u")
    plane.seen = View([(upstream, [endpoint])], {}, draining=False)
    await mirror.begin()
    assert list(mirror.tables["endpoints"]) == ["u\nhttp://127.0.0.1:1"]
    assert list(mirror.tables["upstreams"]) == ["u"]
    endpoint.stats.attempts[503] += 1
    await mirror.step()
    assert mirror.tables["endpoints"]["u\nhttp://127.0.0.1:1"]["statuses"] == {"503": 1}
    plane.seen = View((), {}, draining=True)
    await mirror.step()
    assert (mirror.tables["endpoints"], mirror.tables["upstreams"]) == ({}, {})
    assert mirror.tables["state"][""]["draining"]


async def test_a_data_plane_that_stands_still_is_told_of() -> None:
    plane = Plane()
    mirror = Mirror(plane)
    await mirror.begin()

    def late() -> None:
        raise TimeoutError

    plane.wait, plane.stood_still = late, 7.2
    await mirror.step()
    assert mirror.tables["state"][""]["blocked_s"] == 7
    plane.wait = lambda: None
    await mirror.step()
    assert mirror.tables["state"][""]["blocked_s"] == 0


async def test_any_text_reaches_the_viewer() -> None:
    plane = Plane()
    mirror = Mirror(plane)
    await mirror.begin()
    hostile = '\u2028 </script> \x00 \r\n\n data: x "'
    plane.calls.append(CallRecord(1e9, "id", model=hostile, status=200, route="r"))
    plane.stats.reloads.last_error = f"{hostile} \ud800"  # as YAML may have it
    told = await mirror.step()
    (shown,) = told["calls"]
    assert shown["model"] == hostile
    assert mirror.tables["state"][""]["config_error"] == f"{hostile} \ud800"
    assert told["seen"]["r"]["first"] == {"0": 1}
