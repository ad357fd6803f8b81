"""Lays one document over another: several sources make up one configuration, the last one wins.

Mappings are merged key by key; all else is replaced, lists too. Instead of a document, a table may
be laid over one: a row for each policy, with its numbers, as operations keep them for all services.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sidecar.config.model import Config
from sidecar.config.problems import Path, Problem
from sidecar.config.read.tree import Tree

_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "timeout": ("timeouts", "first_byte"),
    "total": ("timeouts", "total"),
    "retries": ("retry", "max"),
    "breaker": ("breaker", "failure_rate"),
}
"""Short names of a table's columns. A row may have any other setting of a policy as well."""
_TABLE: Final = "services"


def is_table(root: object) -> bool:
    """Whether *root* is a table: rows under `services`, or nothing but rows."""
    if not isinstance(root, dict) or not root:
        return False
    if set(root) == {_TABLE}:
        return True
    rows = all(isinstance(row, dict) for row in root.values())
    return rows and not root.keys() & set(Config.__struct_fields__)


def lay_over(below: Tree, above: Tree, file: str) -> None:
    """Lay *above*, which *file* holds, over *below*, and note which place has what."""
    below.problems += [_in(problem, file) for problem in above.problems]
    if not isinstance(below.root, dict):
        return  # which is the error to tell
    if not isinstance(above.root, dict):
        if not above.problems:
            text = "expected a mapping (`key: value`)"
            below.problems.append(Problem((), text, "", (), 1, file))
        return
    if is_table(above.root):
        above = _as_policies(above, below, file)
    layers = _Layers(below, above, file)
    below.root = layers.merged(below.root, above.root, ())


class _Layers:
    def __init__(self, below: Tree, above: Tree, file: str) -> None:
        self._below = below
        self._above = above
        self._file = file

    def merged(self, below: object, above: object, path: Path) -> object:
        self._place(path)
        if not isinstance(below, dict) or not isinstance(above, dict):
            for old in _paths(below, path):
                self._below.lines.pop(old, None)
                self._below.files.pop(old, None)
            for new in _paths(above, path):
                self._place(new)
            return above
        return {**below, **{k: self.merged(below.get(k), v, (*path, k)) for k, v in above.items()}}

    def _place(self, path: Path) -> None:
        """Note that *path* is in our file."""
        if path and path in self._above.lines:
            self._below.lines[path] = self._above.lines[path]
            self._below.files[path] = self._file


def _paths(value: object, path: Path) -> Iterator[Path]:
    """Yield *path* and all paths within."""
    yield path
    inner: Iterable[tuple[str | int, object]] = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for key, each in inner:
        yield from _paths(each, (*path, key))


def _as_policies(table: Tree, below: Tree, file: str) -> Tree:
    """Return the document that says what *table* does."""
    wrapped = isinstance(table.root, dict) and set(table.root) == {_TABLE}
    start: Path = (_TABLE,) if wrapped else ()
    rows: Any = table.root[_TABLE] if wrapped and isinstance(table.root, dict) else table.root
    root = below.root if isinstance(below.root, dict) else {}
    known = root.get("policies")
    names = tuple(known) if isinstance(known, dict) else ()
    made = Tree({}, {}, [], {})
    policies: dict[str, Any] = {}
    if not isinstance(rows, dict):
        below.problems.append(Problem(start, "expected a row for each policy", file=file))
        return made
    for name, row in rows.items():
        at = (*start, name)
        line = table.lines.get(at, 1)
        if name not in names:
            text = "there is no policy of this name for the row to change"
            below.problems.append(Problem(at, text, name, names, line, file))
        elif not isinstance(row, dict):
            below.problems.append(Problem(at, "expected settings of a policy", "", (), line, file))
        else:
            policies[name] = {}
            made.lines["policies", name] = line
            for column, value in row.items():
                _put(policies[name], column, value)
                to = ("policies", name, *_path(column, value))
                _copy_lines(table, (*at, column), value, made, to)
    made.root = {"policies": policies} if policies else {}
    return made


def _path(column: str, value: object) -> tuple[str, ...]:
    """Where a row's *column* belongs in a policy. A mapping is a setting of that name."""
    return (column,) if isinstance(value, dict) else _COLUMNS.get(column, (column,))


def _put(policy: dict[str, Any], column: str, value: object) -> None:
    *groups, last = _path(column, value)
    for group in groups:
        policy = policy.setdefault(group, {})
    policy[last] = value


def _copy_lines(table: Tree, at: Path, value: object, made: Tree, to: Path) -> None:
    line = table.lines.get(at, 1)
    for depth in range(3, len(to)):
        made.lines.setdefault(to[:depth], line)
    for path in _paths(value, at):
        made.lines[(*to, *path[len(at) :])] = table.lines.get(path, line)


def _in(problem: Problem, file: str) -> Problem:
    return Problem(
        problem.path, problem.message, problem.wrong, problem.known, problem.line or 1, file
    )
