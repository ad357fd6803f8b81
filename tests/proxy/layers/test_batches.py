"""Callers come, leave and are answered at any moment: each that stays gets its own."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from sidecar.errors import CallError, Reset
from sidecar.http.message import RequestHead
from sidecar.llm.batch import Asked, read
from sidecar.observe.stats import RouteStats
from sidecar.policy.batching import BatchSettings, Load
from sidecar.proxy.body.body import RequestBody
from sidecar.proxy.body.memory import BodyMemory
from sidecar.proxy.call import Call
from sidecar.proxy.layers.batch import Batch
from sidecar.proxy.layers.batches import Batches, BatchOptions
from sidecar.proxy.local import LocalReply
from sidecar.proxy.reply import Reply
from sidecar.proxy.request import Request
from sidecar.proxy.serve import identify
from sidecar.proxy.sink import NullSink

KEY = SimpleNamespace(operation=lambda request: "embeddings", circumstances=lambda *_: ())
OPTIONS = BatchOptions(BatchSettings(0.0, False, 4, 1000, 1000), "pass", 10_000)


class Upstream:
    """A layer whose calls end when the test says so. An item `bad` fails the whole call."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[str]] = []
        self.left = 0

    async def __call__(self, call: Call, request: Request) -> Reply:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked.append(future)
        try:
            how = await future
        except asyncio.CancelledError:
            self.left += 1
            raise
        if how == "fail":
            raise Reset("it broke")
        given_ = json.loads(request.content or call.body.content())["input"]
        items = [given_] if isinstance(given_, str) else given_
        if how == "odd":
            return LocalReply(call, 200, b"", b"{}")
        if "bad" in items:
            return LocalReply(call, 400, b"", b"bad")
        rows = [{"index": index, "embedding": [item]} for index, item in enumerate(items)]
        return LocalReply(call, 200, b"", json.dumps({"data": rows}).encode())

    def answers(self, number: int, how: str) -> None:
        waiting = [future for future in self.asked if not future.done()]
        if waiting:
            waiting[number % len(waiting)].set_result(how)


class Got(NullSink):
    """What a caller got."""

    def begin(self, head: Any, data: list[bytes], ended: bool, trailers: Any) -> None:
        assert ended
        self.status, self.body = head.status, b"".join(data)


class World:
    """A layer, its upstream and its callers."""

    def __init__(self) -> None:
        self.memory = BodyMemory(2**30, 1.0)
        self.upstream = Upstream()
        self.stats = RouteStats()
        self.layer = Batches(self.upstream, cast("Any", KEY), OPTIONS, self.stats)
        self.inputs: list[Any] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.stayed: list[bool] = []

    def come(self, given_: Any) -> None:
        self.inputs.append(given_)
        self.stayed.append(True)
        self.tasks.append(asyncio.create_task(self._carry(given_)))

    async def _carry(self, given_: Any) -> Got | CallError:
        call = made_call(self.memory, given_)
        try:
            reply = await self.layer(call, Request(b"POST", b"/", call.body))
            reply.write_into(got := Got())
            return got
        except CallError as error:
            return error
        finally:
            call.body.free()

    def leave(self, number: int) -> None:
        if self.tasks and not self.tasks[number % len(self.tasks)].done():
            self.stayed[number % len(self.tasks)] = False
            self.tasks[number % len(self.tasks)].cancel()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from(["a", "bad", ["b", "c"], ["d", "bad"]])),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("ok"), st.integers(0, 9)),
        st.tuples(st.sampled_from(["fail", "odd"]), st.integers(0, 9)),
        st.just(("turn", 0)),
        st.just(("turn", 0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_callers_come_and_go_at_any_moment(steps: list[Any]) -> None:
    asyncio.run(travel(steps))


async def travel(steps: list[Any]) -> None:
    world = World()
    broken = False
    for what, value in steps:
        if what == "come":
            world.come(value)
        elif what == "leave":
            world.leave(value)
        elif what == "turn":
            await asyncio.sleep(0)
        else:
            broken = broken or what != "ok"
            world.upstream.answers(value, what)
    for _ in range(1000):
        world.upstream.answers(0, "ok")
        await asyncio.sleep(0)
        if all(task.done() for task in world.tasks):
            break
    await asyncio.sleep(0)
    for task, given_, stayed in zip(world.tasks, world.inputs, world.stayed, strict=True):
        if stayed:
            checks(task.result(), given_, broken)
    assert world.memory.used == 0
    assert all(future.done() for future in world.upstream.asked)
    for group in world.layer._groups.values():
        assert group.under_way == 0
        assert group.batch is None or not group.batch.members


def test_all_leave_in_the_step_in_which_it_is_sent() -> None:
    asyncio.run(all_leave())


async def all_leave() -> None:
    memory, ended = BodyMemory(2**30, 1.0), []
    batch = Batch(10_000, lambda batch, outcome: ended.append(outcome))
    upstream = Upstream()
    calls = [made_call(memory, text) for text in "ab"]
    members = []
    for call in calls:
        asked = read(call.body.content())
        assert isinstance(asked, Asked)
        request = Request(b"POST", b"/", call.body)
        members.append(batch.join(call, request, asked, Load(1, 1, 1)))
    batch.send(upstream)
    for member, call in zip(members, calls, strict=True):
        batch.leave(member)
        call.body.free()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert ended == ["left"]
    assert memory.used == 0
    assert not upstream.asked


def made_call(memory: BodyMemory, given_: Any) -> Call:
    head = RequestHead()
    nobody = cast("Any", SimpleNamespace(peer="", connection="", trust=None))
    content = json.dumps({"model": "m", "input": given_}).encode()
    call = Call(nobody, head, RequestBody(nobody, memory, content))
    identify(call)
    return call


def checks(got: Got | CallError, given_: Any, broken: bool) -> None:
    items = [given_] if isinstance(given_, str) else given_
    if isinstance(got, CallError) or got.body == b"{}":
        assert broken
    elif "bad" in items:
        assert (got.status, got.body) == (400, b"bad")
    else:
        assert got.status == 200
        assert [row["embedding"] for row in json.loads(got.body)["data"]] == [[i] for i in items]
