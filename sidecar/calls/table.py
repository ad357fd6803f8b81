"""The latest calls as a table that is as wide as the terminal at most, and calls as they happen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from sidecar.calls.grid import LONGEST, Cell, Column, grid, heads, place, row
from sidecar.calls.style import FAINT, GREEN, RED, YELLOW, Style
from sidecar.observe.calls import is_bad
from sidecar.observe.record import CallRecord
from sidecar.observe.told import failing, milliseconds, tokens

_SHORTEST_ID: Final = 8
_COLUMNS: Final = (
    Column("TIME"),
    Column("STATUS", right=True),
    Column("TOOK", right=True),
    Column("FIRST", right=True, dropped=3),
    Column("TOKENS", right=True, dropped=5),
    Column("COST", right=True, dropped=2),
    Column("TRIES", dropped=6, least=8),
    Column("ENDED", dropped=7, least=8),
    Column("MODEL", dropped=4, least=8),
    Column("PATH", dropped=1, least=12),
    Column("ID", least=_SHORTEST_ID),
)
_FOLLOWED: Final = (
    *_COLUMNS[:3],
    Column("FIRST", right=True, dropped=3),
    Column("TOKENS", right=True, dropped=4),
    Column("COST", right=True, dropped=2),
    Column("ID"),
    Column("MODEL", dropped=6, least=8),
    Column("PATH", dropped=1, least=12),
    Column("WHY", dropped=7, least=20),
)
_USUAL: Final = (8, 6, 8, 8, 9, 7, _SHORTEST_ID, 20, 25, LONGEST)
"""Widths where calls come one by one, so that the widest can't be known."""
_AGAIN: Final = 40
"""Calls after which their columns are named again."""


def table(calls: Sequence[CallRecord], columns: int, style: Style) -> str:
    """Show *calls* in so many columns."""
    if not calls:
        return "no calls"
    short = _short_ids([call.request_id for call in calls])
    return "\n".join(
        grid(_COLUMNS, [_cells(call, short[call.request_id]) for call in calls], columns, style)
    )


class Following:
    """Shows calls one by one, in so many columns."""

    def __init__(self, columns: int, style: Style) -> None:
        self._style = style
        self._placed = place(_FOLLOWED, _USUAL, columns)
        self._shown = 0

    def line(self, call: CallRecord) -> str:
        """Return the line of *call*, under the names of the columns now and then."""
        *first, tries, ended, model, path, name = _cells(call, call.request_id[:_SHORTEST_ID])
        why = Cell(f"{ended.text} {tries.text}".strip(), ended.colour if ended.text else YELLOW)
        line = row(self._placed, [*first, name, model, path, why], self._style)
        named = self._shown % _AGAIN == 0
        self._shown += 1
        return f"{heads(self._placed, self._style)}\n{line}" if named else line


def _cells(call: CallRecord, short: str) -> list[Cell]:
    colour = RED if call.status >= 500 else YELLOW if is_bad(call) else GREEN
    return [
        Cell(time.strftime("%H:%M:%S", time.localtime(call.time)), FAINT),
        Cell(str(call.status or "left"), colour),
        Cell(milliseconds(call.duration_ms)),
        Cell(_first(call)),
        Cell(tokens(call)),
        Cell(f"{call.cost:.2g}" if call.cost else ""),
        Cell(_tries(call), YELLOW),
        Cell(failing(call), RED),
        Cell(call.model),
        Cell(f"{call.method} {call.path}"),
        Cell(short[:LONGEST], FAINT),
    ]


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
