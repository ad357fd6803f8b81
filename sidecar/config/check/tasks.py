"""Checks `tasks` against each other part, and each task within itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sidecar.config.check.regex import LINEAR, slow
from sidecar.config.check.urls import captures
from sidecar.config.model import Route, Upstream
from sidecar.config.model.tasks import Task, TaskModel
from sidecar.config.overlay import targets
from sidecar.config.problems import Path, Problem
from sidecar.llm.tasks.formats import schema_problem
from sidecar.policy.template import Template

_RESERVED = "content"


def task_problems(
    path: Path, task: Task, routes: Mapping[int, Route], upstreams: Mapping[str, Upstream]
) -> Iterator[Problem]:
    """Find what is wrong with *task* at *path*."""
    known = {route.name or f"{index}-{route.upstream}": route for index, route in routes.items()}
    yield from _carried((*path, "route"), task.route, known, upstreams)
    for index, choice in enumerate(task.models):
        where = (*path, "models", index)
        if choice.route is not None:
            yield from _carried((*where, "route"), choice.route, known, upstreams)
        if choice.path is not None:
            yield from _placeholders((*where, "path"), choice.path, {"model"})
    yield from _sizes((*path, "models"), task.models)
    yield from _prompts(path, task)
    yield from _formats(path, task)


def _carried(
    path: Path, name: str, known: Mapping[str, Route], upstreams: Mapping[str, Upstream]
) -> Iterator[Problem]:
    route = known.get(name)
    if route is None:
        # Which there are is not told: a name may come from a reference, which may be a secret.
        yield Problem(path, "no such route")
        return
    for target in targets(route):
        upstream = upstreams.get(target)
        if upstream and captures(*(endpoint.url for endpoint in upstream.endpoints)):
            yield Problem(path, f"a URL of upstream {target} needs a capture, and tasks have none")


def _sizes(path: Path, models: tuple[TaskModel, ...]) -> Iterator[Problem]:
    before = 0
    for index, choice in enumerate(models):
        last = index == len(models) - 1
        if choice.up_to is None:
            if not last:
                yield Problem((*path, index), "takes any content: what follows gets none")
            continue
        if last:
            yield Problem((*path, index, "up_to"), "the last model must take any content")
        if choice.up_to <= before:
            yield Problem((*path, index, "up_to"), "not more than that of the model before")
        before = int(choice.up_to)


def _prompts(path: Path, task: Task) -> Iterator[Problem]:
    if _RESERVED in task.inputs:
        yield Problem((*path, "inputs", _RESERVED), "is what the caller's content is called")
    may = {_RESERVED, *task.inputs}
    used: set[str] = set()
    broken = False
    for key, text in (("system", task.system), ("user", task.user)):
        if text is not None:
            problems = list(_placeholders((*path, key), text, may))
            broken = broken or bool(problems)
            yield from problems
            used |= set() if problems else Template(text).names
    for name in sorted(may - used) if not broken else ():
        where = (*path, "user") if name == _RESERVED else (*path, "inputs", name)
        yield Problem(where, f"no prompt has {{{name}}} in it")


def _placeholders(path: Path, text: str, may: set[str]) -> Iterator[Problem]:
    try:
        names = Template(text).names
    except ValueError as error:
        yield Problem(path, str(error))
        return
    for name in sorted(names - may):
        yield Problem(path, f"nothing is called {{{name}}} here: {', '.join(sorted(may))}")


def _formats(path: Path, task: Task) -> Iterator[Problem]:
    if task.schema is not None:
        for wrong in _schema(task.schema):
            yield Problem((*path, "schema"), wrong)
    elif task.format == "schema" or "schema" in task.instructions:
        yield Problem((*path, "format"), "`schema` is missing: the JSON schema of the answer")


def _schema(schema: Mapping[str, Any]) -> Iterator[str]:
    if wrong := schema_problem(schema):
        yield wrong
    for key, value in _members(schema):
        if key in ("$ref", "$dynamicRef") and not str(value).startswith("#"):
            yield f"`{key}` must refer to the schema itself, as #/$defs/name"
        if key == "pattern" and isinstance(value, str) and (wrong := slow(value, LINEAR)):
            yield f"a `pattern` {wrong}"
        if key == "patternProperties" and isinstance(value, dict):
            yield from (f"a pattern {wrong}" for text in value if (wrong := slow(text, LINEAR)))


def _members(value: object) -> Iterator[tuple[str, object]]:
    """Yield all members of all objects in *value*."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key), inner
            yield from _members(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _members(inner)
