"""Ask the admin API of a running sidecar, and say in which form the answer is printed."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import shutil
import sys
from contextlib import closing
from typing import Any, Final

from sidecar import environment
from sidecar.calls.style import ASCII, UNICODE, Style
from sidecar.environment import ADMIN, DEFAULT_ADMIN

_WITHIN: Final = 10.0
_WIDE: Final = 1000
"""Columns where there is no terminal: nothing is cut."""


class Unanswered(Exception):
    """The sidecar does not tell; the message says why, and what to do."""

    def __init__(self, message: str, *, reached: bool) -> None:
        super().__init__(message)
        self.reached = reached
        """Whether anything answered there."""


def add_admin(parser: argparse.ArgumentParser) -> None:
    """Add the option that says which sidecar is asked."""
    parser.add_argument(
        "--admin",
        default=environment.admin(os.environ),
        metavar="HOST:PORT",
        help=f"admin API of the running sidecar (default: {ADMIN} in the environment, "
        f"else {DEFAULT_ADMIN})",
    )


def add_json(parser: Any) -> None:
    """Add the options that choose between lines for people and JSON; *parser* may be a group."""
    parser.add_argument(
        "--json",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="print JSON, or lines for people (default: lines if the output is a terminal)",
    )


def wants_json(arguments: argparse.Namespace) -> bool:
    """Whether JSON is to be printed."""
    return not sys.stdout.isatty() if arguments.json is None else bool(arguments.json)


def get(admin: str, path: str, question: object = None) -> str:
    """Return what the sidecar answers to GET *path*, or to POST with *question* as JSON.

    Raise Unanswered.
    """
    body = None if question is None else json.dumps(question)
    try:
        with closing(http.client.HTTPConnection(admin, timeout=_WITHIN)) as connection:
            connection.request("GET" if body is None else "POST", path, body)
            reply = connection.getresponse()
            text = reply.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unanswered(absent(admin, error), reached=False) from error
    if reply.status == 200:
        return text
    try:
        message = json.loads(text)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        message = f"status {reply.status}; is it a sidecar?"
    raise Unanswered(f"{admin} says: {message}", reached=True)


def absent(admin: str, error: Exception) -> str:
    """Say that there is no sidecar at *admin*, and what to do."""
    why = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return (
        f"no sidecar answers at {admin} ({why.lower()}). Start one with `sidecar run`; or name "
        f"its `admin.address` with --admin or {ADMIN}; in a pod, run this in the sidecar's "
        "container: kubectl exec -it POD -c llm-sidecar -- sidecar ..."
    )


def columns() -> int:
    """Return how wide lines may be: as the terminal, or COLUMNS says; else as wide as they are."""
    if not sys.stdout.isatty() and not os.environ.get("COLUMNS"):
        return _WIDE
    return max(20, shutil.get_terminal_size((_WIDE, 24)).columns)


def style() -> Style:
    """Colours only where somebody sees them and wants them (https://no-color.org)."""
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    coloured = coloured and os.environ.get("TERM") != "dumb"
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    return Style(coloured, UNICODE if utf8 else ASCII)


def give_up() -> None:
    """Let the rest of the output go nowhere: who read it, as `head`, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
