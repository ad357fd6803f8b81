"""`sidecar tap`: calls as they end."""

from __future__ import annotations

import argparse
import json
import sys

from sidecar.calls import ask
from sidecar.calls.command import record
from sidecar.calls.filters import add_filters, query
from sidecar.calls.table import Following
from sidecar.terminal.events import Event, events

_EXAMPLES = """examples:
  sidecar tap --errors                        calls that fail
  sidecar tap --route chat --min 5s           slow calls of a route
  sidecar tap --json | jq -c '{model, cost}'  one JSON object a line
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar tap`."""
    parser.description = "Print calls as they end, until Ctrl-C."
    parser.epilog = _EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    ask.add_admin(parser)
    add_filters(parser.add_argument_group("which calls"))
    parser.add_argument("-n", type=int, metavar="N", help="end after N calls")
    ask.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print calls. 0 when it is ended, 1 when the sidecar ends; 2 if there is none."""
    show = _json if ask.wants_json(arguments) else _Lines()
    left = arguments.n
    try:
        for event in events(arguments.admin, f"/tap?{query(arguments)}"):
            if event.kind == "missed":
                print("sidecar tap: some calls were too many to be told", file=sys.stderr)
            if event.kind != "call":
                continue
            print(show(event), flush=True)
            if left is not None and (left := left - 1) <= 0:
                break
    except ask.Unanswered as error:
        print(f"sidecar tap: {error}", file=sys.stderr)
        return 1 if error.reached else 2
    return 0


def _json(event: Event) -> str:
    return json.dumps(event.data, separators=(",", ":"))


class _Lines:
    """Shows calls for people. The terminal may become wider or narrower at any time."""

    def __init__(self) -> None:
        self._columns = ask.columns()
        self._following = Following(self._columns, ask.style())

    def __call__(self, event: Event) -> str:
        if (columns := ask.columns()) != self._columns:
            self._columns, self._following = columns, Following(columns, ask.style())
        return self._following.line(record(event.data))
