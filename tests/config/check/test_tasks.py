"""Mistakes in `tasks`."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.load import ConfigErrors, load
from tests.llm.tasks.worlds import text

BIG = {"model": "big"}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"route": "x"}, ".route: no such route"),
        ({"route": "c"}, ".route: a URL of upstream v needs a capture, and tasks have none"),
        ({"models": []}, ".models: "),
        ({"models": [{"model": ""}]}, ".models[0].model: expected 1 to 256"),
        ({"models": [{"model": "m", "up_to": "1KB"}]}, ".models[0].up_to: the last model must"),
        ({"models": [BIG, BIG]}, ".models[0]: takes any content: what follows gets none"),
        (
            {"models": [{**BIG, "up_to": "2KB"}, {**BIG, "up_to": "2KB"}, BIG]},
            ".models[1].up_to: not more than that of the model before",
        ),
        ({"models": [{**BIG, "up_to": "0B"}, BIG]}, ".models[0].up_to: must be more than zero"),
        ({"models": [{**BIG, "route": "rr"}]}, ".models[0].route: no such route"),
        ({"models": [{**BIG, "path": "x"}]}, ".models[0].path: must start with /"),
        ({"models": [{**BIG, "path": "/{x}"}]}, ".models[0].path: nothing is called {x} here: m"),
        ({"models": [{**BIG, "labels": {"a": ""}}]}, ".models[0].labels.a: expected 1 to 63"),
        ({"user": "no content"}, ".user: no prompt has {content} in it"),
        ({"user": "{content} {"}, ".user: has a brace by itself"),
        ({"user": "{contents}"}, ".user: nothing is called {contents} here: content"),
        ({"system": "{x}"}, ".system: nothing is called {x} here: content"),
        ({"inputs": {"x": "X"}}, ".inputs.x: no prompt has {x} in it"),
        ({"inputs": {"content": "X"}}, ".inputs.content: is what the caller's content is called"),
        ({"format": "schema"}, ".format: `schema` is missing"),
        ({"format": "xml"}, ".format: unknown value"),
        ({"schema": {"type": "strin"}}, ".schema: not a JSON schema (draft 2020-12), at type"),
        ({"schema": {"$ref": "http://x/"}}, ".schema: `$ref` must refer to the schema itself"),
        ({"schema": {"pattern": "(a+)+b"}}, ".schema: a `pattern` could take too long"),
        ({"schema": {"patternProperties": {"(a+)+b": {}}}}, ".schema: a pattern could take"),
        ({"temperature": 3}, ".temperature: expected a number from 0 to 2"),
        ({"lengths": {"short": 0}}, ".lengths.short: expected a whole number from 1"),
    ],
)
def test_a_mistake_is_told(change: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        load(text(**change), file="")
    found = caught.value.errors
    told = [f"{e.key}: {e.message}" + (f" ({e.suggestion})" if e.suggestion else "") for e in found]
    assert told[0].startswith(f"tasks.t{wrong}"), told


@pytest.mark.parametrize(
    "good",
    [
        {"system": "S", "user": "{content} {{}}"},
        {"system": "{content}", "user": "Do it."},
        {"inputs": {"x": "X"}, "system": "{x}"},
        {"format": "schema", "schema": {"$ref": "#/$defs/a", "$defs": {"a": {"pattern": "^a"}}}},
        {"models": [{"model": "m", "up_to": "1KB"}, {**BIG, "path": "/x/{model}", "route": "r"}]},
    ],
)
def test_good_tasks_are_taken(good: dict[str, Any]) -> None:
    assert set(load(text(**good), file="").config.tasks) == {"t"}
