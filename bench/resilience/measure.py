"""One contender against one fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import messages
from bench.contenders import (
    ALL,
    DIRECT,
    REFERENCE,
    SIDECAR,
    Contender,
    Place,
    free_port,
    started,
)
from bench.resilience.client import Client, Outcome, Send, drive
from bench.resilience.fleet import Fleet
from bench.resilience.summary import Run

CONTENDERS: Final = [one for one in ALL if one.name in (DIRECT, SIDECAR, REFERENCE)]
CONFIGS: Final = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Load:
    """What a contender meets. *wrap* makes a call of the client's single tries."""

    behaviours: Sequence[str]
    arrivals: Sequence[float]
    timeout: float
    wrap: Callable[[Send], Send] = lambda send: send


def measure(contender: Contender, folder: Path, load: Load) -> Run:
    """Start a fleet and *contender* in front of it; make the calls of *load*."""
    folder.mkdir()
    with Fleet(len(load.behaviours), folder) as fleet, _started(contender, fleet, folder) as urls:
        expected = fleet.reply(messages.body())
        before = fleet.requests()
        fleet.behave(load.behaviours)
        outcomes = asyncio.run(_drive(urls, expected, load, contender.name))
        return Run(outcomes, fleet.requests() - before)


@contextmanager
def _started(contender: Contender, fleet: Fleet, folder: Path) -> Iterator[list[str]]:
    """Where the client calls: the contender, or each endpoint in turn where there is none."""
    if contender.command is None:
        yield fleet.urls
        return
    place = Place(folder, free_port(), fleet.ports, CONFIGS)
    with started(contender, place):
        yield [f"http://127.0.0.1:{place.port}"]


async def _drive(urls: Sequence[str], expected: bytes, load: Load, name: str) -> list[Outcome]:
    async with Client(urls, expected, load.timeout) as client:
        return await drive(load.wrap(client.send), load.arrivals, name)
