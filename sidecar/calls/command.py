"""`sidecar calls`: ask the sidecar of this machine for its last calls, and print them.

It needs nothing but the admin API, so it also works inside the sidecar's container.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec

from sidecar import environment
from sidecar.calls.style import ASCII, UNICODE, Style
from sidecar.calls.table import table
from sidecar.calls.waterfall import waterfall
from sidecar.config.model.units import Duration
from sidecar.observe.record import CallRecord

FAILED = 1
_WITHIN: Final = 10.0
_WIDE: Final = 1000
"""Columns where there is no terminal: nothing is cut."""


class _Refused(Exception):
    """The sidecar does not tell; the message says why."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar calls`."""
    parser.description = (
        "Print the calls that ended last, newest first; or one of them with its attempts."
    )
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="request id or trace id of a call, or how it begins"
    )
    parser.add_argument(
        "--admin",
        default=environment.admin(os.environ),
        metavar="HOST:PORT",
        help="admin API of the running sidecar (default: %(default)s)",
    )
    shown = parser.add_argument_group("which calls")
    shown.add_argument(
        "-n", "--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)"
    )
    shown.add_argument("--errors", action="store_true", help="that failed, broke or were left")
    shown.add_argument("--status", metavar="503|5xx", help="with this status")
    shown.add_argument("--route", metavar="NAME", help="of this route")
    shown.add_argument("--model", metavar="NAME", help="that asked for this model, or got it")
    shown.add_argument("--min", type=_milliseconds, metavar="2s", help="that took so long at least")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print all that is known, as JSON")
    form.add_argument("--mermaid", action="store_true", help="print ID as a sequence diagram")


def run(arguments: argparse.Namespace) -> int:
    """Print what is asked for. 0, or 1 if it can't be had; 2 for wrong usage."""
    if arguments.mermaid and arguments.id is None:
        print("sidecar calls: --mermaid needs the ID of a call", file=sys.stderr)
        return 2
    try:
        print(_answer(arguments))
    except _Refused as error:
        print(f"sidecar calls: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _answer(arguments: argparse.Namespace) -> str:
    if arguments.id is None:
        path = f"/calls?{urlencode(_filters(arguments))}"
    else:
        path = f"/calls/{quote(arguments.id, safe='')}{'.mmd' if arguments.mermaid else ''}"
    text = _get(arguments.admin, path)
    if arguments.mermaid:
        return text.rstrip("\n")
    found = json.loads(text)
    if arguments.json:
        return json.dumps(found, indent=2)
    width = shutil.get_terminal_size((_WIDE, 24)).columns if sys.stdout.isatty() else _WIDE
    if arguments.id is None:
        return table([_record(each) for each in found], width, _style())
    return waterfall(_record(found), min(width, 120), _style())


def _filters(arguments: argparse.Namespace) -> dict[str, str]:
    wanted = {
        "route": arguments.route,
        "model": arguments.model,
        "status": arguments.status,
        "min_ms": arguments.min,
        "errors": "true" if arguments.errors else None,
        "limit": arguments.limit,
    }
    return {name: str(value) for name, value in wanted.items() if value is not None}


def _get(admin: str, path: str) -> str:
    try:
        with closing(http.client.HTTPConnection(admin, timeout=_WITHIN)) as connection:
            connection.request("GET", path)
            reply = connection.getresponse()
            text = reply.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        raise _Refused(f"no sidecar answers at {admin}: {error}") from error
    if reply.status == 200:
        return text
    try:
        message = json.loads(text)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        message = f"status {reply.status}; is it a sidecar?"
    raise _Refused(f"{admin} says: {message}")


def _record(found: Mapping[str, Any]) -> CallRecord:
    time = datetime.fromisoformat(found["time"]).timestamp()
    return msgspec.convert({**found, "time": time}, CallRecord)


def _style() -> Style:
    """Colours only where somebody sees them and wants them (https://no-color.org)."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    coloured = coloured and os.environ.get("TERM") != "dumb"
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return Style(coloured, UNICODE if utf8 else ASCII)


def _milliseconds(text: str) -> float:
    return float(Duration(text)) * 1000
