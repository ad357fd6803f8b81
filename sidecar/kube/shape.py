"""The parts of a pod that an injection looks at, and of which kind they have to be.

An API server has seen to that before a webhook is asked. A file may say anything.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import Struct

Tree = dict[str, Any]

_KINDS: Final = {
    "array": "a list",
    "object": "a mapping",
    "str": "a text",
    "int": "a number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
_ERROR: Final = re.compile(r"(.*?)(?: - at `(?:key` in `)?\$\.?([^`]*)`)?")
_MISTYPED: Final = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_MISSING: Final = re.compile(r"Object missing required field (`\w+`)")
_EACH: Final = "[...]"


class _Variable(Struct):
    name: str


class _Source(Struct):
    prefix: str | None = None


class _Port(Struct, rename="camel"):
    container_port: int | None = None


class _Mount(Struct, rename="camel"):
    mount_path: str = ""
    name: str | None = None


class _Container(Struct, rename="camel"):
    name: str = ""
    env: list[_Variable] | None = None
    env_from: list[_Source] | None = None
    ports: list[_Port] | None = None
    volume_mounts: list[_Mount] | None = None
    security_context: Tree | None = None


class _Volume(Struct):
    name: str | None = None


class _Expression(Struct):
    key: str | None = None


class _Term(Struct, rename="camel"):
    match_expressions: list[_Expression] | None = None


class _Required(Struct, rename="camel"):
    node_selector_terms: list[_Term] | None = None


class _NodeAffinity(Struct, rename="camel"):
    required_during_scheduling_ignored_during_execution: _Required | None = None


class _Affinity(Struct, rename="camel"):
    node_affinity: _NodeAffinity | None = None


class _Spec(Struct, rename="camel"):
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    volumes: list[_Volume] | None = None
    os: Tree | None = None
    node_selector: Tree | None = None
    affinity: _Affinity | None = None


class _Metadata(Struct):
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class _Pod(Struct):
    metadata: _Metadata | None = None
    spec: _Spec | None = None


def misshapen(pod: Tree) -> str | None:
    """Path and mistake of the first part that is not as a pod has it; None if there is none."""
    try:
        msgspec.convert(pod, _Pod)
    except msgspec.ValidationError as error:
        return _told(str(error), pod)
    return None


def _told(error: str, pod: Tree) -> str:
    """msgspec's message in a manifest's words."""
    said, path = re.fullmatch(_ERROR, error).groups("")  # type: ignore[union-attr]
    if mistyped := _MISTYPED.fullmatch(said):
        kinds = [_KINDS.get(kind, kind) for kind in mistyped[1].split(" | ") if kind != "null"]
        said = f"expected {' or '.join(kinds)}, got {_KINDS.get(mistyped[2], mistyped[2])}"
        if path.endswith(_EACH):
            path = _named(path.removesuffix(_EACH), pod)
            said += "; put it in quotes"
    elif missing := _MISSING.fullmatch(said):
        said = f"{missing[1]} is missing"
    return f"{path}: {said}"


def _named(path: str, pod: Tree) -> str:
    """*path* of a mapping of texts, with the key of what is none."""
    tree: Any = pod
    for key in path.split("."):
        tree = tree[key]
    wrong = next((key for key, value in tree.items() if not isinstance(value, str)), "")
    return f"{path}[{wrong}]"
