"""Reads YAML into plain dicts, lists and scalars with their lines, or tells what is wrong.

Stricter than PyYAML's own construction: a key may stand only once, what YAML 1.1 reads otherwise
than it looks (`no`, `010`, `12:30:45`, dates) must be quoted, and everything is bounded, since nine
lines of aliases can stand for billions of nodes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

import yaml
from msgspec import Struct

from sidecar.config.problems import Path, Problem

try:
    from yaml import CSafeLoader as Loader
except ImportError:  # PyYAML without libyaml: slower, the same language
    from yaml import SafeLoader as Loader  # type: ignore[assignment]

MAX_TEXT: Final = 2**20
"""Characters."""
MAX_NODES: Final = 50_000
"""With every alias written out."""
MAX_DEPTH: Final = 32
"""Also keeps libyaml's composer, which recurses in C, from running out of stack."""

_TAG: Final = "tag:yaml.org,2002:"
QUOTE: Final = (
    "YAML reads this differently; put it in quotes, or write true, false or a plain number"
)


def _boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def _integer(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[-+]?(0|[1-9][0-9]{0,17})", text) else None


def _float(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[-+]?[0-9]{1,18}\.[0-9]{0,18}", text) else None


def _nothing(text: str) -> None:
    return None


_SCALARS: Final[dict[str, Callable[[str], object]]] = {
    "str": str,
    "bool": _boolean,
    "int": _integer,
    "float": _float,
    "null": _nothing,
    "timestamp": _nothing,
    "value": _nothing,
    "merge": _nothing,
}
"""By YAML tag: makes the value, or None where YAML reads it otherwise than it looks."""
_KEYS: Final = ("str", "bool", "merge")


class Tree(Struct):
    """A document as plain values."""

    root: object
    lines: dict[Path, int]
    """The first line is 1. Entries of a mapping have the line of their key."""
    problems: list[Problem]
    files: dict[Path, str] = {}
    """Of the paths that another source than the first has said: its name."""


class Unreadable(Exception):
    """The text is not a YAML document that could be checked further."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.problem = Problem((), message, line=line)


def read(text: str) -> Tree:
    """Parse *text*; raise Unreadable for bad syntax, several documents or one that is too large."""
    if len(text) > MAX_TEXT:
        raise Unreadable(1, f"larger than {MAX_TEXT} characters")
    if "\ufffd" in text:  # in place of bytes that are no UTF-8
        line = text.count("\n", 0, text.index("\ufffd")) + 1
        raise Unreadable(line, "not UTF-8 text: save the file as UTF-8")
    try:
        _guard(text)
        node = Loader(text).get_single_node()
    except yaml.YAMLError as error:
        # Late: only a bad file needs it.
        from sidecar.config.read.syntax import told

        raise Unreadable(*told(text, error)) from None
    except UnicodeEncodeError as error:
        raise Unreadable(text.count("\n", 0, error.start) + 1, "not Unicode text") from None
    return _Builder().build(node)


def _guard(text: str) -> None:
    """Walk the events, which needs no recursion, before anything is composed."""
    depth = documents = 0
    for event in yaml.parse(text, Loader):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > MAX_DEPTH:
            raise Unreadable(_line(event), f"nested deeper than {MAX_DEPTH} levels")
        if documents > 1:
            raise Unreadable(_line(event), "a second document; expected only one")


class _Builder:
    """Makes values of nodes. Aliases are written out: each use has its own path and copy."""

    def __init__(self) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[Problem] = []
        self.nodes = 0

    def build(self, node: yaml.Node | None) -> Tree:
        if node is None or node.tag == _TAG + "null":
            self.problems.append(Problem((), "the file is empty", line=1))
            return Tree({}, self.lines, self.problems)
        self.lines[()] = _line(node)
        return Tree(self.value(node, (), 0), self.lines, self.problems)

    def value(self, node: yaml.Node, path: Path, depth: int) -> object:
        self.count(node, depth)
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self.mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return self.sequence(node, path, depth)
        return self.scalar(node, path)

    def count(self, node: yaml.Node, depth: int) -> None:
        """Bound what aliases expand to; one that contains itself is endlessly deep."""
        self.nodes += 1
        if depth > MAX_DEPTH:
            raise Unreadable(_line(node), f"nested deeper than {MAX_DEPTH} levels")
        if self.nodes > MAX_NODES:
            raise Unreadable(_line(node), f"more than {MAX_NODES} values, aliases written out")

    def sequence(self, node: yaml.SequenceNode, path: Path, depth: int) -> list[object]:
        values = []
        for index, item in enumerate(node.value):
            here = (*path, index)
            self.lines[here] = _line(item)
            values.append(self.value(item, here, depth + 1))
        return values

    def mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> dict[str, object]:
        values: dict[str, object] = {}
        for key, key_node, item in self.entries(node, path, depth):
            if key not in values:
                here = (*path, key)
                self.lines[here] = _line(key_node)
                values[key] = self.value(item, here, depth + 1)
        return values

    def entries(
        self, node: yaml.MappingNode, path: Path, depth: int
    ) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        """Yield a mapping's own entries, which win, then those that it merges (`<<: *base`)."""
        merged: list[yaml.Node] = []
        first: dict[str, yaml.Node] = {}
        for key_node, item in node.value:
            key = self.key(key_node, path)
            if key is None:
                continue
            if key in first:
                again = f"duplicate key, first on line {_line(first[key])}"
                self.problems.append(Problem((*path, key), again, line=_line(key_node)))
                continue
            first[key] = key_node
            if key_node.tag == _TAG + "merge":
                merged += item.value if isinstance(item, yaml.SequenceNode) else [item]
            else:
                yield key, key_node, item
        for base in merged:
            yield from self.merge(base, path, depth + 1)

    def merge(
        self, base: yaml.Node, path: Path, depth: int
    ) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        self.count(base, depth)
        if isinstance(base, yaml.MappingNode):
            yield from self.entries(base, path, depth)
        else:
            self.refuse(base, path, "expected an alias of a mapping, as `<<: *name`")

    def key(self, node: yaml.Node, path: Path) -> str | None:
        """Read a key as it looks: `on`, which YAML 1.1 takes for true, is a key like others."""
        if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_TAG) in _KEYS:
            return str(node.value)
        self.refuse(node, path, "a key must be text; put it in quotes")
        return None

    def scalar(self, node: yaml.Node, path: Path) -> object:
        """Read a string, number, bool or null; what YAML may read otherwise is a problem."""
        tag, text = node.tag.removeprefix(_TAG), str(node.value)
        if not isinstance(node, yaml.ScalarNode) or tag not in _SCALARS:
            self.problems.append(Problem(path, "YAML tags (`!name`) are not supported"))
            return None
        value = _SCALARS[tag](text)
        if value is None and tag != "null":
            self.problems.append(Problem(path, QUOTE))
            return text
        return value

    def refuse(self, node: yaml.Node, path: Path, message: str) -> None:
        self.problems.append(Problem(path, message, line=_line(node)))


def _line(node: yaml.Node | yaml.Event) -> int:
    return int(node.start_mark.line) + 1 if node.start_mark else 1
