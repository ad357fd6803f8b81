"""Rows in columns that fit a terminal: narrow ones are cut, and what matters least goes first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sidecar.calls.style import FAINT, Style, pad, width

GAP: Final = 2
LONGEST: Final = 48


class Column(NamedTuple):
    """One of a grid's columns."""

    head: str
    right: bool = False
    least: int = 0
    """What it may be cut to; 0: never."""
    dropped: int = 0
    """When it goes, if there is no room: 1 first; 0: never."""
    middle: bool = False
    """Whether what is too long is cut in its middle, as URLs are."""


class Cell(NamedTuple):
    """A text, which may come from outside, and its colour."""

    text: str
    colour: str = ""


class Placed(NamedTuple):
    """A column that is shown."""

    number: int
    column: Column
    wide: int


def place(columns: Sequence[Column], wides: Sequence[int], room: int) -> list[Placed]:
    """Give each column its width, at most that of *wides*.

    Those without room go, also the last ones of those that never do if it must be. A width of 0 is
    a column that is not to be shown.
    """
    found = [
        Placed(number, column, wide)
        for number, (column, wide) in enumerate(zip(columns, wides, strict=True))
        if wide
    ]

    def over(least: bool) -> int:
        taken = (min(e.wide, e.column.least or e.wide) if least else e.wide for e in found)
        return sum(taken) + GAP * (len(found) - 1) - room

    for number in sorted(
        (each.number for each in found if each.column.dropped), key=lambda n: columns[n].dropped
    ):
        if over(least=True) > 0:
            found = [each for each in found if each.number != number]
    while over(least=True) > 0 and len(found) > 1:
        found.pop()
    while (much := over(least=False)) > 0:
        spare = [i for i, each in enumerate(found) if 0 < each.column.least < each.wide]
        if not spare:
            break
        widest = max(spare, key=lambda i: found[i].wide)
        each = found[widest]
        wide = max(each.column.least, each.wide - max(1, much // 2))
        found[widest] = each._replace(wide=wide)
    return found


def heads(placed: Sequence[Placed], style: Style) -> str:
    """Return the line of the columns' names."""
    names = [
        pad(style.fit(column.head, wide), wide, right=column.right) for _, column, wide in placed
    ]
    return style.paint((" " * GAP).join(names).rstrip(), FAINT)


def row(placed: Sequence[Placed], cells: Sequence[Cell], style: Style) -> str:
    """Return the line of *cells*, one for each column of the grid."""
    shown = []
    for number, column, wide in placed:
        text = pad(
            style.fit(cells[number].text, wide, middle=column.middle), wide, right=column.right
        )
        shown.append(style.paint(text, cells[number].colour))
    return (" " * GAP).join(shown).rstrip()


def grid(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell]], room: int, style: Style
) -> list[str]:
    """Return the lines of *rows* under their heads; a column without a text is not shown."""
    texts = [
        [style.fit(cells[number].text, LONGEST, middle=column.middle) for cells in rows]
        for number, column in enumerate(columns)
    ]
    wides = [
        max(map(width, (*each, column.head))) if any(each) else 0
        for column, each in zip(columns, texts, strict=True)
    ]
    placed = place(columns, wides, room)
    return [heads(placed, style), *(row(placed, cells, style) for cells in rows)]
