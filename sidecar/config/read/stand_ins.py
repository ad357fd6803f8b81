"""Texts in place of references that can't be read here, so that all else can be checked.

`sidecar check --offline` runs where the secrets are not. What stands in for one fits its place, as
far as a text can that nobody has seen: it breaks no rule there, and is another one each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, Final

from sidecar.config.problems import Path, Problem

ABSENT: Final = "\0"
"""Marks a reference without a text in a text."""
_MOST: Final = 4
"""References in one text that are tried in all combinations."""


def fill(root: object, absent: dict[Path, str], find: Callable[[], list[Problem]]) -> None:
    """Put a text at each path of *absent* in *root* that is no problem there, if there is one.

    *absent*: the texts, with a mark for each reference that can't be read. *find* tells what is
    wrong with *root*.
    """
    left = {path: _texts(text, number) for number, (path, text) in enumerate(absent.items(), 1)}
    for path, texts in left.items():
        _put(root, path, next(texts))
    moved = True
    while moved:
        moved = False
        for problem in find():
            path = problem.path
            text = next(left[path], None) if path in left else None
            if text is None:
                continue
            if absent[path] == ABSENT and problem.known:  # a name, or one of some words
                text, left[path] = problem.known[0], iter(())
            _put(root, path, text)
            moved = True


def _texts(text: str, number: int) -> Iterator[str]:
    """Yield what *text* may be; another *number* gives other texts."""
    if text == ABSENT:
        yield from (
            f"x{number}", f"https://x{number}.invalid", f"{number}s", "1%", f"{number}KiB",
            f"/x{number}", f"127.0.0.1:{number}", f"10.0.0.{number % 256}", "GET", "204",
            f"sha256:{number:064x}", f"redis://x{number}", "0 0 * * *", f"X{'X' * (number % 16)}",
        )  # fmt: skip
        return
    marks = text.count(ABSENT)
    for parts in product((f"x{number}", str(number)), repeat=min(marks, _MOST)):
        made = text
        for part in parts:
            made = made.replace(ABSENT, part, 1)
        yield made.replace(ABSENT, f"x{number}")


def _put(root: Any, path: Path, text: str) -> None:
    for step in path[:-1]:
        root = root[step]
    root[path[-1]] = text
