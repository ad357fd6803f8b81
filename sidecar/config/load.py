"""Turns text into a frozen Config, or into every error in it with its line.

Read the YAML, put in what references stand for, decode. Then look at what types cannot say. Nothing
here knows a clock or a loop, and files are read by a function that is passed in.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from sidecar.config import overlay
from sidecar.config.awaited import is_key, without_keys
from sidecar.config.check.parts import broken_rules, children
from sidecar.config.check.relations import Parts, broken_relations
from sidecar.config.check.warnings import Whole, doubtful
from sidecar.config.model import Budgets, Config, Policy, Route, Store, Task, Tracing, Upstream
from sidecar.config.overlay import DEFAULT, Effective, Overlay
from sidecar.config.problems import MAX_SHOWN, ConfigErrors, Located, Path, Problem, locate
from sidecar.config.read import references, tree
from sidecar.config.read.combine import lay_over
from sidecar.config.read.decode import convert
from sidecar.config.read.references import Expanded, Kind, Resolve
from sidecar.config.read.stand_ins import fill
from sidecar.config.read.tree import Tree

__all__ = ["ConfigErrors", "Effective", "Loaded", "Located", "Written", "load"]

T = TypeVar("T")


class Loaded(Struct, frozen=True):
    """A configuration that is fit to serve."""

    config: Config
    shown: object
    """The configuration as a tree to be shown: references as written, credentials masked."""
    files: frozenset[str]
    """Other files that it depends on: those of references and of TLS."""
    hash: str
    """Hash of the text and of everything that it refers to."""
    effective: dict[tuple[int, str], Effective]
    """The policies in force, by index of a route and name of an upstream that it may send to."""
    overlay: Overlay
    """Makes policies for calls that ask for another one than their route's."""
    warnings: tuple[Located, ...] = ()
    """What is valid, but probably not meant."""
    unchecked: tuple[Located, ...] = ()
    """What is missing: what was not looked at when it was loaded `offline`, else awaited keys."""
    waiting: frozenset[str] = frozenset()
    """Upstreams that have no key until a file comes."""
    awaited: frozenset[str] = frozenset()
    """The files of keys that have not come."""


class Findings(NamedTuple):
    """What a look at the machine finds, each at the path of the setting that needs it."""

    wrong: list[Problem]
    """With these it can't serve here."""
    doubtful: list[Problem]
    unchecked: list[Problem]


Examine = Callable[[Whole], Findings]


Awaits = Callable[[str], bool]
"""Whether a key's file of this name may still come."""


def _waits_for_nothing(_: str) -> bool:
    return False


def _unseen(_: Whole) -> Findings:
    return Findings([], [], [])


class Written(NamedTuple):
    """One text of a configuration."""

    text: str
    file: str
    """Its name in errors: a path, or a source's URL without secrets."""


def load(
    text: str,
    *,
    file: str,
    over: Sequence[Written] = (),
    resolve: Resolve = references.from_system,
    offline: bool = False,
    awaits: Awaits = _waits_for_nothing,
    examine: Examine = _unseen,
) -> Loaded:
    """Decode *text*, with the documents or tables of *over* laid over it, the last one on top.

    *file* names it in errors; relative paths start at that file's folder, or at the current one
    if it is a URL. *offline*: files and variables that it refers to may be missing; what is
    returned is not fit to serve then. *awaits*: which files of keys may still come; upstreams that
    need them wait. *examine* looks at what it needs of this machine.
    Raises ConfigErrors with every error that was found.
    """
    document = _read(text, file)
    for each in over:
        lay_over(document, _read(*each), each.file)
    folder = "" if "://" in file else os.path.dirname(file)
    may_miss = references.anything_may if offline else partial(_may_come, awaits)
    expanded = references.expand(document.root, folder=folder, resolve=resolve, may_miss=may_miss)
    if expanded.absent:
        fill(expanded.root, expanded.absent, lambda: _problems(expanded.root))
    config, mistyped = _decode(expanded.root)
    problems = document.problems + expanded.problems + mistyped
    problems += _unless(expanded.absent, broken_rules(expanded.root))
    parts = _parts(expanded.root, problems)
    problems += _unless(expanded.absent, broken_relations(parts, document.lines))
    placed = partial(locate, lines=document.lines, file=file, files=document.files)

    def refused(problems: Iterable[Problem]) -> ConfigErrors:
        errors = placed(problems)
        errors.files = expanded.files
        return errors

    if problems or config is None or parts.overlay is None:
        raise refused(problems)
    effective = overlay.effective(parts.overlay, parts.routes, parts.trees)
    whole = Whole(config, effective, document.root)
    found = examine(whole)
    if found.wrong:
        raise refused(found.wrong)
    doubts = [*doubtful(whole), *found.doubtful]
    waiting = frozenset[str]()
    if expanded.absent and not offline:
        config, waiting = without_keys(config, expanded.absent)
    return Loaded(
        config=config,
        shown=references.masked(document.root),
        files=expanded.files,
        hash=_hash([text, *(each.text for each in over)], expanded),
        effective=effective,
        overlay=parts.overlay,
        warnings=tuple(placed(_unless(expanded.absent, doubts)).errors),
        unchecked=tuple(placed([*expanded.unchecked, *found.unchecked]).errors),
        waiting=waiting,
        awaited=frozenset() if offline else expanded.missing,
    )


def _may_come(awaits: Awaits, kind: Kind, name: str, path: Path, hidden: bool) -> bool:
    return kind == "file" and not hidden and is_key(path) and awaits(name)


def _problems(root: object) -> list[Problem]:
    """Find what is wrong in single parts of *root*."""
    return [*_decode(root)[1], *broken_rules(root)]


def _unless(absent: Container[Path], problems: Iterable[Problem]) -> list[Problem]:
    """Leave out problems of texts that only stand in for others."""
    return [problem for problem in problems if problem.path not in absent]


def _read(text: str, file: str) -> Tree:
    try:
        return tree.read(text)
    except tree.Unreadable as error:
        raise locate([error.problem], {}, file) from None


def _decode(root: object) -> tuple[Config | None, list[Problem]]:
    try:
        return convert(root, Config), []
    except msgspec.ValidationError:  # names the first error only, and quotes values
        # Late: jsonschema takes more memory than all the rest of this package.
        from sidecar.config.check.schema_errors import explain

        return None, explain(root) or [Problem((), "does not fit the schema")]


def _parts(root: Any, problems: list[Problem]) -> Parts:
    """Decode the parts without a problem: what follows from an error is not reported."""
    bad = {problem.path[:2] for problem in problems}
    if len(problems) > MAX_SHOWN or {(), ("upstreams",), ("routes",), ("policies",)} & bad:
        return Parts({}, {}, {}, {}, {}, None, None, None, False, None)

    def good(group: str, kind: type[T]) -> Iterator[tuple[Any, T]]:
        for key, item in children(root, group):
            if not {(group,), (group, key)} & bad:
                yield key, convert(item, kind)

    trees: Any = children(root, "routes")
    return Parts(
        upstreams=dict(good("upstreams", Upstream)),
        routes=dict(good("routes", Route)),
        policies=dict(good("policies", Policy)),
        tasks=dict(good("tasks", Task)),
        trees=dict(trees),
        tracing=None if "tracing" in {path[0] for path in bad if path} else _tracing(root),
        store=None if "store" in {path[0] for path in bad if path} else _store(root),
        budgets=None if "budgets" in {path[0] for path in bad if path} else _budgets(root),
        prices=bool(root.get("prices")),
        overlay=None if ("policies", DEFAULT) in bad else Overlay(root),
    )


def _tracing(root: Any) -> Tracing:
    return convert(root.get("tracing", {}), Tracing)


def _store(root: Any) -> Store:
    return convert(root.get("store", {}), Store)


def _budgets(root: Any) -> Budgets:
    return convert(root.get("budgets", {}), Budgets)


def _hash(texts: list[str], expanded: Expanded) -> str:
    """Sixteen hex digits; lengths keep `ab` + `c` and `a` + `bc` apart."""
    digest = hashlib.sha256()
    read = [
        text for (_, name), content in sorted(expanded.read.items()) for text in (name, content)
    ]
    for part in (*texts, *read):
        data = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(data), data))
    return digest.hexdigest()[:16]
