"""Streams of a fleet that sends its heads at once: `python -m bench.resilience.head_first`.

What fails does so behind the head: the first token hangs, or an error or nothing comes instead. The
same streams are made with no proxy, through a sidecar, and through one that does not read them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from bench import messages, provider, report
from bench.contenders import DIRECT, SIDECAR, UNREAD, Contender, Place, free_port, sidecar, started
from bench.process import LOAD_CORE
from bench.resilience.arrivals import poisson
from bench.resilience.client import Outcome, tell
from bench.resilience.fleet import Fleet
from bench.resilience.summary import ROWS, Run, show

_HERE: Final = Path(__file__).resolve().parent
_ROOT: Final = _HERE.parents[1]
_ENDPOINTS: Final = 4
_RATE: Final = 30.0
_TIMEOUT: Final = 30.0
_FATES: Final = "latency=lognormal:200ms:0.4,head_first=yes,late=3%,error_first=2%,empty=1%"
_BODY: Final = (
    b'{"model":"m","stream":true,"max_tokens":8,"messages":[{"role":"user","content":"tell me"}]}'
)
_CONTENT: Final = b'"content":"'


def _command(more: str) -> Contender:
    def command(place: Place) -> list[str]:
        argv = sidecar(place, "head_first.yaml")
        config = place.folder / "head_first.yaml"
        config.write_text(config.read_text("utf-8").replace("@more@", more), "utf-8")
        return argv

    return Contender(UNREAD if more else SIDECAR, command)


CONTENDERS: Final = (Contender(DIRECT, None), _command("read: false"), _command(""))


async def _stream(
    session: aiohttp.ClientSession, url: str, expected: bytes
) -> tuple[float | None, str]:
    """When the first content came (seconds of the loop's clock), and why it failed, if it did."""
    body, first = b"", None
    try:
        async with session.post(url, data=_BODY) as reply:
            async for data in reply.content.iter_any():
                body += data
                if first is None and body.count(_CONTENT) > body.count(_CONTENT + b'"'):
                    first = asyncio.get_running_loop().time()
            if reply.status != 200:
                return first, str(reply.status)
    except TimeoutError:
        return first, "timeout"
    except aiohttp.ClientError:
        return first, "broken"
    if body == expected:
        return first, ""
    return first, "an error event" if b'"error"' in body else "no answer"


async def _drive(urls: Sequence[str], expected: bytes, due: Sequence[float]) -> list[Outcome]:
    loop = asyncio.get_running_loop()
    outcomes: list[Outcome] = []
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT),
        headers=provider.SDK,
    ) as session:
        begin = loop.time()

        async def one(number: int, at: float) -> None:
            url = urls[number % len(urls)] + messages.PATH
            first, failure = await _stream(session, url, expected)
            seconds = (loop.time() if first is None else first) - begin - at
            outcomes.append(Outcome(at, seconds, failure))

        async with asyncio.TaskGroup() as group:
            for number, at in enumerate(due):
                await asyncio.sleep(begin + at - loop.time())
                group.create_task(one(number, at))
    return sorted(outcomes)


def _measure(contender: Contender, folder: Path, due: Sequence[float], seed: int) -> Run:
    folder.mkdir()
    with Fleet(_ENDPOINTS, folder) as fleet:
        expected = fleet.reply(_BODY)
        if contender.command is None:
            return _run(fleet, fleet.urls, expected, due, seed)
        place = Place(folder, free_port(), fleet.ports, _HERE)
        with started(contender, place):
            return _run(fleet, [f"http://127.0.0.1:{place.port}"], expected, due, seed)


def _run(
    fleet: Fleet, urls: Sequence[str], expected: bytes, due: Sequence[float], seed: int
) -> Run:
    before = fleet.requests()
    fleet.behave([f"{_FATES},seed={seed}"] * _ENDPOINTS)
    outcomes = asyncio.run(_drive(urls, expected, due))
    return Run(outcomes, fleet.requests() - before)


def _text(runs: dict[str, list[Run]]) -> str:
    labels = {"calls that went well": "streams that were whole"}
    shown = [row for row in ROWS if not row.label.startswith("mean")]
    rows = [
        [
            f"{labels.get(row.label, 'first content, ' + row.label)}, {row.unit}"
            if row.unit
            else row.label,
            *(show(row, each) for each in runs.values()),
        ]
        for row in shown
    ]
    count = len(next(iter(runs.values()))[0].outcomes)
    return (
        f"{count:,} streams for each, {_RATE:.0f} a second, on {report.machine()}; "
        f"each of {_ENDPOINTS} endpoints is `{_FATES}` (`late`: 5 s).\n\n"
        f"{report.table(['', *runs], rows)}"
    )


def main() -> None:
    """Measure, print the table, and write it where that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.resilience.head_first")
    parser.add_argument("--seconds", type=float, default=40.0, metavar="S", help="for each")
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    due = poisson(_RATE, arguments.seconds, seed=1)
    runs: dict[str, list[Run]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        for contender in CONTENDERS:
            run = _measure(contender, Path(folder, contender.name), due, seed=1)
            print(f"{contender.name}: {tell(run.outcomes)}", flush=True)
            runs[contender.name] = [run]
    text = _text(runs)
    print(f"\n{text}")
    if arguments.write:
        report.write(_ROOT / "docs" / "benchmarks.md", "bench.resilience.head_first", text)


if __name__ == "__main__":
    main()
