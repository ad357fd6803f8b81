"""How much work a regular expression is: a matcher that goes the way of `re`, and counts.

Counting says the same on every machine, however busy it is. Only the order of growth means
something: `re` itself takes shortcuts that save a constant factor.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

_parser: Final[Any] = importlib.import_module("re._parser")
_constants: Final[Any] = importlib.import_module("re._constants")

Node = tuple[Any, Any]
"""An operation of `re._parser`, and its argument."""
Test = Callable[[int], bool]

_DEPTH: Final = 20_000
"""Frames: a few for each round of a group that repeats."""
UNBOUNDED: Final = int(_constants.MAXREPEAT)


class TooMany(Exception):
    """More steps than were allowed."""


class Tree:
    """A pattern as `re` parses it."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        tree = _parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
        self.nodes: Sequence[Node] = list(tree)
        self._tests: dict[int, Test | None] = {}
        self.flags = int(tree.state.flags)
        self._look(self.nodes, self.flags)

    def _look(self, nodes: Sequence[Node], flags: int) -> None:
        """Keep each node's test, under the flags that hold where it stands."""
        for node in nodes:
            self._tests[id(node)] = _single(node, flags)
            inner = flags
            if str(node[0]) == "SUBPATTERN":
                inner = (flags | node[1][1]) & ~node[1][2]
            for each in inside(node):
                self._look(each, inner)

    def test(self, node: Node) -> Test | None:
        """What tests a character, if *node* matches exactly one."""
        return self._tests[id(node)]


def inside(node: Node) -> list[Sequence[Node]]:
    """The sequences of nodes that *node* is made of."""
    kind, value = str(node[0]), node[1]
    if kind.endswith("REPEAT"):
        return [value[2]]
    if kind == "SUBPATTERN":
        return [value[3]]
    if kind == "BRANCH":
        return list(value[1])
    if kind == "ATOMIC_GROUP":
        return [value]
    return [value[1]] if kind in ("ASSERT", "ASSERT_NOT") else []


def _single(node: Node, flags: int) -> Test | None:
    kind, value = str(node[0]), node[1]
    if kind == "LITERAL":
        return _caseless(lambda code: code == value, flags)
    if kind == "NOT_LITERAL":
        return lambda code: not _caseless(lambda other: other == value, flags)(code)
    if kind == "ANY":
        return lambda code: bool(flags & re.DOTALL) or code != 10
    if kind == "IN":
        return _caseless(lambda code: _in(value, code, flags), flags)
    return None


def _caseless(test: Test, flags: int) -> Test:
    if not flags & re.IGNORECASE:
        return test

    def either(code: int) -> bool:
        cases = (chr(code), chr(code).lower(), chr(code).upper())
        return any(test(ord(char)) for char in cases if len(char) == 1)

    return either


_CATEGORIES: Final = {"DIGIT": r"\d", "SPACE": r"\s", "WORD": r"\w"}


def _in(items: Sequence[Node], code: int, flags: int) -> bool:
    negated = bool(items) and str(items[0][0]) == "NEGATE"
    return any(_item(item, code, flags) for item in items) != negated


def _item(item: Node, code: int, flags: int) -> bool:
    kind, value = str(item[0]), item[1]
    if kind == "LITERAL":
        return bool(code == value)
    if kind == "RANGE":
        return bool(value[0] <= code <= value[1])
    if kind == "CATEGORY":
        name = str(value).removeprefix("CATEGORY_")
        found = re.match(_CATEGORIES[name.removeprefix("NOT_")], chr(code), flags & re.ASCII)
        return (found is None) == name.startswith("NOT_")
    return False


class Matcher:
    """Matches *pattern* against texts, and counts the steps."""

    def __init__(self, pattern: re.Pattern[Any], most: int = 10**6) -> None:
        self._tree = Tree(pattern)
        self._flags = self._tree.flags
        self._most = most
        self.steps = 0
        self._text: list[int] = []
        self._groups: dict[int, tuple[int, int]] = {}

    def search(self, text: str | bytes, how: str) -> tuple[int, int] | None:
        """The span that *how* (`match`, `fullmatch` or `search`) finds. Raise TooMany."""
        before = sys.getrecursionlimit()
        sys.setrecursionlimit(_DEPTH)
        try:
            return self._search(text, how)
        finally:
            sys.setrecursionlimit(before)

    def _search(self, text: str | bytes, how: str) -> tuple[int, int] | None:
        self._text = list(text) if isinstance(text, bytes) else [ord(char) for char in text]
        self.steps = 0
        last = len(self._text)
        for start in range(last + 1 if how == "search" else 1):
            self._step()
            self._groups.clear()
            for end in self._sequence(self._tree.nodes, 0, start):
                if how != "fullmatch" or end == last:
                    return start, end
        return None

    def _step(self, count: int = 1) -> None:
        self.steps += count
        if self.steps > self._most:
            raise TooMany

    def _sequence(self, nodes: Sequence[Node], index: int, at: int) -> Iterator[int]:
        if index == len(nodes):
            yield at
            return
        for after in self._node(nodes[index], at):
            yield from self._sequence(nodes, index + 1, after)

    def _node(self, node: Node, at: int) -> Iterator[int]:
        """Where *node* may end that begins *at*, in the order in which `re` tries it."""
        self._step()
        test = self._tree.test(node)
        if test is not None:
            return iter((at + 1,) if at < len(self._text) and test(self._text[at]) else ())
        method = getattr(self, "_" + str(node[0]).lower())
        found: Iterator[int] = method(node[1], at)
        return found

    # -- one method for each operation --

    def _branch(self, value: Any, at: int) -> Iterator[int]:
        for branch in value[1]:
            yield from self._sequence(branch, 0, at)

    def _subpattern(self, value: Any, at: int) -> Iterator[int]:
        group, _, _, nodes = value
        for end in self._sequence(nodes, 0, at):
            before = self._groups.get(group)
            if group is not None:
                self._groups[group] = (at, end)
            yield end
            if before is not None:
                self._groups[group] = before

    def _atomic_group(self, nodes: Any, at: int) -> Iterator[int]:
        yield from list(_first(self._sequence(nodes, 0, at)))

    def _assert(self, value: Any, at: int) -> Iterator[int]:
        if self._ahead(value, at):
            yield at

    def _assert_not(self, value: Any, at: int) -> Iterator[int]:
        if not self._ahead(value, at):
            yield at

    def _ahead(self, value: Any, at: int) -> bool:
        direction, nodes = value
        if direction < 0:  # as wide as it is, for it has one width
            width = _parser.SubPattern.getwidth(nodes)[0]
            return at >= width and at in list(self._sequence(nodes, 0, at - width))
        return bool(_first(self._sequence(nodes, 0, at)))

    def _groupref(self, group: Any, at: int) -> Iterator[int]:
        start, end = self._groups.get(group, (0, -1))
        if end >= 0 and self._text[start:end] == self._text[at : at + end - start]:
            yield at + end - start

    def _at(self, value: Any, at: int) -> Iterator[int]:
        last, lines = len(self._text), bool(self._flags & re.MULTILINE)
        before_end = at == last - 1 and self._text[at] == 10
        held = {
            "AT_BEGINNING": at == 0 or (lines and self._text[at - 1] == 10),
            "AT_BEGINNING_STRING": at == 0,
            "AT_END": at == last or before_end or (lines and at < last and self._text[at] == 10),
            "AT_END_STRING": at == last,
            "AT_BOUNDARY": self._word(at - 1) != self._word(at),
            "AT_NON_BOUNDARY": self._word(at - 1) == self._word(at),
        }
        if held[str(value)]:
            yield at

    def _word(self, at: int) -> bool:
        return 0 <= at < len(self._text) and bool(re.match(r"\w", chr(self._text[at])))

    def _max_repeat(self, value: Any, at: int) -> Iterator[int]:
        least, most, nodes = value
        run = self._run(nodes, most, at)
        if run is None:
            yield from self._times(nodes, least, most, at, True)
            return
        for count in range(run, least - 1, -1):
            self._step()
            yield at + count

    def _min_repeat(self, value: Any, at: int) -> Iterator[int]:
        least, most, nodes = value
        run = self._run(nodes, most, at)
        if run is None:
            yield from self._times(nodes, least, most, at, False)
            return
        for count in range(least, run + 1):
            self._step()
            yield at + count

    def _possessive_repeat(self, value: Any, at: int) -> Iterator[int]:
        yield from _first(self._max_repeat(value, at))

    def _run(self, nodes: Any, most: int, at: int) -> int | None:
        """How often a single character repeats from *at* on, at most *most* times."""
        test = self._tree.test(nodes[0]) if len(nodes) == 1 else None
        if test is None:
            return None
        end = at
        while end < len(self._text) and end - at < most and test(self._text[end]):
            end += 1
        self._step(end - at + 1)
        return end - at

    def _times(
        self, nodes: Any, least: int, most: int, at: int, greedy: bool, count: int = 0
    ) -> Iterator[int]:
        """A group that repeats; a round that takes nothing ends it, as in `re`."""
        self._step()
        if not greedy and count >= least:
            yield at
        if count < most:
            for end in self._sequence(nodes, 0, at):
                if end > at or count < least:
                    yield from self._times(nodes, least, most, end, greedy, count + 1)
        if greedy and count >= least:
            yield at


def _first(found: Iterator[int]) -> list[int]:
    for end in found:
        return [end]
    return []
