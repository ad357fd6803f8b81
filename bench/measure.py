"""One contender, one round: start it, put every load on it, stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import messages, wrk
from bench.contenders import Contender, Place, free_port, started
from bench.fleet import CHUNKS, Fleet
from bench.load import LoadError, run_module
from bench.process import PROXY_CORE, Process, busy_ns

CONNECTIONS: Final = 64
FEW: Final = 4  # connections of a slow contender's streams
RATE: Final = 1000.0  # calls a second at which tails are compared
_GIB: Final = 2**30

Sample = dict[str, float]


@dataclass(frozen=True)
class Plan:
    """How long the loads of one round last, in seconds (wrk knows whole ones only)."""

    warm: int = 1
    saturate: int = 3
    plain: int = 2
    tls: int = 2
    fixed: float = 2.0
    single: int = 1
    streams: int = 2  # one after another on each connection; a second each


SLOW: Final = Plan(warm=5, saturate=6, plain=3, single=3, streams=1)
QUICK: Final = Plan(saturate=1, plain=1, tls=1, fixed=1.0, streams=1)


class Round:
    """Measures one contender; every method adds to the sample."""

    def __init__(
        self,
        contender: Contender,
        process: Process | None,
        port: int,
        scripts: wrk.Scripts,
        plan: Plan,
    ):
        self.contender = contender
        self.process = process
        self.port = port
        self.scripts = scripts
        self.plan = SLOW if contender.slow else plan
        self.sample: Sample = {}

    def run(self) -> Sample:
        """All loads without TLS, one after another."""
        plan, provider = self.plan, self.scripts[wrk.PROVIDER]
        self._memory("idle")
        wrk.saturate(provider, self.port, CONNECTIONS, plan.warm)
        self._saturate("call", wrk.PROVIDER, plan.saturate)
        self._fixed_rate()
        single = wrk.saturate(provider, self.port, 1, plan.single)
        self.sample |= {"one_p50_us": single["p50_us"], "one_p99_us": single["p99_us"]}
        self._saturate("plain", wrk.PLAIN, plan.plain)
        self._streams("chunk", steps=False)
        self._streams("step", steps=True)
        self._memory("loaded")
        if self.contender.large:
            self._large()
        return self.sample

    def run_tls(self) -> Sample:
        """The loads for which the endpoints speak TLS."""
        wrk.saturate(self.scripts[wrk.PROVIDER], self.port, CONNECTIONS, self.plan.warm)
        self._saturate("tls", wrk.PROVIDER, self.plan.tls)
        self._saturate("new", wrk.CLOSING, self.plan.tls)
        return self.sample

    def _cpu(self, load: Callable[[], Sample]) -> tuple[Sample, float]:
        """What *load* says, and the proxy's CPU nanoseconds while it ran."""
        begin, busy, before = time.perf_counter_ns(), busy_ns(PROXY_CORE), self._own_cpu()
        result = load()
        own = self._own_cpu() - before
        share = (busy_ns(PROXY_CORE) - busy - own) / (time.perf_counter_ns() - begin)
        # Whoever else worked on the proxy's core disturbed its tail: the report says how much.
        self.sample["others_share"] = max(share, self.sample.get("others_share", 0.0))
        return result, own

    def _own_cpu(self) -> int:
        return self.process.cpu_ns() if self.process else 0

    def _memory(self, when: str) -> None:
        if self.process:
            memory = self.process.memory()
            self.sample[f"rss_{when}"] = memory.rss
            self.sample[f"pss_{when}"] = memory.pss
            self.sample[f"anonymous_{when}"] = memory.anonymous

    def _keep_cpu(self, name: str, value: float) -> None:
        if self.process:
            self.sample[name] = value

    def _saturate(self, name: str, traffic: str, seconds: int) -> None:
        script = self.scripts[traffic]
        load, cpu = self._cpu(lambda: wrk.saturate(script, self.port, CONNECTIONS, seconds))
        self.sample[f"{name}_per_s"] = load["calls"] / load["seconds"]
        self.sample[f"{name}_p50_us"] = load["p50_us"]
        self.sample[f"{name}_p99_us"] = load["p99_us"]
        self._keep_cpu(f"cpu_{name}_us", cpu / load["calls"] / 1e3)

    def _fixed_rate(self) -> None:
        if self.sample["call_per_s"] < 2 * RATE:
            return  # near its limit: the tail would tell of the queue, not of the proxy
        load, cpu = self._cpu(
            lambda: run_module("calls", self.port, CONNECTIONS, RATE, self.plan.fixed)
        )
        self.sample["fixed_p50_us"] = load["p50_us"]
        self.sample["fixed_p99_us"] = load["p99_us"]
        self._keep_cpu("cpu_call_fixed_us", cpu / load["calls"] / 1e3)

    def _streams(self, name: str, *, steps: bool) -> None:
        connections = FEW if self.contender.slow else CONNECTIONS
        load, cpu = self._cpu(
            lambda: run_module("streams", self.port, connections, self.plan.streams, int(steps))
        )
        if load["chunks"] != load["streams"] * CHUNKS:
            raise LoadError(f"{load['chunks']:.0f} chunks of {load['streams'] * CHUNKS:.0f}")
        self.sample[f"{name}_p50_us"] = load["p50_us"]
        self.sample[f"{name}_p99_us"] = load["p99_us"]
        self.sample[f"{name}s_alone"] = load["alone"]
        per_call = cpu / load["streams"] / 1e3 - self.sample.get("cpu_call_us", 0)
        self._keep_cpu(f"cpu_{name}_us", per_call / CHUNKS)

    def _large(self) -> None:
        load, cpu = self._cpu(lambda: run_module("large", self.port))
        share = messages.LARGE_BYTES / _GIB
        self.sample["large_gib_per_s"] = share / load["seconds"]
        self._keep_cpu("cpu_gib_ms", cpu / share / 1e6)


def measure(
    contender: Contender, folder: Path, fleet: Fleet, scripts: wrk.Scripts, plan: Plan
) -> Sample:
    """Start *contender* in *folder*, measure it, end it. UnavailableError if it can't serve."""
    if contender.command is None:
        return Round(contender, None, fleet.plain[0], scripts, plan).run()
    folder.mkdir()
    place = Place(folder, free_port(), fleet.plain)
    with started(contender, place) as (process, ready):
        time.sleep(0.3)  # let it settle before its memory is read
        sample = Round(contender, process, place.port, scripts, plan).run()
    sample["ready_s"] = ready
    if contender.tls:
        place = Place(folder, free_port(), fleet.secure, ca=fleet.ca)
        with started(contender, place) as (process, _):
            secure = Round(contender, process, place.port, scripts, plan).run_tls()
        secure["others_share"] = max(sample["others_share"], secure["others_share"])
        sample |= secure
    return sample
