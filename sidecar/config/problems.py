"""What can be wrong with a configuration, where, and what may have been meant.

No message ever shows a value: it may be a secret that a reference put there. Names that the file
spells out itself (keys, upstreams, policies) are shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Final

from msgspec import Struct

Path = tuple[str | int, ...]
"""Keys and list indices from the document's root."""

MAX_SHOWN: Final = 100
"""Errors that are reported at most: each costs a search for a suggestion."""
_MAX_WORD: Final = 63
_MAX_KNOWN: Final = 1000
_MEANT: Final = {
    "api_base": "url", "api_key": "credentials", "backends": "upstreams", "base_url": "url",
    "clusters": "upstreams", "destination": "upstream", "fallbacks": "fallback",
    "max_retries": "max", "model_list": "upstreams", "num_retries": "retry",
    "providers": "upstreams", "rate_limit": "limits", "retries": "retry", "rpm": "limits",
    "targets": "upstreams", "timeout": "timeouts", "tpm": "limits", "virtual_hosts": "routes",
}  # fmt: skip
"""Words of other programs, and ours for the same."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class Problem(Struct, frozen=True):
    """One mistake. `line` is for mistakes that have no path in the finished tree."""

    path: Path
    message: str
    wrong: str = ""
    """The misspelt word, if `known` says which words there are."""
    known: tuple[str, ...] = ()
    line: int | None = None
    file: str = ""
    """The source, if the path does not tell it."""


class Located(Struct, frozen=True):
    """One mistake as a user reads it."""

    file: str
    line: int
    """The first line is 1."""
    key: str
    """The dotted path, as `routes[1].match.path`; empty for the document itself."""
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        hint = f' (did you mean "{self.suggestion}"?)' if self.suggestion else ""
        return f"{self.file}:{self.line}: {key}{self.message}{hint}"


class ConfigErrors(Exception):
    """A configuration is refused: every mistake that was found in it, in the order of its lines."""

    def __init__(self, errors: list[Located]) -> None:
        super().__init__(errors)
        self.errors = errors
        self.files: frozenset[str] = frozenset()
        """Files that it refers to: when these change, or appear, it may be valid."""

    def __str__(self) -> str:
        return "\n".join(map(str, self.errors))


def locate(
    problems: Iterable[Problem],
    lines: Mapping[Path, int],
    file: str,
    files: Mapping[Path, str] = MappingProxyType({}),
) -> ConfigErrors:
    """Give each of *problems* its line. The first problem of a path is reported, no others.

    *files*: which other source than *file* has a path.
    """
    placed: dict[tuple[str, int, Path], Problem] = {}
    for problem in problems:
        nearest = _nearest(lines, problem.path)
        where = problem.file or files.get(nearest, file)
        line = problem.line or lines.get(nearest, 1)
        placed.setdefault((where, line, problem.path), problem)
    ordered = sorted(placed.items(), key=lambda item: (item[0][0] != file, *item[0][:2]))
    errors = [_located(problem, line, where) for (where, line, _), problem in ordered[:MAX_SHOWN]]
    if len(ordered) > MAX_SHOWN:
        where, line, _ = ordered[MAX_SHOWN][0]
        rest = f"{len(ordered) - MAX_SHOWN} more errors are not shown"
        errors.append(Located(where, line, "", rest))
    return ConfigErrors(errors)


def _nearest(lines: Mapping[Path, int], path: Path) -> Path:
    """Return *path*, or the nearest mapping or list that would contain it."""
    while path and path not in lines:
        path = path[:-1]
    return path


def _located(problem: Problem, line: int, file: str) -> Located:
    suggestion = closest(problem.wrong, problem.known)
    message = problem.message
    if problem.known and suggestion is None:
        message += f"; expected one of {listed(problem.known)}"
    return Located(file, line, dotted(problem.path), message, suggestion)


def closest(word: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that *word* is most likely a misspelling of."""
    # Late: only a bad file needs it.
    from difflib import get_close_matches

    if len(word) > _MAX_WORD:
        return None
    known = list(islice(known, _MAX_KNOWN))
    if _MEANT.get(word) in known:
        return _MEANT[word]
    return next(iter(get_close_matches(word, known, 1)), None)


def listed(words: Iterable[str]) -> str:
    """Join *words* with commas, cut short after ten."""
    words = list(words)
    return ", ".join(words[:10]) + (", ..." if len(words) > 10 else "")


def dotted(path: Path) -> str:
    """Write *path* as a user does, in one line of bounded length."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{_key(step)}"
    return text.removeprefix(".")


def _key(key: str) -> str:
    if _PLAIN_KEY.fullmatch(key) and len(key) <= _MAX_WORD:
        return key
    cut = key if len(key) <= _MAX_WORD else key[:_MAX_WORD] + "..."
    return '"' + cut.encode("unicode_escape").decode("ascii") + '"'
