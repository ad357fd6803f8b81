"""What is gone is freed at once: the collector hardly ever looks, and callers choose some names."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from sidecar.policy.breaker_settings import BreakerSettings
from sidecar.policy.timeouts import Patience
from sidecar.upstream.connect import dialer
from sidecar.upstream.connect.connection import UpstreamConnection
from sidecar.upstream.connect.pool import Pool
from sidecar.upstream.endpoints import sources as module
from sidecar.upstream.endpoints.endpoint import Endpoint
from sidecar.upstream.endpoints.sources import TemplateSource
from sidecar.upstream.endpoints.upstream import Upstream
from tests.listen.transports import Transport
from tests.sockets.peers import GET, OK, Server, until
from tests.sockets.stage import Stage
from tests.upstream.connect.test_pool import Dialling
from tests.upstream.endpoints.test_registry import Serving, urls
from tests.upstream.names import Names, turns

BREAKER = BreakerSettings(0.5, 0.8, None, 1, 30.0, 100, 1.0, 60.0, 0.0, 3)


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def used(endpoint: Endpoint) -> None:
    """As calls leave it: with breakers that have changed, and a name that is followed."""
    breaker = endpoint.new_breaker("default", BREAKER, lambda: 0.5)
    permit = breaker.acquire(0.0)
    assert permit is not None
    breaker.settle(permit, 0.0, True, 0.1)
    assert breaker.status == "open"


@pytest.mark.parametrize("url", ["http://{name}", "http://127.0.0.1:80/{name}"])
async def test_endpoints_of_captured_values(url: str) -> None:
    Names()
    serving = Serving()
    upstream = serving.serve(u=urls(url))
    seen: list[weakref.ref[Endpoint]] = []
    for number in range(300):
        (endpoint,) = upstream.for_call({"name": f"n{number}"})
        endpoint.resolved.ask()
        used(endpoint)
        seen.append(weakref.ref(endpoint))
        del endpoint
    await turns()
    assert sum(ref() is not None for ref in seen) == 256
    serving.serve(v=urls("http://a"))
    await turns()
    assert not any(ref() for ref in seen)
    assert serving.counted == {"http://a"}


async def test_a_breaker_of_what_is_gone_hears_no_more() -> None:
    serving = Serving()
    endpoint = serving.serve(u=urls("http://a")).endpoints()[0]
    breaker = endpoint.new_breaker("default", BREAKER, lambda: 0.5)
    permit = breaker.acquire(0.0)
    assert permit is not None
    endpoint.retire()
    breaker.settle(permit, 0.0, True, 0.1)
    breaker.fail_late(permit, 0.0)
    breaker.cancel(permit)
    assert breaker.status == "closed"
    assert not endpoint.breakers


def template(upstream: Upstream) -> TemplateSource:
    (source,) = upstream.sources
    assert isinstance(source, TemplateSource)
    return source


async def test_what_no_call_asks_for_goes_in_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    serving = Serving()
    upstream = serving.serve(u=urls("http://127.0.0.1/{name}"))
    it = template(upstream)
    for name in ("a", "b", "c"):
        upstream.for_call({"name": name})
    it._sweep()
    assert len(it.made) == 3
    monkeypatch.setattr(module, "_IDLE", 0.0)
    upstream.for_call({"name": "a"})
    it._used["http://127.0.0.1/a"] += 60
    it._sweep()
    assert list(it.made) == ["http://127.0.0.1/a"]
    assert serving.counted == {"http://127.0.0.1/a"}
    it._used.clear()
    it._used["http://127.0.0.1/a"] = 0.0
    it._sweep()
    assert not it.made
    assert it._sweeper is None  # nothing to look for
    upstream.for_call({"name": "d"})
    assert it._sweeper is not None


async def test_a_connection_and_its_endpoint_after_their_call() -> None:
    server = Server()
    config: dict[str, Any] = {
        "upstreams": {"u": {"endpoints": [{"url": server.url + "/{name}"}]}},
        "routes": [{"match": {"path": "/{name}/"}, "upstream": "u"}],
    }
    async with Stage(servers=[server], **config) as stage:
        client = await stage.client()
        await client.sends(GET.replace(b"/v1/models", b"/one/x"))
        peer = await stage.accepts()
        await peer.head()
        (source,) = stage.serving.snapshot.upstreams["u"].sources
        assert isinstance(source, TemplateSource)
        endpoint = weakref.ref(next(iter(source.made.values())))
        pool = weakref.ref(next(iter(source.made.values())).pool)
        source._drop_oldest()
        await peer.sends(OK)
        assert (await client.reply()).body == b"ok"
        await peer.ends()
        await stage.is_at_rest()
        await asyncio.sleep(0.01)
        assert endpoint() is None
        assert pool() is None
        client.closes()


@pytest.mark.parametrize("made_first", [True, False])
async def test_a_connection_that_nobody_waits_for_any_more(made_first: bool) -> None:
    it = Dialling()
    connection = UpstreamConnection(it.pool)
    if made_first:
        transport = Transport(connection)
        connection.discard_unused()
    else:  # its dial was cancelled a step before
        connection.discard_unused()
        transport = Transport(connection)
    assert transport.closing
    await turns()
    assert transport.lost
    parser = weakref.ref(connection.parser)
    seen = weakref.ref(connection)
    transport.protocol = asyncio.Protocol()
    del connection, transport
    await turns()
    assert (seen(), parser()) == (None, None)


@pytest.mark.parametrize("steps", range(12))
async def test_a_dial_that_is_cancelled_at_any_step(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By transports of the loop's own, some of which are aborted before they are set up."""
    seen: list[weakref.ref[UpstreamConnection]] = []

    def made(pool: Pool) -> UpstreamConnection:
        connection = UpstreamConnection(pool)
        seen.append(weakref.ref(connection))
        return connection

    monkeypatch.setattr(dialer, "UpstreamConnection", made)
    async with Stage() as stage:
        pool = stage.endpoints[0].pool

        async def dials() -> None:
            with suppress(asyncio.CancelledError):
                (await pool.acquire(Patience(1.0, 1.0, None))).abort()

        dialling = asyncio.create_task(dials())
        await turns(steps)
        dialling.cancel()
        await asyncio.wait([dialling])
        await until(lambda: not any(ref() for ref in seen))
