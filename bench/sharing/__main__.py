"""Measure how processes share a quota: `python -m bench.sharing [--only NAME] [--of tokens]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from bench.contenders import ROOT
from bench.quota import jain
from bench.sharing.chart import svg
from bench.sharing.fleets import FLEETS, SIDES, Fleet, provider
from bench.sharing.load import Client, Counts, asked_at

RATE: Final = 30.0
"""Calls a second that the quota allows: a sidecar's start takes a core's second, a call a
millisecond, and a machine of two cores is to suffice."""
QUOTAS: Final = {"requests": (RATE * 60, 1e12), "tokens": (1e6, RATE * 60 * 1200)}
"""Requests and tokens a minute. A call has 1200 tokens on average."""
PHASES: Final = ("steady", "changed", "greedy")
SETTLE: Final = 20.0
SECONDS: Final = 25.0
"""For a phase."""
_RESULTS: Final = ROOT / ".build" / "sharing.json"


def wants(phase: str, chance: random.Random) -> list[float]:
    """Return the calls a second that each client wants: half as much again as there is, in all."""
    parts = [chance.choice([0.1, 0.5, 1, 2, 3]) for _ in range(SIDES)]
    rates = [1.5 * RATE * part / sum(parts) for part in parts]
    if phase == "greedy":
        rates[0] = 2 * RATE
    return rates


async def drive(ports: list[int], at: int, kind: str, seed: int) -> dict[str, Any]:
    """Have the clients call; return what came of it by phase, and by the second."""
    chance = random.Random(seed)
    clients = [Client(number, port) for number, port in enumerate(ports)]
    demand = wants(PHASES[0], chance)
    for client, rate in zip(clients, demand, strict=True):
        client.begin(rate)
    began = time.monotonic()
    tasks = [asyncio.create_task(client.run()) for client in clients]
    await asyncio.sleep(SETTLE)
    spans, counted = [], []
    for phase in PHASES:
        if phase != PHASES[0]:
            demand = wants(phase, chance)
        for client, rate in zip(clients, demand, strict=True):
            client.begin(rate)
        start = time.monotonic()
        await asyncio.sleep(SECONDS)
        spans.append((start, time.monotonic()))
        counted.append([client.counts for client in clients])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    asked = await asked_at(at)
    phases = [
        _phase(name, span, counts, asked, kind)
        for name, span, counts in zip(PHASES, spans, counted, strict=True)
    ]
    seconds = int(SETTLE + SECONDS * len(PHASES))
    bins = [[0, 0] for _ in range(seconds)]
    for when, _, answered, _ in asked:
        if 0 <= when - began < seconds:
            bins[int(when - began)][not answered] += 1
    return {"phases": phases, "seconds": bins}


def _phase(
    name: str,
    span: tuple[float, float],
    counts: list[Counts],
    asked: list[tuple[float, int, bool, float]],
    kind: str,
) -> dict[str, Any]:
    begin, end = span
    within = [each for each in asked if begin <= each[0] < end]
    used = sum((tokens if kind == "tokens" else 1) for _, _, ok, tokens in within if ok)
    quota = QUOTAS[kind][kind == "tokens"] / 60 * (end - begin)
    tries = sum(each.tries for each in counts)
    ended = sum(each.got + each.failed for each in counts)
    return {
        "phase": name,
        "used": used / quota,
        "refused": sum(not ok for _, _, ok, _ in within) / len(within),
        "seen": sum(each.refused for each in counts) / tries,
        "failed": sum(each.failed for each in counts) / ended,
        "fairness": jain(counts),
    }


def measure(fleet: Fleet, kind: str, seed: int) -> dict[str, Any]:
    """Run *fleet* at a quota of *kind*."""
    with (
        tempfile.TemporaryDirectory() as folder,
        provider(*QUOTAS[kind], fleet.level) as at,
        fleet.start(Path(folder), at, RATE) as ports,
    ):
        return asyncio.run(drive(ports, at, kind, seed))


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the results as a table of Markdown."""
    lines = [
        "| quota | demand | | used | refused by the provider | tries that got 429 "
        "| calls that failed | Jain's index |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for kind in QUOTAS:
        for index, phase in enumerate(PHASES):
            for fleet in FLEETS:
                found = results.get(f"{kind} {fleet.name}")
                if found is None:
                    continue
                row = found["phases"][index]
                figures = " | ".join(
                    f"{100 * row[name]:.1f} %" for name in ("used", "refused", "seen", "failed")
                )
                lines.append(
                    f"| {kind} | {phase} | {fleet.name} | {figures} | {row['fairness']:.3f} |"
                )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and draw docs/quota.svg from all that was measured so far."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=[fleet.name for fleet in FLEETS])
    parser.add_argument("--of", choices=list(QUOTAS))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    results = json.loads(_RESULTS.read_text()) if _RESULTS.exists() else {}
    for kind in QUOTAS:
        for fleet in FLEETS:
            if options.only in (None, fleet.name) and options.of in (None, kind):
                print(f"{fleet.title}, a quota of {kind} ...", flush=True)
                results[f"{kind} {fleet.name}"] = measure(fleet, kind, options.seed)
                _RESULTS.write_text(json.dumps(results))
    print(table(results))
    drawn = [
        (fleet.title, results[f"requests {fleet.name}"])
        for fleet in FLEETS
        if f"requests {fleet.name}" in results
    ]
    (ROOT / "docs" / "quota.svg").write_text(svg(drawn, RATE, SETTLE, SECONDS, PHASES))


if __name__ == "__main__":
    main()
