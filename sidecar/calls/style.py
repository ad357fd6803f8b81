"""How texts look in a terminal: colours, signs, widths."""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

from sidecar.observe.escape import escape_text


class Signs(NamedTuple):
    """What bars are made of."""

    wait: str
    """For a connection."""
    answer: str
    """For an answer."""
    content: str
    """Content that comes."""
    cut: str
    """The end of a text that is too long."""
    into: str
    """Between the tokens that were read and those that were made."""


UNICODE: Final = Signs("·", "─", "━", "…", "→")
ASCII: Final = Signs(".", "-", "=", "~", ">")

RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
BOLD: Final = "1"
FAINT: Final = "2"


class Style(NamedTuple):
    """What the terminal can show."""

    coloured: bool
    signs: Signs

    def paint(self, text: str, colour: str) -> str:
        """*text* in *colour*, an SGR parameter of ECMA-48."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured and text and colour else text

    def fit(self, text: str, most: int, *, middle: bool = False) -> str:
        """*text*, which may come from outside, on one line and in *most* columns.

        *middle*: what is too long loses its middle, since both its ends tell something; a URL loses
        its scheme first.
        """
        text = self.told(text)
        if middle and width(text) > most:
            text = text.partition("://")[2] or text
        if width(text) <= most:
            return text
        if most <= 0:
            return ""
        tail = text[len(text) - (most - 1) // 2 :] if middle else ""
        while tail and width(tail) > (most - 1) // 2:
            tail = tail[1:]
        left = most - 1 - width(tail)
        while text and width(text) > left:
            text = text[:-1]
        return f"{text}{self.signs.cut}{tail}"

    def told(self, text: str) -> str:
        """*text* without what would steer the terminal, in signs that it has."""
        text = escape_text(text)
        if self.signs is ASCII:
            text = text.replace("→", ASCII.into).encode("ascii", "backslashreplace").decode()
        return text


def width(text: str) -> int:
    """Columns that *text* takes (Unicode Standard Annex 11)."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(sign) else 1 + (unicodedata.east_asian_width(sign) in "WF")
        for sign in text
    )


def pad(text: str, wide: int, *, right: bool = False) -> str:
    """*text* with blanks up to *wide* columns, before it if it belongs to the *right*."""
    blanks = " " * (wide - width(text))
    return blanks + text if right else text + blanks
