"""Whatever the text, `load` returns or raises ConfigErrors, and shows no secret."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.defaults import packaged
from sidecar.config.load import ConfigErrors, load
from sidecar.config.problems import Path
from sidecar.config.read.references import Kind

SECRET = "s3cr3t-Value"
EXAMPLE = packaged("example.yaml")
TREE: Any = yaml.safe_load(EXAMPLE)


def resolve(kind: Kind, name: str) -> str:
    return SECRET


def told(text: str) -> str | None:
    """The errors, in every form that anyone may see; None when there are none."""
    try:
        load(text, file="x.yaml", resolve=resolve)
    except ConfigErrors as errors:
        return f"{errors} {errors!r}"
    return None


@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    told(text)


PIECES = [
    "a", "listeners", "routes", "upstreams", "openai", ": ", "- ", "? ", "\n", "\n  ", "{", "}",
    "[", "]", ", ", "&x ", "*x ", "<<: ", "!!int ", "! ", "'", '"', "|\n", ">\n", "no", "1", "0x1",
    "1e3", "1:2:3", "~", "${env:A}", "${file:b}", "$${", "${", "# ", "---\n", "...\n",
    "%YAML 1.1\n", "\t", "\0", "\ud800", "é",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_yaml(text: str) -> None:
    told(text)


def places(tree: Any, path: Path = ()) -> list[Path]:
    found = [path]
    for key, item in tree.items() if isinstance(tree, dict) else enumerate(tree):
        found += places(item, (*path, key)) if isinstance(item, dict | list) else [(*path, key)]
    return found


def replaced(tree: Any, path: Path, value: object) -> Any:
    if not path:
        return value
    copy = tree.copy()
    copy[path[0]] = replaced(tree[path[0]], path[1:], value)
    return copy


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars | st.sampled_from(["0s", "1h", "5MiB", "/", "https://x", "127.0.0.1:1", "${env:A}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(PIECES), inner, max_size=3)
    ),
    max_leaves=5,
)


references = st.sampled_from(["${env:A}", "Bearer ${file:b}", "x ${env:A}\n", "${env:A}:14001"])


def with_changes(changes: Sequence[tuple[Path, object]]) -> Any:
    tree = TREE
    for path, value in changes:
        with suppress(LookupError, TypeError, AttributeError):  # an earlier one took the place away
            tree = replaced(tree, path, value)
    return tree


@given(st.lists(st.tuples(st.sampled_from(places(TREE)), values), min_size=1, max_size=3))
def test_any_value_anywhere(changes: list[tuple[Path, object]]) -> None:
    # What msgspec refuses, the schema must refuse too: else nobody could say what is wrong.
    assert "does not fit the schema" not in (told(yaml.safe_dump(with_changes(changes))) or "")


@given(st.lists(st.tuples(st.sampled_from(places(TREE)), references), min_size=1, max_size=5))
def test_no_error_shows_a_secret(changes: list[tuple[Path, str]]) -> None:
    assert SECRET not in (told(yaml.safe_dump(with_changes(changes))) or "")


@pytest.mark.parametrize("text", ["${env:A}", "Bearer ${file:b}", "x${env:A}"])
def test_no_repr_shows_a_credential(text: str) -> None:
    credentials = ("upstreams", "openai", "credentials", "value")
    header = ("routes", 1, "match", "headers", "x-team")
    tree = with_changes([(credentials, text), (header, text)])
    loaded = load(yaml.safe_dump(tree), file="x.yaml", resolve=resolve)
    assert loaded.config.routes[1].match.headers["x-team"].endswith(SECRET)
    assert SECRET not in f"{loaded} {loaded!r} {loaded.shown}"
