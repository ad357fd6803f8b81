"""Finds out whether one match takes every call that another takes, so that its route is dead.

Sound but not complete: what is called covered is, but a match that only several earlier ones
together cover is not found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from sidecar.config.model import Match

_NAME: Final = re.compile(r"\{[a-z0-9_]+\}")
_ANY_TEXT: Final = "\x01"
"""Stands for the texts that another pattern's `*` may take: only a `*` takes it."""
_ANY_CHAR: Final = "\x02"
"""The same for `?`, which `*` and `?` take."""
_ANY_NAME: Final = "\x03"
"""The same for `{name}`."""


def covers(first: Match, second: Match) -> bool:
    """Whether *first* takes every call that *second* takes."""
    return (
        _path_covers(first.path, second.path)
        and _host_covers(first.host, second.host)
        and first.method in (None, second.method)
        and _model_covers(first.model, second.model)
        and _headers_cover(first.headers, second.headers)
    )


def _path_covers(first: str | None, second: str | None) -> bool:
    if first is None or second is None:
        return first is None or first == "/"
    mine, theirs = _segments(first), _segments(second)
    return len(mine) <= len(theirs) and all(map(_name_covers, mine, theirs))


@lru_cache(2048)
def _segments(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


def _name_covers(first: str, second: str) -> bool:
    """Whether one label or segment covers another; each may have a `{name}` in it."""
    if first == second:
        return True
    return "{" in first and bool(_named(first).fullmatch(_NAME.sub(_ANY_NAME, second)))


def _named(text: str) -> re.Pattern[str]:
    parts = map(re.escape, _NAME.split(text))
    return re.compile(f"[A-Za-z0-9{_ANY_NAME}-]{{1,63}}".join(parts))


def _host_covers(first: str | None, second: str | None) -> bool:
    if first is None or second is None:
        return first is None
    if first.startswith("*."):
        return second.endswith(first[1:]) and len(second) >= len(first)
    mine, theirs = first.split("."), second.split(".")
    return len(mine) == len(theirs) and all(map(_name_covers, mine, theirs))


def _model_covers(first: str | None, second: str | None) -> bool:
    if first is None or second is None:
        return first is None
    return glob_covers(first, second)


def _headers_cover(first: Mapping[str, str], second: Mapping[str, str]) -> bool:
    theirs = {name.lower(): glob for name, glob in second.items()}
    return all(
        name.lower() in theirs and glob_covers(glob, theirs[name.lower()])
        for name, glob in first.items()
    )


def glob_covers(first: str, second: str) -> bool:
    """Whether the glob *first* matches every text that the glob *second* matches."""
    return first in ("*", second) or _takes(
        first, second.replace("*", _ANY_TEXT).replace("?", _ANY_CHAR)
    )


def _takes(glob: str, text: str) -> bool:
    """Whether *glob* matches *text*: piece by piece between its stars, leftmost first.

    A regular expression of many stars would try all ways to share the text among them.
    """
    head, *rest = glob.split("*")
    if not rest:
        return len(head) == len(text) and _found(head, text, 0) == 0
    tail = rest.pop()
    end = len(text) - len(tail)
    if _found(head, text[: len(head)], 0) != 0 or _found(tail, text[max(end, 0) :], 0) != 0:
        return False
    at = len(head)
    for piece in rest:
        at = _found(piece, text, at) + len(piece)
        if at < len(piece):
            return False
    return at <= end


def _found(piece: str, text: str, start: int) -> int:
    """Find *piece* in *text* at or after *start*, its `?` for one character; -1 if not found."""
    for at in range(start, len(text) - len(piece) + 1):
        if all(
            want == char or (want == "?" and char != _ANY_TEXT)
            for want, char in zip(piece, text[at:], strict=False)
        ):
            return at
    return -1
