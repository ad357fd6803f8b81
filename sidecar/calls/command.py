"""`sidecar calls`: ask the sidecar of this machine for its last calls, and print them.

It needs nothing but the admin API, so it also works inside the sidecar's container.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import msgspec

from sidecar.calls import ask
from sidecar.calls.filters import add_filters, query
from sidecar.calls.table import table
from sidecar.calls.waterfall import waterfall
from sidecar.observe.record import CallRecord

FAILED = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar calls`."""
    parser.description = (
        "Print the calls that ended last, newest first; or one of them with its attempts."
    )
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="request id or trace id of a call, or how it begins"
    )
    ask.add_admin(parser)
    shown = parser.add_argument_group("which calls")
    shown.add_argument(
        "-n", "--limit", type=int, default=20, metavar="N", help="at most so many (default: 20)"
    )
    add_filters(shown)
    form = parser.add_mutually_exclusive_group()
    ask.add_json(form)
    form.add_argument("--mermaid", action="store_true", help="print ID as a sequence diagram")


def run(arguments: argparse.Namespace) -> int:
    """Print what is asked for. 0, or 1 if it can't be had; 2 for wrong usage."""
    if arguments.mermaid and arguments.id is None:
        print("sidecar calls: --mermaid needs the ID of a call", file=sys.stderr)
        return 2
    try:
        print(_answer(arguments))
    except ask.Unanswered as error:
        print(f"sidecar calls: {error}", file=sys.stderr)
        return FAILED
    return 0


def _answer(arguments: argparse.Namespace) -> str:
    if arguments.id is None:
        path = f"/calls?{query(arguments, arguments.limit)}"
    else:
        path = f"/calls/{quote(arguments.id, safe='')}{'.mmd' if arguments.mermaid else ''}"
    text = ask.get(arguments.admin, path)
    if arguments.mermaid:
        return text.rstrip("\n")
    found = json.loads(text)
    if ask.wants_json(arguments):
        return json.dumps(found, indent=2)
    width = ask.columns()
    if arguments.id is None:
        return table([record(each) for each in found], width, ask.style())
    return waterfall(record(found), min(width, 120), ask.style())


def record(found: Mapping[str, Any]) -> CallRecord:
    """Return the call that the admin API has told."""
    time = datetime.fromisoformat(found["time"]).timestamp()
    return msgspec.convert({**found, "time": time}, CallRecord)
