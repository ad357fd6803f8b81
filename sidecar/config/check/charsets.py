"""The characters that one element of a regular expression matches, as bits of an integer.

Each character of Latin-1 has a bit, and so has each kind of all others. A set may have too many
characters, never too few: what looks disjoint is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

Node = tuple[Any, Any]
"""An operation of `re._parser`, and its argument."""

_LATIN: Final = 256
_KINDS: Final = {r"\d": 1 << 256, r"\s": 1 << 257, r"\w": 1 << 258, "": 1 << 259}
"""Characters beyond Latin-1: digits, white space, other word characters, all others."""
_BEYOND: Final = sum(_KINDS.values())
ALL: Final = (1 << _LATIN) - 1 | _BEYOND
_FOLDED: Final = "kKsS\xe5\xc5\xb5\xff\xdf"
"""Letters of Latin-1 that equal one beyond it if letter case is ignored."""
_CATEGORIES: Final = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


def charset(node: Node, flags: int) -> int | None:
    """Return what *node* matches, if it always matches exactly one character; else None."""
    kind, value = str(node[0]), node[1]
    if kind == "LITERAL":
        return _cased(_char(value), flags)
    if kind == "NOT_LITERAL":
        return (ALL & ~_char(value)) | _BEYOND
    if kind == "ANY":
        return ALL if flags & re.DOTALL else ALL & ~_char(10)
    return _in(value, flags) if kind == "IN" else None


def _in(items: Sequence[Node], flags: int) -> int:
    negated = str(items[0][0]) == "NEGATE"
    found = 0
    for kind, value in items[negated:]:
        found |= _item(str(kind), value, flags)
    if not negated:
        return _cased(found, flags)
    whole = all(str(kind) == "CATEGORY" for kind, _ in items[1:])
    return (ALL & ~found) | (0 if whole else _BEYOND)


def _item(kind: str, value: Any, flags: int) -> int:
    if kind == "LITERAL":
        return _char(value)
    if kind == "RANGE":
        first, last = value
        latin = sum(1 << code for code in range(first, min(last, _LATIN - 1) + 1))
        return latin | (_BEYOND if last >= _LATIN else 0)
    name = str(value).removeprefix("CATEGORY_")
    found = _category(_CATEGORIES[name.removeprefix("NOT_")], flags)
    return ALL & ~found if name.startswith("NOT_") else found


def _category(text: str, flags: int) -> int:
    pattern = re.compile(text, flags & re.ASCII)
    found = sum(1 << code for code in range(_LATIN) if pattern.match(chr(code)))
    if flags & re.ASCII:
        return found
    return found | _KINDS[text] | (_KINDS[r"\d"] if text == r"\w" else 0)


def _char(code: int) -> int:
    if code < _LATIN:
        return 1 << code
    return _KINDS[next(text for text in _KINDS if not text or re.match(text, chr(code)))]


def _cased(found: int, flags: int) -> int:
    """Add the other letter case; a few letters have it beyond Latin-1."""
    if not flags & re.IGNORECASE:
        return found
    both = found
    for code in range(_LATIN):
        if found >> code & 1:
            for other in (chr(code).lower(), chr(code).upper()):
                both |= _char(ord(other)) if len(other) == 1 else 0
            both |= _KINDS[r"\w"] if chr(code) in _FOLDED else 0
    if found & _KINDS[r"\w"]:
        for char in _FOLDED:
            both |= _char(ord(char))
    return both
