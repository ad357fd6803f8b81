"""All regular expressions of the sidecar, how each is used, and texts that make bad ones slow."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import BuiltinMethodType, ModuleType
from typing import Any, Final, NamedTuple

import sidecar
from tests.fuzz.regex_steps import UNBOUNDED, Matcher, Node, Test, TooMany, Tree, inside

ROOT: Final = Path(sidecar.__file__).parent
_SEARCHES: Final = {"search", "finditer", "findall", "split", "sub", "subn"}
_MATCHES: Final = {"match", "fullmatch"}
_ALPHABET: Final = [*range(256)]
_TINY: Final = 24
_SHORT: Final = 300
_LONG: Final = 900
"""Characters. Bounded repetitions (a host's 253, say) are through with their bound at `_SHORT`."""
_ENDS: Final = 4
"""Characters that are tried behind what repeats, so that it fails."""
_STEPS: Final = 12
"""For each character: what takes no more is not looked at further."""
_MOST: Final = 400_000
"""Steps that are counted for a text: so many are too many even for a long one."""
_MOST_OF_TINY: Final = 20_000
"""The same for a tiny one. Only exponential work comes to so much: 24 cubed is less."""
_GROWTH: Final = 5.5
"""Three times as much text may take so many times the work: 3 is linear, 9 is quadratic."""


Attack = tuple[list[int], list[int], list[int]]
"""What stands before, what is repeated, and what stands behind: codes of characters."""


class Use(NamedTuple):
    """A pattern, and how it is tried."""

    where: str
    pattern: re.Pattern[Any]
    how: str
    """`match`, `fullmatch` or `search`."""


def modules() -> Iterator[ModuleType]:
    """All of the sidecar's, imported."""
    for found in pkgutil.walk_packages([str(ROOT)], "sidecar."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def uses() -> list[Use]:
    """Every pattern that a module keeps, or that it writes where it is used."""
    found: dict[tuple[str, str], Use] = {}
    for module in modules():
        tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
        for use in (*_kept(module, tree), *_written(module, tree)):
            found[use.where, use.how] = use
    return list(found.values())


def _kept(module: ModuleType, tree: ast.Module) -> Iterator[Use]:
    methods = _methods_called(tree)
    for name, value in vars(module).items():
        where = f"{module.__name__}.{name}"
        if isinstance(value, BuiltinMethodType) and isinstance(value.__self__, re.Pattern):
            yield Use(where, value.__self__, _how(value.__name__))
        if isinstance(value, re.Pattern) and name in _assigned(tree):
            for method in sorted(methods.get(name, {"search"})):
                yield Use(where, value, _how(method))


def _how(method: str) -> str:
    return method if method in _MATCHES else "search"


def _assigned(tree: ast.Module) -> set[str]:
    """Names that the module itself gives a value."""
    targets: list[ast.expr] = []
    for node in tree.body:
        if isinstance(node, ast.AnnAssign):
            targets.append(node.target)
        elif isinstance(node, ast.Assign):
            targets += node.targets
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _methods_called(tree: ast.Module) -> dict[str, set[str]]:
    """By name: the methods of `re.Pattern` that are called on it, or taken from it."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.attr in _SEARCHES | _MATCHES
        ):
            found.setdefault(node.value.id, set()).add(node.attr)
    return found


def _written(module: ModuleType, tree: ast.Module) -> Iterator[Use]:
    """Patterns that are an argument of `re.match` and its like."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
            and node.func.attr in _SEARCHES | _MATCHES
        ):
            text = _constant(node.args[0], module)
            if text is not None:
                where = f"{module.__name__}:{node.lineno}"
                yield Use(where, re.compile(text), _how(node.func.attr))


def _constant(node: ast.expr, module: ModuleType) -> str | bytes | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        return node.value
    value = vars(module).get(node.id) if isinstance(node, ast.Name) else None
    return value if isinstance(value, str | bytes) else None


# -- texts that make it slow, if any can --


def superlinear(use: Use) -> str | None:
    """A text of which more is far more work; None if none is found."""
    for attack in attacks(use.pattern):
        if _grows(use, attack):
            prefix, pump, suffix = map(_text, attack)
            return f"{prefix!r} + {pump!r} * n + {suffix!r}"
    return None


def _grows(use: Use, attack: Attack) -> bool:
    if _steps(use, attack, _TINY, _MOST_OF_TINY) >= _MOST_OF_TINY:
        return True
    short = _steps(use, attack, _SHORT, _MOST)
    if short <= _STEPS * _SHORT:
        return False
    long = _steps(use, attack, _LONG, _MOST)
    return long >= _MOST or long > short * _GROWTH


def _steps(use: Use, attack: Attack, size: int, most: int) -> int:
    prefix, pump, suffix = attack
    text = _text(prefix + pump * (size // len(pump)) + suffix)
    matcher = Matcher(use.pattern, most)
    try:
        matcher.search(text.encode("latin-1") if is_bytes(use.pattern) else text, use.how)
    except TooMany:
        return most
    return matcher.steps


def is_bytes(pattern: re.Pattern[Any]) -> bool:
    """Whether it matches bytes, not text."""
    return isinstance(pattern.pattern, bytes)


def _text(codes: Sequence[int]) -> str:
    return "".join(map(chr, codes))


def attacks(pattern: re.Pattern[Any]) -> Iterator[Attack]:
    """What stands before, what is repeated, and what stands behind and makes it fail."""
    tree = Tree(pattern)
    kinds = _kinds(tree)
    seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()
    for prefix, repeated in _places(tree, tree.nodes, []):
        fitting = [[code] for code in kinds if _fits(tree, repeated, code)]
        others = [[code] for code in kinds if [code] not in fitting]
        pumps = [*fitting, _example(tree, repeated), _all_branches(tree, repeated)]
        for before, pump in [(prefix, pump) for pump in pumps] + [([], prefix or pumps[0])]:
            key = tuple(before), tuple(pump)
            if pump and key not in seen:
                seen.add(key)
                for suffix in ([], [10, 10], *others[:_ENDS]):
                    yield before, pump, suffix


def _places(
    tree: Tree, nodes: Sequence[Node], before: list[int]
) -> Iterator[tuple[list[int], Sequence[Node]]]:
    """Each thing that may repeat often, with a text that leads to it."""
    for node in nodes:
        for inner in inside(node):
            if str(node[0]).endswith("REPEAT") and node[1][1] > _SHORT:
                yield before, inner
            yield from _places(tree, inner, before)
        before = before + _example(tree, [node])


def _tests(tree: Tree, nodes: Sequence[Node]) -> Iterator[Test]:
    """The tests of single characters in *nodes*."""
    for node in nodes:
        test = tree.test(node)
        if test is not None:
            yield test
        for inner in inside(node):
            yield from _tests(tree, inner)


def _kinds(tree: Tree) -> list[int]:
    """One character of each kind that the pattern tells apart."""
    tests = list(_tests(tree, tree.nodes))
    kinds: dict[tuple[bool, ...], int] = {}
    for code in _ALPHABET:
        kinds.setdefault(tuple(test(code) for test in tests), code)
    return list(kinds.values())


def _fits(tree: Tree, nodes: Sequence[Node], code: int) -> bool:
    """Whether *code* may be a part of *nodes*."""
    return any(test(code) for test in _tests(tree, nodes))


def _all_branches(tree: Tree, nodes: Sequence[Node]) -> list[int]:
    """A text with all alternatives in it, one behind the other."""
    found: list[int] = []
    for node in nodes:
        if str(node[0]) in ("BRANCH", "SUBPATTERN"):
            for inner in inside(node):
                found += _all_branches(tree, inner) or _example(tree, inner)
    return found


def _example(tree: Tree, nodes: Sequence[Node]) -> list[int]:
    """A text that *nodes* match, look-aheads aside; each repetition is as short as it may be."""
    found: list[int] = []
    for node in nodes:
        kind, value = str(node[0]), node[1]
        test = tree.test(node)
        if test is not None:
            found.append(next((code for code in (97, 49, *_ALPHABET) if test(code)), 97))
        elif kind.endswith("REPEAT"):
            found += _example(tree, value[2]) * max(1 if value[1] == UNBOUNDED else 0, value[0])
        elif kind in ("SUBPATTERN", "BRANCH", "ATOMIC_GROUP"):
            found += _example(tree, inside(node)[0])
    return found
