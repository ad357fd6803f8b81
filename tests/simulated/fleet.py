"""A sidecar's own code between simulated callers and simulated endpoints, in simulated time.

What is real: configuration, stack, layers, rotation, policies, pools, parser, exchange, reply. What
is not: sockets, the clock, chance.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from statistics import fmean
from typing import Any

from sidecar.config.load import load
from sidecar.observe.stats import Stats
from sidecar.policy.timeouts import Due
from sidecar.proxy.recorder import Recorder
from sidecar.proxy.routing.shared_state import SharedState
from sidecar.proxy.routing.snapshot import compile_snapshot
from sidecar.upstream.connect.connection import UpstreamConnection
from sidecar.upstream.connect.pool import Pool
from sidecar.upstream.endpoints.endpoint import Endpoint
from sidecar.upstream.endpoints.registry import Registry
from tests.simulated.callers import Outcome, call, sdk
from tests.simulated.servers import Server, dial


class Fleet:
    """One upstream `u` of *servers*; *others* are further upstreams, each with one policy."""

    def __init__(
        self,
        *servers: Server,
        policy: dict[str, Any] | None = None,
        upstream: dict[str, Any] | None = None,
        route: dict[str, Any] | None = None,
        others: dict[str, Sequence[Server]] | None = None,
        seed: int = 1,
    ) -> None:
        self.servers = servers
        self.draws = random.Random(seed)
        self._every = {"u": servers, **(others or {})}
        self._by_name = {s.name: s for group in self._every.values() for s in group}
        self.stats = Stats(0.0)
        self.recorder = Recorder(self.stats)
        pool = {"max_open": 10_000, "max_idle": 10_000}
        config = {
            "listeners": [{"address": "127.0.0.1:1"}],
            "upstreams": {
                name: {
                    "endpoints": [{"url": server.name} for server in group],
                    "pool": pool,
                    **((upstream or {}) if name == "u" else {}),
                }
                for name, group in self._every.items()
            },
            "routes": [{"name": "r", "upstream": "u", **(route or {})}],
            "policies": {"default": policy or {}},
        }
        loaded = load(json.dumps(config), file="x")
        self.registry = Registry(self.stats)
        wanted = loaded.config.upstreams
        binding = self.registry.bind(wanted, self.registry.secure(wanted))
        shared = SharedState()
        transaction = shared.begin()
        self.snapshot = compile_snapshot(loaded, binding.upstreams, self.stats, transaction)
        self.registry.commit(binding)
        shared.commit(transaction)
        for group in self.snapshot.upstreams.values():
            for endpoint in group.endpoints():
                endpoint.pool._dial = self._dialling(self._by_name[endpoint.name])

    def _dialling(self, server: Server) -> Callable[[Pool, Due], Awaitable[UpstreamConnection]]:
        async def dialled(pool: Pool, due: Due) -> UpstreamConnection:
            return await dial(server, pool)

        return dialled

    @property
    def endpoints(self) -> list[Endpoint]:
        return self.snapshot.upstreams["u"].endpoints()

    async def call(self, **more: Any) -> Outcome:
        return await call(self.snapshot, self.recorder, **more)

    async def sdk(self, **more: Any) -> Outcome:
        return await sdk(self.snapshot, self.recorder, self.draws, **more)

    async def open_load(
        self, rate: float, seconds: float, one: Callable[[int], Awaitable[Outcome]]
    ) -> list[Outcome]:
        """Calls that come at random, *rate* a second, answered or not."""
        tasks = []
        due, number = self.draws.expovariate(rate), 0
        begin = time.monotonic()
        while due < seconds:
            await asyncio.sleep(begin + due - time.monotonic())
            tasks.append(asyncio.ensure_future(one(number)))
            due += self.draws.expovariate(rate)
            number += 1
        return list(await asyncio.gather(*tasks))

    def amplification(self, calls: Sequence[Outcome]) -> float:
        """Requests at the fleet for each call."""
        return sum(len(s.arrivals) for s in self.servers) / len(calls)

    def share(self, server: Server, since: float) -> float:
        """Of the requests that came after *since*."""
        all_of_them = sum(sum(at >= since for at in s.arrivals) for s in self.servers)
        return sum(at >= since for at in server.arrivals) / all_of_them


class Summary:
    """What a load came to."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.ok = sum(each.ok for each in outcomes) / len(outcomes)
        seconds = sorted(each.seconds for each in outcomes)
        self.mean = fmean(seconds)
        self.p99 = seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))]

    def __repr__(self) -> str:
        return f"ok {self.ok:.2%}, mean {self.mean * 1e3:.0f} ms, p99 {self.p99 * 1e3:.0f} ms"
