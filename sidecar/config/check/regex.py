"""Whether a regular expression of the configuration may take too long on the worst of texts.

Python's `re` tries all ways to match. There are too many of them where two repeats can share the
same text in different ways: `(a+)+` has exponentially many, `a*a*b` as many as the text's length
squared. What decides is whether a repeat must stop where the next element begins: `[a-z]+-` has one
way, since no letter is a `-`. The answer is on the safe side: some expressions that are refused
would be fast. Possessive repeats and atomic groups have one way by themselves (Python 3.11), so
that everything can be written with them.
"""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final

from sidecar.config.check.charsets import ALL, Node, charset

_parser: Final[Any] = importlib.import_module("re._parser")
_FEW: Final = 16
"""A repeat with so many lengths, or fewer, is a constant factor."""
_MOST_WAYS: Final = 64
_LONGEST: Final = 500
LINEAR: Final = 1
QUADRATIC: Final = 2
_SHARED: Final = (
    "could take too long: a repeat can share text with what repeats or follows it. Make it "
    "possessive (`++`, `*+`), or put it with what follows into an atomic group `(?>...)`"
)


def slow(text: str, most: int = QUADRATIC) -> str | None:
    """Return what is wrong with the regular expression *text*, which is searched for; or None.

    *most*: the power of a text's length that it may take, `LINEAR` or `QUADRATIC`.
    """
    if not 0 < len(text) <= _LONGEST:
        return f"expected 1 to {_LONGEST} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # what will mean something else in a later Python
            compiled = re.compile(text)
            tree = _parser.parse(text)
        nodes = _flat(tree, compiled.flags)
        walk = _Walk()
        walk.sequence(nodes, ALL, 0)
    except _TooSlow as error:
        return str(error)
    except (re.error, Warning, OverflowError, RecursionError) as error:
        return f"not a regular expression: {getattr(error, 'msg', error)}"
    degree = walk.degree + (0 if _anchored(nodes, compiled.flags) else 1)
    return _SHARED if degree > most else None


class _TooSlow(ValueError):
    """The expression may take too long."""


class _Element:
    """One element: a character, a repeat, a choice, something without width."""

    def __init__(self, kind: str, chars: int = 0) -> None:
        self.kind = kind
        """`char`, `repeat`, `possessive`, `branch`, `atomic`, `look`, `start`, `at` or `end`."""
        self.chars = chars
        self.inner: list[list[_Element]] = []
        """Its body, or its branches."""
        self.least = self.most = 1

    @property
    def nullable(self) -> bool:
        """Whether it can match nothing."""
        if self.kind in ("char", "end"):  # behind the end comes nothing
            return False
        if self.kind in ("at", "start", "look") or self.least == 0:
            return True
        return any(all(each.nullable for each in body) for body in self.inner)

    def first(self) -> int:
        """Return what it can begin with."""
        if self.kind in ("at", "start", "look"):
            return ALL  # it may allow one thing and not another
        if self.kind in ("char", "end"):
            return self.chars
        return _union([_first(body, 0) for body in self.inner])

    @property
    def many(self) -> bool:
        """Whether it has more lengths than a few."""
        return self.most - self.least > _FEW


def _union(masks: Sequence[int]) -> int:
    found = 0
    for mask in masks:
        found |= mask
    return found


def _first(elements: Sequence[_Element], follow: int) -> int:
    """Return what a sequence can begin with, *follow* being what comes behind it."""
    found = 0
    for element in elements:
        found |= element.first()
        if not element.nullable:
            return found
    return found | follow


def _last(elements: Sequence[_Element], before: int) -> int:
    """Return what can stand directly before the end of a sequence."""
    found = 0
    for element in reversed(elements):
        if element.kind == "char":
            found |= element.chars
        else:
            found |= _union([_last(body, 0) for body in element.inner])
        if not element.nullable:
            return found
    return found | before


class _Walk:
    """Goes through a sequence, and adds up the work that one start of it can be."""

    def __init__(self) -> None:
        self.degree = 0
        """The power of the text's length that the most expensive place takes."""
        self._ambiguous = 0
        """Repeats before this place that can end in many ways."""
        self._ways = 1
        """In how many ways the others can end."""

    def sequence(self, elements: Sequence[_Element], before: int, follow: int) -> None:
        """Add *elements*; what may stand *before* and what may *follow* are characters."""
        for index, element in enumerate(elements):
            after = _first(elements[index + 1 :], follow)
            if element.kind in ("atomic", "look"):
                self._alone(element, before)
            elif element.kind == "branch":
                self._branch(element, before, after)
            elif element.kind in ("repeat", "possessive"):
                self._repeat(element, before, after)
            before = _last([element], before)

    def _alone(self, element: _Element, before: int) -> None:
        """It has one way, however many were tried inside."""
        ambiguous, ways = self._ambiguous, self._ways
        for body in element.inner:
            self.sequence(body, before, 0)
        self._ambiguous, self._ways = ambiguous, ways

    def _branch(self, element: _Element, before: int, after: int) -> None:
        if not _exclusive(element, after):
            self._multiply(len(element.inner))
        ambiguous, most = self._ambiguous, self._ambiguous
        for body in element.inner:
            self._ambiguous = ambiguous
            self.sequence(body, before, after)
            most = max(most, self._ambiguous)
        self._ambiguous = most

    def _repeat(self, element: _Element, before: int, after: int) -> None:
        body = element.inner[0]
        single = len(body) == 1 and body[0].kind == "char"
        again = _first(body, 0) if element.most > 1 else 0
        if element.kind == "possessive":
            self._alone(element, before)
        elif not single:
            if element.most > 1 and not _determined(body, again | after):
                raise _TooSlow(_SHARED)
            self.sequence(body, before | _last(body, 0), again | after)
        rescans = not single or bool(before & body[0].chars)
        if element.many or (not single and element.most > _FEW):
            self.degree = max(self.degree, self._ambiguous + rescans)
        if element.kind == "repeat" and element.most > element.least and element.first() & after:
            if element.many:
                self._ambiguous += 1
                self.degree = max(self.degree, self._ambiguous)
            else:
                self._multiply(element.most - element.least + 1)

    def _multiply(self, ways: int) -> None:
        self._ways *= ways
        if self._ways > _MOST_WAYS:
            raise _TooSlow(_SHARED)


def _exclusive(branch: _Element, follow: int) -> bool:
    """Whether the next character decides which of the branches it is."""
    firsts = [_first(body, follow) for body in branch.inner]
    return not any(one & other for one, other in combinations(firsts, 2))


def _determined(elements: Sequence[_Element], follow: int) -> bool:
    """Whether a sequence can match in one way only, from a given start."""
    for index, element in enumerate(elements):
        after = _first(elements[index + 1 :], follow)
        if element.kind == "branch":
            if not _exclusive(element, after):
                return False
            if not all(_determined(body, after) for body in element.inner):
                return False
        elif element.kind == "repeat":
            body = element.inner[0]
            again = _first(body, 0) if element.most > 1 else 0
            if element.most > element.least and element.first() & after:
                return False
            if not _determined(body, again | after):
                return False
    return True


# -- the tree that `re` parses, without what does not matter here --


def _flat(nodes: Any, flags: int) -> list[_Element]:
    found: list[_Element] = []
    for node in nodes:
        found += _elements(node, flags)
    return found


def _elements(node: Node, flags: int) -> list[_Element]:
    kind, value = str(node[0]), node[1]
    chars = charset(node, flags)
    if chars is not None:
        return [_Element("char", chars)]
    if kind == "SUBPATTERN":
        _, added, dropped, body = value
        return _flat(body, (flags | added) & ~dropped)
    if kind == "AT":
        return [_Element(_PLACES.get(str(value), "at"))]
    if kind.endswith("REPEAT"):
        least, most, body = value
        made = _Element("possessive" if kind.startswith("POSSESSIVE") else "repeat")
        made.least, made.most = int(least), int(most)
        made.inner = [_flat(body, flags)]
        return [made]
    if kind not in ("BRANCH", "ATOMIC_GROUP", "ASSERT", "ASSERT_NOT"):
        raise _TooSlow("back-references and conditions are not possible here")
    made = _Element({"BRANCH": "branch", "ATOMIC_GROUP": "atomic"}.get(kind, "look"))
    bodies = value[1] if kind == "BRANCH" else [value if kind == "ATOMIC_GROUP" else value[1]]
    made.inner = [_flat(body, flags) for body in bodies]
    return [made]


_PLACES: Final = {
    "AT_BEGINNING": "start",
    "AT_BEGINNING_STRING": "start",
    "AT_END": "end",
    "AT_END_STRING": "end",
}


def _anchored(elements: Sequence[_Element], flags: int) -> bool:
    """Whether a search tries the beginning of the text only."""
    return bool(elements) and elements[0].kind == "start" and not flags & re.MULTILINE
