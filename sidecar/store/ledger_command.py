"""`sidecar budget`: print what a ledger says was spent, as a table or as CSV."""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from sidecar.store.ledger import Ledger, Sum

_COLUMNS: Final = ("period", "budget", "client", "unit", "spent", "others", "amount")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.description = (
        "Print what was spent of budgets, by period (UTC), budget and client. A sidecar may go on "
        "writing meanwhile. `others` is what other ledgers had spent when that was last told, of "
        "budgets that are shared."
    )
    parser.add_argument("ledger", metavar="LEDGER", help="the file of `budgets.ledger`")
    parser.add_argument("--budget", metavar="NAME", help="only this budget")
    parser.add_argument("--period", metavar="START", help="only periods that begin so, as 2026-11")
    parser.add_argument("--csv", action="store_true", help="print CSV (RFC 4180)")


def run(arguments: argparse.Namespace) -> int:
    """Print it. 1 if the file can't be read, with the reason on standard error."""
    try:
        if not os.path.exists(arguments.ledger):  # opening it would make it
            raise OSError(0, f"there is no file {arguments.ledger}")
        with closing(Ledger(arguments.ledger)) as ledger:
            sums = ledger.sums()
    except OSError as error:
        sys.stderr.write(f"sidecar budget: {error.strerror}\n")
        return 1
    wanted = [
        each
        for each in sums
        if arguments.budget in (None, each.row.budget)
        and each.row.period.startswith(arguments.period or "")
    ]
    sys.stdout.write(as_csv(wanted) if arguments.csv else as_table(wanted))
    return 0


def as_csv(sums: Sequence[Sum]) -> str:
    """Return *sums* with a line of names first."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows(_cells(each) for each in sums)
    return text.getvalue()


def as_table(sums: Sequence[Sum]) -> str:
    """Return *sums* in columns, with the share of the budget's amount."""
    lines: list[tuple[str, ...]] = [(*_COLUMNS, "share")]
    lines += [
        (*_cells(each), f"{(each.spent + (each.others or 0)) / each.amount:.0%}") for each in sums
    ]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        + "\n"
        for line in lines
    )


def _cells(each: Sum) -> tuple[str, ...]:
    row = each.row
    client = row.client  # a header's value: whatever callers send
    if not client.isprintable():
        client = client.encode("unicode_escape").decode()
    others = "" if each.others is None else _number(each.others)
    return (
        *(row.period, row.budget, client, row.unit),
        *(_number(each.spent), others, _number(each.amount)),
    )


def _number(value: float) -> str:
    """Return it without digits that only the addition of fractions made."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
