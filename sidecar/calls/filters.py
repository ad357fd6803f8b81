"""Which calls are asked for: the options that `sidecar calls` and `sidecar tap` share."""

from __future__ import annotations

import argparse
from urllib.parse import urlencode

from sidecar.config.model.units import Duration


def add_filters(group: argparse._ArgumentGroup) -> None:
    """Add the options to *group*."""
    group.add_argument("--errors", action="store_true", help="that failed, broke or were left")
    group.add_argument("--status", metavar="503|5xx", help="with this status")
    group.add_argument("--route", metavar="NAME", help="of this route")
    group.add_argument("--model", metavar="NAME", help="that asked for this model, or got it")
    group.add_argument(
        "--endpoint",
        metavar="PART",
        help="that tried an endpoint with this in its name",
    )
    group.add_argument("--min", type=_milliseconds, metavar="2s", help="that took so long at least")


def query(arguments: argparse.Namespace, limit: int | None = None) -> str:
    """Return the filters as the admin API takes them."""
    wanted = {
        "route": arguments.route,
        "model": arguments.model,
        "status": arguments.status,
        "endpoint": arguments.endpoint,
        "min_ms": arguments.min,
        "errors": "true" if arguments.errors else None,
        "limit": limit,
    }
    return urlencode({name: str(value) for name, value in wanted.items() if value is not None})


def _milliseconds(text: str) -> float:
    try:
        return float(Duration(text)) * 1000
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
