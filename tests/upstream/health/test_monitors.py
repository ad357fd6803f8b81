"""Monitors of real servers. Intervals are milliseconds; what counts is the order of things."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sidecar.http.message import ResponseHead
from sidecar.policy.health import HealthSettings
from sidecar.policy.load import Report
from sidecar.upstream.endpoints.endpoint import Origin
from sidecar.upstream.health import load as load_module
from sidecar.upstream.health.checker import HealthChecker, HealthChecks
from sidecar.upstream.health.load import LoadChecks, LoadPoller, exporter_url
from tests.sockets.peers import OK, Server, ok, until
from tests.upstream.names import Names
from tests.upstream.served import NOT_FOUND, Scripted, endpoint, nothing_runs, refusing, secure

CHECKS = HealthChecks(
    path="/health",
    tcp=False,
    expect=("2xx",),
    model=None,
    models_path="/v1/models",
    interval=0.005,
    timeout=5.0,
    jitter=0.2,
    thresholds=HealthSettings(healthy=2, unhealthy=3),
)
LOADS = LoadChecks(path="/metrics", gpu=None, interval=0.005, timeout=5.0)
HOUR = 3600.0
FAILS = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"
MODELS = ok(b'{"object":"list","data":[{"id":"glm"},{"id":"qwen"}]}')
PAGE = ok(
    b"vllm:num_requests_running 2\nvllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.5\n"
)
GPU = ok(b'DCGM_FI_DEV_GPU_UTIL{gpu="0"} 80\n')


def middle() -> float:
    return 0.5


class Seen(list[Any]):
    """What was told, and a way to wait for more of it."""

    async def comes(self, count: int) -> None:
        before = len(self)
        await until(lambda: len(self) >= before + count, "news")


@asynccontextmanager
async def health(
    url: str, checks: HealthChecks = CHECKS, random: Callable[[], float] = middle
) -> AsyncIterator[tuple[HealthChecker, Seen]]:
    """A watch and the changes that it tells of; nothing of it is left."""
    seen = Seen()
    it = HealthChecker(endpoint(url), checks, seen.append, random)
    try:
        yield it, seen
    finally:
        task, timer = it._task, it._timer
        it.stop()
    assert timer is None or timer.cancelled()
    await gone(it, task, seen)


@asynccontextmanager
async def load(url: str, checks: LoadChecks = LOADS) -> AsyncIterator[tuple[LoadPoller, Seen]]:
    """A watch and its reports; nothing of it is left."""
    seen = Seen()
    it = LoadPoller(endpoint(url), checks, seen.append, middle)
    try:
        yield it, seen
    finally:
        task, timer = it._task, it._timer
        it.stop()
    assert timer is None or timer.cancelled()
    await gone(it, task, seen)


async def gone(it: HealthChecker | LoadPoller, task: asyncio.Task[None] | None, seen: Seen) -> None:
    """It has stopped, at which time *task* ran."""
    told = list(seen)
    await until(lambda: task is None or task.done(), "the end of its task")
    assert task is None or task.cancelled()
    assert it._probe.open == 0
    assert it._timer is None
    assert it._task is None
    assert seen == told


# -- health --


async def test_it_is_up_until_proven_otherwise() -> None:
    async with Scripted(health=FAILS) as server, health(server.url) as (it, seen):
        assert it.health.up
        await until(lambda: len(server.asked) > 0)
        await seen.comes(1)
        assert seen == [it.health.up] == [False]
        assert len(server.asked) >= 3
        assert it.problem == "status 500 of /health"


async def test_the_first_look_is_at_once() -> None:
    checks = CHECKS._replace(interval=HOUR, thresholds=HealthSettings(1, 1))
    async with Scripted(health=FAILS) as server, health(server.url, checks) as (it, seen):
        before = time.monotonic()
        await seen.comes(1)
        assert before <= it.changed <= time.monotonic()


async def test_it_comes_back() -> None:
    async with Scripted(health=FAILS) as server, health(server.url) as (it, seen):
        await seen.comes(1)
        server.replies["/health"] = OK
        asked = len(server.asked)
        await seen.comes(1)
        assert seen == [False, True]
        assert len(server.asked) >= asked + 2
        assert it.problem is None


async def test_flapping_is_no_change() -> None:
    async with Scripted(health=OK) as server, health(server.url) as (it, seen):
        for _ in range(4):
            for reply in (FAILS, OK):
                server.replies["/health"] = reply
                asked = len(server.asked)
                await until(lambda asked=asked: len(server.asked) > asked)  # type: ignore[misc]
        assert it.health.up
        assert not seen


@pytest.mark.parametrize(
    ("reply", "checks", "problem"),
    [
        (OK, {}, None),
        (b"HTTP/1.1 204 No Content\r\n\r\n", {}, None),
        (OK, {"expect": ("204", "5xx")}, "status 200"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", {"expect": ("204",)}, None),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", {"expect": ("204", "5xx")}, None),
        (b"HTTP/1.1 302 F\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", {}, "status 302"),
        (NOT_FOUND, {}, "status 404"),
        (b"garbage", {}, "malformed"),
        (b"", {}, "without a reply"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", {"timeout": 0.01}, "no complete reply"),
        (None, {"timeout": 0.01}, "no complete reply within 0.01 s"),
        (FAILS, {"tcp": True}, None),
        (FAILS, {"path": None, "model": "glm"}, None),
        (OK, {"model": "qwen"}, None),
        (OK, {"model": "glm-4"}, "/v1/models does not list glm-4"),
        (FAILS, {"model": "qwen"}, "status 500"),
        (OK, {"model": "glm", "models_path": "/v2"}, "/v2 does not list glm"),
    ],
)
async def test_what_is_well(
    reply: bytes | None, checks: dict[str, Any], problem: str | None
) -> None:
    settings = CHECKS._replace(**checks, interval=HOUR, thresholds=HealthSettings(1, 1))
    async with Scripted(health=reply) as server:
        server.replies["/v1/models"] = MODELS
        async with health(server.url, settings) as (it, _):
            await until(lambda: it._timer is not None, "the end of the look")
            assert it.health.up == (problem is None)
            assert (it.problem or "").find(problem or "") >= 0


async def test_nobody_listens() -> None:
    async with refusing() as url, health(url) as (it, seen):
        await seen.comes(1)
        assert seen == [False]
        assert "can't connect" in str(it.problem)


@pytest.mark.parametrize(("name", "up"), [("localhost", True), ("elsewhere", False)])
@pytest.mark.parametrize("tcp", [True, False])
async def test_tls(name: str, up: bool, tcp: bool) -> None:
    settings = CHECKS._replace(tcp=tcp, interval=HOUR, thresholds=HealthSettings(1, 1))
    async with secure(name) as url, health(url, settings) as (it, _):
        await until(lambda: it._timer is not None, "the end of the look")
        assert it.health.up == up


@pytest.mark.parametrize("silent", [True, False])
async def test_what_we_cannot_ask_is_not_found_to_be_down(silent: bool) -> None:
    """The resolver gives no answer, or fails at once: that tells nothing about the endpoint."""
    names = Names()
    names.error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    if silent:
        names.gate.clear()
    checks = CHECKS._replace(timeout=0.02)
    async with health("http://nowhere:80", checks) as (it, seen):
        await until(lambda: it.endpoint.stats.probes["unknown"] > 5)
        assert it.health.up
        assert not seen
        assert set(it.endpoint.stats.probes) == {"unknown"}
        assert "resolver does not answer" in str(it.endpoint.problem)
        it.endpoint.resolved.stop()
    names.gate.set()


async def test_credentials_are_sent() -> None:
    checks = CHECKS._replace(model="glm", lines=b"\r\nAuthorization: Bearer x")
    async with Scripted(health=OK) as server, health(server.url, checks):
        server.replies["/v1/models"] = MODELS
        await until(lambda: len(server.heads) > 1)
        assert all(b"\r\nAuthorization: Bearer x\r\n" in head for head in server.heads)
        assert server.asked[:2] == ["/health", "/v1/models"]


# -- intervals and settings --


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 8.0), (0.5, 10.0), (1 - 2**-53, 12.0)])
async def test_the_interval_is_jittered(random: float, seconds: float) -> None:
    checks = CHECKS._replace(interval=10.0)
    async with Scripted(health=OK) as server, health(server.url, checks, lambda: random) as (it, _):
        await until(lambda: it._timer is not None, "the end of the look")
        assert it._timer is not None
        assert it._timer.when() - it._began == pytest.approx(seconds, abs=0.01)


async def test_looks_never_overlap() -> None:
    server = Server()
    async with health(server.url, CHECKS._replace(timeout=0.1, interval=0.001)) as (_, seen):
        for _ in range(3):
            peer = await server.accepts()
            await peer.head()
            server.sock.settimeout(0)
            with pytest.raises(BlockingIOError):
                server.sock.accept()
            await peer.is_cut()
        await until(lambda: seen == [False])
    server.closes()


async def test_settings_can_be_replaced_while_it_rests() -> None:
    checks = CHECKS._replace(interval=HOUR)
    async with Scripted(health=OK, other=FAILS) as server, health(server.url, checks) as (it, seen):
        await until(lambda: it._timer is not None, "the end of the look")
        timer = it._timer
        it.settings = CHECKS._replace(path="/other")
        assert timer is not None
        assert timer.cancelled()
        await seen.comes(1)
        assert seen == [False]
        assert server.asked[:4] == ["/health"] + ["/other"] * 3


async def test_settings_can_be_replaced_while_it_looks() -> None:
    server = Server()
    async with health(server.url, CHECKS._replace(interval=HOUR)) as (it, seen):
        peer = await server.accepts()
        await peer.head()
        it.settings = CHECKS._replace(path="/other", thresholds=HealthSettings(1, 1))
        assert it._timer is None
        await peer.sends(FAILS)
        assert (await (await server.accepts()).head()).startswith(b"GET /other ")
        assert not seen  # the first look went by the old thresholds
        server.peers[1].closes()
        await seen.comes(1)
    server.closes()


async def test_the_same_settings_change_nothing() -> None:
    checks = CHECKS._replace(interval=HOUR)
    async with Scripted(health=OK) as server, health(server.url, checks) as (it, _):
        await until(lambda: it._timer is not None, "the end of the look")
        timer = it._timer
        it.settings = CHECKS._replace(interval=HOUR)
        assert it._timer is timer


# -- stopping --


async def test_stopping_before_it_began() -> None:
    async with Scripted(health=OK) as server:
        async with health(server.url):
            pass
        await nothing_but(server)
        assert not server.asked


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\n\r\nx"])
@pytest.mark.parametrize("secured", [False, True])
async def test_stopping_while_it_looks(reply: bytes, secured: bool) -> None:
    """While TLS is being agreed, or while an answer comes."""
    server = Server()
    url = server.url.replace("http", "https") if secured else server.url
    async with health(url) as (_, seen):
        peer = await server.accepts()
        assert await peer.receives()
        if not secured:
            await peer.sends(reply)
    await peer.is_cut()
    await nothing_runs()
    assert not seen
    server.closes()


async def test_stopping_while_it_connects() -> None:
    server = Server(backlog=0)
    await server.fills()
    async with health(server.url) as (it, _):
        await until(lambda: it._probe.open == 1)
        await asyncio.sleep(0.01)
    await nothing_runs()
    server.closes()


async def test_stopping_when_the_answer_is_here_already() -> None:
    server = Server()
    checks = CHECKS._replace(thresholds=HealthSettings(1, 1))
    async with health(server.url, checks) as (it, seen):
        await (await server.accepts()).head()
        exchange = it._probe._exchange
        assert exchange is not None
        exchange.on_whole_response(ResponseHead(), b"")  # of no good status
        exchange.on_read()
    await nothing_runs()
    assert not seen
    server.closes()


async def test_stopping_while_it_rests() -> None:
    async with Scripted(metrics=PAGE) as server:
        async with load(server.url, LOADS._replace(interval=HOUR)) as (it, seen):
            await seen.comes(1)
            await until(lambda: it._timer is not None)
            assert it._probe.open == server.open == 1
        await nothing_but(server)


async def test_stopping_from_what_it_tells() -> None:
    async with Scripted(health=FAILS) as server:
        told: list[bool] = []

        def stop(up: bool) -> None:
            told.append(up)
            it.stop()

        it = HealthChecker(endpoint(server.url), CHECKS, stop, middle)
        await until(lambda: told)
        await gone(it, None, Seen())
        assert told == [False]


async def test_stopping_twice() -> None:
    async with Scripted(health=OK) as server, health(server.url) as (it, _):
        it.stop()


async def nothing_but(server: Scripted) -> None:
    await until(lambda: server.open == 0)
    await nothing_runs()


# -- load --


async def test_reports_come() -> None:
    async with Scripted(metrics=PAGE) as server, load(server.url) as (it, seen):
        await seen.comes(3)
        assert set(seen) == {Report(queued=3, running=2, kv_used=0.5)}
        assert it.problem is None
        assert server.open == 1  # all on one connection
        assert b"Connection: close" not in server.heads[0]


@pytest.mark.parametrize("reply", [FAILS, NOT_FOUND, ok(b"other 1\n"), b"", b"garbage\r\n\r\n"])
async def test_what_tells_no_load(reply: bytes) -> None:
    async with Scripted(metrics=reply) as server, load(server.url) as (it, seen):
        await until(lambda: len(server.asked) > 1)
        assert not seen
        assert it.problem is not None
        server.replies["/metrics"] = PAGE
        await seen.comes(1)
        assert it.problem is None


async def test_a_page_that_is_too_large_is_read_as_far_as_it_may_be() -> None:
    page = b"vllm:num_requests_waiting 3\n" + b"#" * 2**21
    async with Scripted(metrics=ok(page)) as server, load(server.url) as (_, seen):
        await seen.comes(2)
        assert seen[0] == Report(queued=3)


async def test_the_exporter_of_its_host_is_asked_too() -> None:
    async with Scripted(metrics=PAGE) as server, Scripted(metrics=GPU) as exporter:
        url = f"http://{{host}}:{exporter.port}/metrics"
        checks = LOADS._replace(gpu=url, lines=b"\r\nAuthorization: Bearer x")
        async with load(server.url, checks) as (_, seen):
            await seen.comes(2)
            assert seen[-1] == Report(queued=3, running=2, kv_used=0.5, utilization=0.8)
        assert b"Authorization" in server.heads[0]
        assert all(b"Authorization" not in head for head in exporter.heads)


async def test_only_the_exporter_is_asked() -> None:
    async with Scripted(metrics=GPU) as exporter:
        checks = LOADS._replace(path=None, gpu=exporter.url + "/metrics")
        async with load("http://127.0.0.1:1", checks) as (_, seen):
            await seen.comes(2)
            assert seen[-1] == Report(utilization=0.8)


async def test_half_a_report_is_none() -> None:
    async with Scripted(metrics=PAGE) as server, Scripted(metrics=FAILS) as exporter:
        checks = LOADS._replace(gpu=exporter.url + "/metrics")
        async with load(server.url, checks) as (it, seen):
            await until(lambda: len(exporter.asked) > 1)
            assert not seen
            assert exporter.url in str(it.problem)


async def test_another_exporter() -> None:
    async with Scripted(metrics=GPU) as one, Scripted(metrics=GPU) as two:
        checks = LOADS._replace(path=None, gpu=one.url + "/metrics")
        async with load("http://127.0.0.1:1", checks) as (it, seen):
            await seen.comes(1)
            it.settings = checks._replace(gpu=two.url + "/metrics")
            await until(lambda: two.asked)
            await until(lambda: one.open == 0)


async def test_stopping_while_the_exporter_is_asked() -> None:
    server = Server()
    checks = LOADS._replace(path=None, gpu=server.url)
    async with load("http://127.0.0.1:1", checks) as (_, seen):
        peer = await server.accepts()
        await peer.head()
    await peer.is_cut()
    await nothing_runs()
    assert not seen
    server.closes()


async def test_an_exporter_with_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    async with secure("localhost", reply=GPU) as url:
        context = endpoint(url).dial._context
        monkeypatch.setattr(load_module, "client_context", lambda _: context)
        async with load("http://127.0.0.1:1", LOADS._replace(path=None, gpu=url)) as (_, seen):
            await seen.comes(1)
            assert seen[0] == Report(utilization=0.8)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://10.0.0.7:8000", "http://10.0.0.7:9400/metrics"),
        ("http://[fd00::7]:8000", "http://[fd00::7]:9400/metrics"),
    ],
)
def test_the_exporters_url(url: str, expected: str) -> None:
    assert exporter_url("http://{host}:9400/metrics", Origin.of(url)) == expected


def test_the_exporter_of_an_address_that_a_name_has() -> None:
    place = Origin.of("http://glm.example:8000", "10.0.0.7")
    assert exporter_url("http://{host}:9400", place) == "http://10.0.0.7:9400"
