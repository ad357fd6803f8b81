"""`sidecar simulate`: a fleet of simulated LLM endpoints, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

from sidecar.simulate.behaviour import Behaviour, describe_settings

if TYPE_CHECKING:
    from sidecar.simulate.fleet import Fleet

_ABOUT = """\
Serve simulated LLM endpoints: OpenAI chat completions, responses, embeddings, models and
realtime, and Anthropic messages, streaming or not, as fast and as faulty as you like.
Each also has /health, vLLM's /metrics, and /_simulate: GET shows its counters, POST takes a
new behaviour."""

_SETTINGS = f"""\
A behaviour is a list like latency=lognormal:250ms:0.6,tokens_per_second=50,error=500:5%:
{describe_settings()}

Examples:
  sidecar simulate
  sidecar simulate --endpoints 3 --behaviour latency=250ms,error=500:5%,reset=1%
  sidecar simulate --behaviour latency=50ms --behaviour latency=2s,slots=4
  curl -d down=0s:10s http://127.0.0.1:18001/_simulate"""

_COLUMNS = ("requests", "completed", "cancelled", "rejected", "tokens")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what `sidecar simulate` takes."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description, parser.epilog = _ABOUT, _SETTINGS
    parser.add_argument(
        "--endpoints",
        type=_positive,
        metavar="N",
        help="number of endpoints (default: one per --behaviour, or 3 with at most one of it)",
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=18001,
        help="port of the first endpoint, others follow; 0: any free ports (default: %(default)s)",
    )
    parser.add_argument(
        "--behaviour",
        type=_behaviour,
        action="append",
        metavar="SETTINGS",
        help="see below; if repeated, endpoints take turns",
    )
    parser.add_argument("--json", action="store_true", help="write JSON, one object per line")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM, then write the counters; 1 when a port can't be had."""
    import uvloop

    behaviours = args.behaviour or [Behaviour()]
    count = args.endpoints or max(len(behaviours), 1 if len(behaviours) > 1 else 3)
    fleet = [behaviours[index % len(behaviours)] for index in range(count)]
    ports = [args.port + index if args.port else 0 for index in range(count)]
    if ports[-1] > 65535:
        sys.stderr.write(f"sidecar simulate: port {ports[-1]} is past 65535\n")
        return 1
    try:
        uvloop.run(_serve(fleet, args.host, ports, args.json))
    except OSError as error:
        sys.stderr.write(f"sidecar simulate: can't listen: {error}\n")
        return 1
    return 0


async def _serve(behaviours: list[Behaviour], host: str, ports: list[int], as_json: bool) -> None:
    # aiohttp is heavy: `sidecar run` reads this module's arguments and never needs it.
    from sidecar.simulate.fleet import Fleet

    fleet = Fleet()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    urls = await fleet.start(behaviours, host, ports)
    for index, (url, behaviour) in enumerate(zip(urls, behaviours, strict=True)):
        _announce(index, url, behaviour, as_json)
    await stop.wait()
    _report(fleet, as_json)
    await fleet.stop()


def _announce(index: int, url: str, behaviour: Behaviour, as_json: bool) -> None:
    if as_json:
        line = json.dumps({"endpoint": f"sim-{index}", "url": url, "behaviour": str(behaviour)})
    else:
        line = f"sim-{index}  {url}  {str(behaviour) or 'prompt and faultless'}"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _report(fleet: Fleet, as_json: bool) -> None:
    rows = [counters.snapshot() for counters in fleet.counters]
    if as_json:
        for index, row in enumerate(rows):
            sys.stdout.write(json.dumps({"endpoint": f"sim-{index}", "counters": row}) + "\n")
        return
    sys.stdout.write(f"\n{'':8}" + "".join(f"{name:>11}" for name in _COLUMNS) + "  failures\n")
    for index, row in enumerate(rows):
        sys.stdout.write(_table_row(f"sim-{index}", row) + "\n")


def _table_row(name: str, row: dict[str, Any]) -> str:
    failures = ", ".join(f"{kind}: {count}" for kind, count in row["failures"].items())
    numbers = "".join(f"{row[column]:>11}" for column in _COLUMNS)
    return f"{name:8}{numbers}  {failures or 'none'}"


def _behaviour(text: str) -> Behaviour:
    try:
        return Behaviour.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _positive(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError("expected a whole number between 1 and 1000")
    return int(text)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("expected a port between 0 and 65535")
    return int(text)
