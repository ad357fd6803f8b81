"""`sidecar status`: one screen about a running sidecar."""

from __future__ import annotations

import argparse
import json
import sys

from sidecar.calls import ask
from sidecar.terminal.status import status

READY, NOT_READY, NOT_REACHED = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of `sidecar status`."""
    parser.description = "Show a running sidecar: state, configuration, routes, endpoints, budgets."
    parser.epilog = "exit codes: 0 ready, 1 not ready, 2 not reachable"
    ask.add_admin(parser)
    ask.add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the status. 0: ready; 1: not ready; 2: no sidecar answers."""
    try:
        told = json.loads(ask.get(arguments.admin, "/status"))
    except ask.Unanswered as error:
        print(f"sidecar status: {error}", file=sys.stderr)
        return NOT_READY if error.reached else NOT_REACHED
    try:
        if ask.wants_json(arguments):
            print(json.dumps(told, indent=2))
        else:
            print(status(told, ask.columns(), ask.style()))
        sys.stdout.flush()
    except BrokenPipeError:
        ask.give_up()
    return READY if told["state"]["ready"] and not told["state"]["blocked_s"] else NOT_READY
