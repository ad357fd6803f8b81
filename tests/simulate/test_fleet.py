"""Real sockets: what a caller gets, byte for byte, and what is counted."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.simulate import routes
from sidecar.simulate.behaviour import Behaviour
from sidecar.simulate.delivery import SLOW_GAP, Sleep
from sidecar.simulate.fleet import Fleet

CHAT = "/v1/chat/completions"
HI = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
STREAM = HI | {"stream": True}


class Gate:
    """Sleeps pass at once until *open_for* of them have passed; then they never end."""

    def __init__(self, open_for: int) -> None:
        self.asked: list[float] = []
        self._open_for = open_for

    async def sleep(self, seconds: float) -> None:
        self.asked.append(seconds)
        await asyncio.sleep(0)
        if len(self.asked) > self._open_for:
            await asyncio.Event().wait()


@asynccontextmanager
async def serving(
    *behaviours: str, sleep: Sleep = asyncio.sleep
) -> AsyncIterator[tuple[Fleet, str]]:
    fleet = Fleet(sleep)
    urls = await fleet.start([Behaviour.parse(text) for text in behaviours])
    try:
        yield fleet, urls[0]
    finally:
        await fleet.stop()


class Caller:
    """A bare connection with one request on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.received = b""

    async def read(self) -> str:
        """Read to the end; say how it ended."""
        try:
            while data := await self.reader.read(65536):
                self.received += data
        except ConnectionResetError:
            return "reset"
        finally:
            self.writer.close()
        return "closed"

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]

    @property
    def length(self) -> int:
        match = re.search(rb"(?i)content-length: (\d+)", self.received)
        assert match is not None
        return int(match[1])


async def call(url: str, body: dict[str, Any] = HI, path: str = CHAT) -> Caller:
    host, port = url.removeprefix("http://").split(":")
    caller = Caller(*await asyncio.open_connection(host, int(port)))
    raw = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(raw)}"
    caller.writer.write(head.encode() + b"\r\n\r\n" + raw)
    return caller


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - the condition is another task's plain number
        await asyncio.sleep(0.001)


def chunks(body: bytes) -> list[bytes]:
    """The chunks of a complete chunked body."""
    found: list[bytes] = []
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert body == b"\r\n"
            return found
        found.append(body[:length])
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, HI),
        ("/v1/responses", {"model": "m", "input": "hi"}),
        ("/v1/embeddings", {"model": "m", "input": "hi"}),
        ("/v1/messages", HI | {"max_tokens": 3}),
    ],
)
async def test_every_api_answers_and_says_who_did(path: str, body: dict[str, Any]) -> None:
    async with serving("") as (fleet, url):
        caller = await call(url, body, path)
        assert await caller.read() == "closed"
        assert caller.received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"x-simulated-endpoint: sim-0\r\n" in caller.received
        assert json.loads(caller.body)["model"] == "m"
        assert len(caller.body) == caller.length
        assert (fleet.counters[0].requests, fleet.counters[0].completed) == (1, 1)


async def test_a_stream_is_a_chunk_a_token() -> None:
    async with serving("") as (fleet, url):
        caller = await call(url, STREAM | {"max_tokens": 5})
        assert await caller.read() == "closed"
        opening, *deltas, closing = chunks(caller.body)
        assert b'"role":"assistant"' in opening
        assert [b'"content":"' in delta for delta in deltas] == [True] * 5
        assert closing.endswith(b"data: [DONE]\n\n")
        assert fleet.counters[0].tokens == 5


async def test_time_is_taken_as_the_behaviour_says() -> None:
    gate = Gate(100)
    async with serving("latency=250ms,tokens_per_second=50", sleep=gate.sleep) as (_, url):
        await (await call(url, HI | {"max_tokens": 10})).read()
    assert gate.asked == [0.25, 0.2]


@pytest.mark.parametrize("status", [429, 500, 503, 529])
async def test_staged_errors(status: int) -> None:
    async with serving(f"error={status}:1,retry_after=2s") as (fleet, url):
        caller = await call(url)
        await caller.read()
        assert caller.received.startswith(b"HTTP/1.1 %d " % status)
        assert (b"retry-after: 2\r\n" in caller.received.lower()) == (status != 500)
        assert json.loads(caller.body)["error"]["message"] == f"Simulated failure {status}."
        assert fleet.counters[0].snapshot()["failures"] == {str(status): 1}


async def test_reset_comes_before_the_head() -> None:
    async with serving("reset=1") as (fleet, url):
        caller = await call(url)
        assert (await caller.read(), caller.received) == ("reset", b"")
        assert fleet.counters[0].snapshot()["failures"] == {"reset": 1}


@pytest.mark.parametrize(("fault", "end"), [("truncate", "closed"), ("reset_midway", "reset")])
async def test_a_whole_body_breaks_in_its_middle(fault: str, end: str) -> None:
    async with serving(f"{fault}=1,seed=3") as (fleet, url):
        for _ in range(5):
            caller = await call(url)
            assert await caller.read() == end
            assert caller.received.startswith(b"HTTP/1.1 200 OK\r\n")
            assert 0 < len(caller.body) < caller.length
        assert fleet.counters[0].snapshot()["failures"] == {fault: 5}
        assert fleet.counters[0].completed == fleet.counters[0].cancelled == 0


@pytest.mark.parametrize(("fault", "end"), [("truncate", "closed"), ("reset_midway", "reset")])
async def test_a_stream_breaks_without_a_terminator(fault: str, end: str) -> None:
    lengths = set()
    async with serving(f"{fault}=1,seed=3") as (fleet, url):
        for _ in range(5):
            caller = await call(url, STREAM)
            assert await caller.read() == end
            assert b'"role":"assistant"' in caller.body
            assert b'finish_reason":"' not in caller.body
            assert not caller.body.endswith(b"0\r\n\r\n")
            lengths.add(len(caller.body))
        assert fleet.counters[0].completed == fleet.counters[0].cancelled == 0
    assert len(lengths) > 1


async def test_a_hung_call_gets_nothing_until_its_caller_leaves() -> None:
    async with serving("hang=1") as (fleet, url):
        counters = fleet.counters[0]
        caller = await call(url)
        await until(lambda: counters.concurrency == 1)
        caller.writer.close()
        await until(lambda: counters.concurrency == 0)
        assert (counters.failures["hang"], counters.cancelled) == (1, 0)


async def test_a_stalled_stream_keeps_its_connection() -> None:
    async with serving("stall=1,seed=3") as (fleet, url):
        counters = fleet.counters[0]
        caller = await call(url, STREAM)
        await caller.reader.readuntil(b'"role":"assistant"')
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await caller.read()
        await until(lambda: counters.concurrency == 0)
        assert (counters.failures["stall"], counters.cancelled) == (1, 0)


@pytest.mark.parametrize("body", [HI, STREAM])
async def test_slow_bytes_come_one_by_one_and_complete(body: dict[str, Any]) -> None:
    gate = Gate(10**9)
    async with serving("slow_bytes=1", "", sleep=gate.sleep) as (fleet, url):
        slow = await call(url, body)
        assert await slow.read() == "closed"
        fast = await call(fleet.urls[1], body)
        await fast.read()
        if "stream" in body:
            assert b"".join(chunks(slow.body)) == b"".join(chunks(fast.body))
            assert {len(chunk) for chunk in chunks(slow.body)} == {1}
            assert gate.asked.count(SLOW_GAP) == len(chunks(slow.body))
        else:
            assert slow.body == fast.body
            assert gate.asked.count(SLOW_GAP) == len(slow.body)


async def test_a_head_comes_before_its_first_token() -> None:
    gate = Gate(0)
    async with serving("head_first=yes,latency=9s", sleep=gate.sleep) as (fleet, url):
        caller = await call(url, STREAM)
        head = await caller.reader.readuntil(b"\r\n\r\n")
        assert b"text/event-stream" in head
        await until(lambda: gate.asked == [9.0])
        caller.writer.close()
        await until(lambda: fleet.counters[0].concurrency == 0)


async def test_a_late_token_is_late() -> None:
    gate = Gate(10**9)
    async with serving("late=1,latency=1s", sleep=gate.sleep) as (fleet, url):
        caller = await call(url, STREAM)
        assert await caller.read() == "closed"
        assert gate.asked[0] == 6.0
        assert (fleet.counters[0].failures["late"], fleet.counters[0].completed) == (1, 1)


@pytest.mark.parametrize("head_first", ["yes", "no"])
@pytest.mark.parametrize("body", [HI, STREAM])
async def test_an_error_with_status_200(body: dict[str, Any], head_first: str) -> None:
    async with serving(f"error_first=1,head_first={head_first}") as (fleet, url):
        caller = await call(url, body)
        assert await caller.read() == "closed"
        assert caller.received.startswith(b"HTTP/1.1 200 ")
        assert b'"code":"overloaded"' in caller.received
        assert b"choices" not in caller.received
        assert fleet.counters[0].failures["error_first"] == 1


@pytest.mark.parametrize("head_first", ["yes", "no"])
@pytest.mark.parametrize("body", [HI, STREAM])
async def test_nothing_with_status_200(body: dict[str, Any], head_first: str) -> None:
    async with serving(f"empty=1,head_first={head_first}") as (_, url):
        caller = await call(url, body)
        assert await caller.read() == "closed"
        assert caller.received.startswith(b"HTTP/1.1 200 ")
        assert b"".join(chunks(caller.body)) == b"" if "stream" in body else not caller.body


async def test_a_caller_that_leaves_stops_its_stream() -> None:
    # The latency, then three tokens; the fourth never comes.
    gate = Gate(4)
    async with serving("tokens_per_second=10", sleep=gate.sleep) as (fleet, url):
        counters = fleet.counters[0]
        caller = await call(url, STREAM)
        await until(lambda: counters.tokens == 3)
        caller.writer.close()
        await until(lambda: counters.concurrency == 0)
        assert (counters.cancelled, counters.tokens, counters.completed) == (1, 3, 0)


async def test_a_caller_that_leaves_stops_a_whole_reply() -> None:
    async with serving("tokens_per_second=1", sleep=Gate(1).sleep) as (fleet, url):
        counters = fleet.counters[0]
        caller = await call(url, HI | {"max_tokens": 4096})
        await until(lambda: counters.prompt_tokens == 1)
        caller.writer.close()
        await until(lambda: counters.concurrency == 0)
        assert counters.cancelled == 1
        assert counters.tokens < 4096


async def test_calls_beyond_the_slots_wait_in_line() -> None:
    async with serving("slots=2,model=glm", sleep=Gate(0).sleep) as (fleet, url):
        counters = fleet.counters[0]
        callers = [await call(url) for _ in range(3)]
        await until(lambda: (counters.running, counters.waiting) == (2, 1))
        assert await load(url) == {
            "vllm:num_requests_running": 2,
            "vllm:num_requests_waiting": 1,
            "vllm:gpu_cache_usage_perc": 1,
            "vllm:kv_cache_usage_perc": 1,
            "vllm:prompt_tokens": 0,
            "vllm:generation_tokens": 0,
        }
        for caller in callers:
            caller.writer.close()
        await until(lambda: counters.concurrency == 0)
        assert (counters.running, counters.waiting, counters.cancelled) == (0, 0, 3)
        assert (await load(url))["vllm:num_requests_running"] == 0


async def load(url: str) -> dict[str, float]:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as reply:
        families = list(text_string_to_metric_families(await reply.text()))
    assert {s.labels["model_name"] for f in families for s in f.samples} == {"glm"}
    return {family.name: family.samples[0].value for family in families}


async def test_what_is_not_understood_is_refused_in_the_apis_own_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(routes, "MAX_BODY", 1000)
    async with serving("reset=1") as (fleet, url):
        for path, body, status in (
            (CHAT, {"model": "m"}, 400),
            (CHAT, HI | {"more": "x" * 1000}, 413),
            ("/v1/nothing", HI, 404),
        ):
            caller = await call(url, body, path)
            await caller.read()
            assert caller.received.startswith(b"HTTP/1.1 %d " % status)
            assert json.loads(caller.body)["error"]["type"] == "invalid_request_error"
        caller = await call(url, HI, "/v1/messages")
        await caller.read()
        assert json.loads(caller.body)["type"] == "error"
        assert (fleet.counters[0].rejected, fleet.counters[0].requests) == (3, 0)


async def test_health_and_models() -> None:
    async with serving("model=glm") as (_, url), aiohttp.ClientSession() as session:
        async with session.get(f"{url}/health") as reply:
            assert reply.status == 200
        async with session.get(f"{url}/v1/models") as reply:
            assert [model["id"] for model in (await reply.json())["data"]] == ["glm"]


async def test_the_control_path_shows_and_changes() -> None:
    async with serving("error=500:1") as (fleet, url), aiohttp.ClientSession() as session:
        control = f"{url}/_simulate"
        await (await call(url)).read()
        async with session.get(control) as reply:
            shown = await reply.json()
        assert (shown["endpoint"], shown["behaviour"]) == ("sim-0", "error=500:1.0")
        assert shown["counters"] == fleet.counters[0].snapshot()
        async with session.post(control, data="eror=500:1") as reply:
            assert reply.status == 400
            assert "did you mean error?" in (await reply.json())["error"]
        async with session.post(control, data="tokens=3") as reply:
            assert (await reply.json())["behaviour"] == "tokens=3"
        caller = await call(url)
        await caller.read()
        assert json.loads(caller.body)["usage"]["completion_tokens"] == 3


async def test_a_changed_behaviour_spares_the_calls_under_way() -> None:
    async with serving("hang=1") as (fleet, url):
        hung = await call(url)
        await until(lambda: fleet.counters[0].concurrency == 1)
        fleet.change(0, Behaviour())
        served = await call(url)
        assert await served.read() == "closed"
        assert fleet.counters[0].concurrency == 1
        hung.writer.close()


async def test_the_same_seed_gives_the_same_sequence() -> None:
    async def statuses() -> list[bytes]:
        async with serving("error=500:50%,seed=5") as (_, url):
            callers = []
            for _ in range(12):
                callers.append(await call(url))
                await callers[-1].read()
            return [caller.received[:12] for caller in callers]

    first = await statuses()
    assert first == await statuses()
    assert set(first) == {b"HTTP/1.1 200", b"HTTP/1.1 500"}


async def test_realtime_answers_in_text() -> None:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    async with serving("tokens=3") as (fleet, url), aiohttp.ClientSession() as session:
        async with session.ws_connect(f"{url}/v1/realtime?model=rt") as socket:
            created = await socket.receive_json()
            assert (created["type"], created["session"]["model"]) == ("session.created", "rt")
            await socket.send_json({"type": "conversation.item.create", "item": item})
            await socket.send_json({"type": "response.create"})
            events = [await socket.receive_json() for _ in range(12)]
            await socket.send_str("{")
            assert (await socket.receive_json())["type"] == "error"
        assert [event["type"] for event in events] == [
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            *["response.output_text.delta"] * 3,
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]
        assert "".join(event["delta"] for event in events[5:8]) == events[8]["text"]
        assert events[8]["text"] == "You said: hi "
        assert fleet.counters[0].completed == 1
