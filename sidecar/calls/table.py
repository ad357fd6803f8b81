"""The latest calls as a table that is as wide as the terminal at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from sidecar.calls.style import FAINT, GREEN, RED, YELLOW, Style, pad, width
from sidecar.observe.calls import is_bad
from sidecar.observe.record import CallRecord
from sidecar.observe.told import failing, milliseconds, tokens

_GAP: Final = 2
_SHORTEST_ID: Final = 8
_LONGEST: Final = 48


class _Column(NamedTuple):
    head: str
    cell: Callable[[CallRecord], str]
    right: bool = False
    least: int = 0
    """What it may be cut to; 0: never."""
    dropped: int = 0
    """When it goes, if there is no room: 1 first; 0: never."""


def table(calls: Sequence[CallRecord], columns: int, style: Style) -> str:
    """Show *calls* in so many columns."""
    if not calls:
        return "no calls"
    short = _short_ids([call.request_id for call in calls])
    shown = [
        _Column("TIME", lambda call: time.strftime("%H:%M:%S", time.localtime(call.time))),
        _Column("STATUS", lambda call: str(call.status or "left"), right=True),
        _Column("TOOK", lambda call: milliseconds(call.duration_ms), right=True),
        _Column("FIRST", _first, right=True, dropped=3),
        _Column("TOKENS", tokens, right=True, dropped=5),
        _Column("COST", lambda call: f"{call.cost:.2g}" if call.cost else "", True, dropped=2),
        _Column("TRIES", _tries, dropped=6, least=8),
        _Column("ENDED", failing, dropped=7, least=8),
        _Column("MODEL", lambda call: call.model, dropped=4, least=8),
        _Column("PATH", lambda call: f"{call.method} {call.path}", dropped=1, least=12),
        _Column("ID", lambda call: short[call.request_id], least=_SHORTEST_ID),
    ]
    cells = [[style.fit(column.cell(call), _LONGEST) for call in calls] for column in shown]
    kept = [(column, texts) for column, texts in zip(shown, cells, strict=True) if any(texts)]
    fitted = _fitted(kept, columns)
    lines = [_line([pad(c.head, wide, right=c.right) for c, _, wide in fitted])]
    for number, call in enumerate(calls):
        row = [
            style.paint(
                pad(style.fit(texts[number], wide), wide, right=column.right),
                _colour(column.head, call),
            )
            for column, texts, wide in fitted
        ]
        lines.append(_line(row))
    return "\n".join([style.paint(lines[0], FAINT), *lines[1:]])


def _fitted(
    kept: list[tuple[_Column, list[str]]], columns: int
) -> list[tuple[_Column, list[str], int]]:
    """Give each column its width; those for which there is no room go, the least wanted first."""
    found = [
        (column, texts, max(width(text) for text in (*texts, column.head)))
        for column, texts in kept
    ]

    def over(least: bool) -> int:
        widths = (min(wide, column.least or wide) if least else wide for column, _, wide in found)
        return sum(widths) + _GAP * (len(found) - 1) - columns

    for column in sorted((column for column, _ in kept if column.dropped), key=_rank):
        if over(least=True) > 0:
            found = [entry for entry in found if entry[0] is not column]
    while (much := over(least=False)) > 0:
        spare = [i for i, (column, _, wide) in enumerate(found) if 0 < column.least < wide]
        if not spare:
            break
        widest = max(spare, key=lambda i: found[i][2])
        column, texts, wide = found[widest]
        found[widest] = column, texts, max(column.least, wide - max(1, much // 2))
    return found


def _rank(column: _Column) -> int:
    return column.dropped


def _line(cells: Sequence[str]) -> str:
    return (" " * _GAP).join(cells).rstrip()


def _colour(head: str, call: CallRecord) -> str:
    if head == "STATUS":
        return RED if call.status >= 500 else YELLOW if is_bad(call) else GREEN
    if head == "ENDED":
        return RED
    if head == "TRIES":
        return YELLOW
    return FAINT if head in ("TIME", "ID") else ""


def _first(call: CallRecord) -> str:
    if call.first_token_ms:
        return milliseconds(call.first_token_ms)
    return milliseconds(call.first_byte_ms) if call.stream and call.status else ""


def _tries(call: CallRecord) -> str:
    if len(call.tries) < 2:
        return "" if call.tries else f"none, cache {call.cache}" if call.cache == "hit" else "none"
    why = [f"{one.why} {one.after}".strip() for one in call.tries[1:]]
    return f"{len(call.tries)}: {', '.join(why)}"


def _short_ids(ids: Sequence[str]) -> dict[str, str]:
    """How each id begins: as many characters as tell them apart."""
    most = max(map(len, ids))
    length = _SHORTEST_ID
    while length < most and len({each[:length] for each in ids}) < len(set(ids)):
        length += 1
    return {each: each[:length] for each in ids}
