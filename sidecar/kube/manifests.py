"""Manifests as text: find the pods in them, change these, leave all else as it is written."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final

import yaml

from sidecar.kube.settings import BadSettings
from sidecar.kube.shape import misshapen
from sidecar.kube.yaml_edit import CanNot, edited
from sidecar.kube.yaml_text import block, read

Tree = dict[str, Any]
Change = Callable[[Tree], tuple[Tree, list[str]]]
"""From a pod (or a template of one) to the changed one, and remarks for its owner."""

_TEMPLATES: Final[dict[str, tuple[str, ...]]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where a kind has its pod."""
_REMARK: Final = "# llm-sidecar: "
_REMARKS: Final = re.compile(rf"^{_REMARK}[A-Z][^\n]*(?:\n|\Z)", re.MULTILINE)
_BETWEEN: Final = re.compile(r"^---(?=\s|\Z)", re.MULTILINE)
_DIRECTIVES: Final = re.compile(r"(?:[ \t]*(?:[%#][^\n]*)?(?:\n|\Z))*")
_BOM: Final = "\ufeff"


class BadManifest(ValueError):
    """The text is not YAML, or not Kubernetes'. The message says where."""


class _Wrong(Exception):
    """What is wrong with an object; the message has its kind and name, and a path in it."""


def rewrite(text: str, change: Change) -> tuple[str, list[str]]:
    """*text* with *change* made to every pod in it, and all remarks, which it has as comments too.

    What does not change is written as it was, with its comments. Raise BadManifest.
    """
    bom = text[: text.startswith(_BOM)]
    remarks: list[str] = []
    made: list[str] = []
    line, number = 0, 0
    for index, document in enumerate(_BETWEEN.split(text.removeprefix(bom))):
        plain = _REMARKS.sub("", document)
        try:
            tree = _read(document)
            number += tree is not None
            made.append(_rewritten(plain, tree, change, remarks, first=index == 0))
        except yaml.YAMLError as error:
            told = _told(error, line, line + document.count("\n"))
            raise BadManifest(f"document {number + 1}, {told}") from error
        except (_Wrong, BadSettings) as error:
            raise BadManifest(f"document {number}: {error}") from error
        line += document.count("\n")
    return bom + "---".join(made), remarks


def _read(document: str) -> Any:
    if "%" in document and _DIRECTIVES.fullmatch(document):
        return None  # of the document that begins after the next `---`
    return read(document)


def _told(error: yaml.YAMLError, line: int, last: int) -> str:
    """The mistake in a document that begins after *line*; libyaml counts one more at the end."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a character that YAML does not allow
        return f"after line {line + 1}: {getattr(error, 'reason', None) or error}"
    parts = (getattr(error, "context", None), getattr(error, "problem", None))
    return f"line {min(line + mark.line, last) + 1}: {', '.join(part for part in parts if part)}"


def _rewritten(plain: str, tree: Any, change: Change, remarks: list[str], *, first: bool) -> str:
    if tree is None:
        return plain
    if not isinstance(tree, dict):
        raise _Wrong("expected a mapping with apiVersion and kind")
    said: list[str] = []
    changed = _changed(tree, change, said)
    remarks += said
    if changed != tree:
        try:
            new = edited(plain, tree, changed)
            if read(new) != changed:
                raise CanNot
        except (CanNot, yaml.YAMLError):
            remarks.append(f"{_name(tree)}: had to be written anew, without its comments")
            new = _anew(changed, first=first, as_json=_is_json(plain))
        plain = new
    return plain if _is_json(plain) else _with_notes(plain, said, first=first)


def _anew(tree: Tree, *, first: bool, as_json: bool) -> str:
    lead = "" if first else "\n"
    if as_json:
        return f"{lead}{json.dumps(tree, indent=2, ensure_ascii=False)}\n"
    return f"{lead}{block(tree, indented=False)}"


def _is_json(document: str) -> bool:
    """Whether a comment may be one too many."""
    return document.lstrip().startswith("{")


def _with_notes(document: str, said: list[str], *, first: bool) -> str:
    """*document* with the remarks as its first lines; after `---`, these begin with the next."""
    if not said:
        return document
    newline = "\r\n" if "\r\n" in document else "\n"
    at = 0 if first else document.find("\n") + 1
    if not first and (at == 0 or document[:at].split("#", 1)[0].strip()):
        return document  # it begins beside the dashes
    notes = "".join(f"{_REMARK}{remark}{newline}" for remark in said)
    return document[:at] + notes + document[at:]


def _changed(tree: Tree, change: Change, remarks: list[str]) -> Tree:
    kind = str(tree.get("kind"))
    if kind.endswith("List") and isinstance(tree.get("items"), list):
        return tree | {"items": [*_changed_items(tree["items"], kind, change, remarks)]}
    path = _TEMPLATES.get(kind)
    if path is None:
        return tree
    name = _name(tree)
    pod = _at(tree, path, name)
    if wrong := misshapen(pod):
        raise _Wrong(f"{name}: {'.'.join((*path, wrong))}")
    try:
        changed, said = change(pod)
    except BadSettings as error:
        where = ".".join((*path, "metadata.annotations"))
        raise _Wrong(f"{name}: {where}: {error}") from error
    remarks += [f"{name}: {each}" for each in said]
    return tree if changed == pod else _with(tree, path, changed)


def _changed_items(items: list[Any], kind: str, change: Change, remarks: list[str]) -> list[Tree]:
    made = []
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            raise _Wrong(f"{kind}: items[{index}] is not a mapping with apiVersion and kind")
        try:
            made.append(_changed(item, change, remarks))
        except _Wrong as error:
            raise _Wrong(f"items[{index}]: {error}") from error
    return made


def _name(tree: Tree) -> str:
    """Kind and name of an object."""
    metadata = tree.get("metadata")
    own = metadata if isinstance(metadata, dict) else {}
    return f"{tree.get('kind')} {own.get('name') or own.get('generateName') or 'without a name'}"


def _at(tree: Tree, path: tuple[str, ...], name: str) -> Tree:
    for index, key in enumerate(path):
        tree = tree.get(key) or {}
        if not isinstance(tree, dict):
            raise _Wrong(f"{name}: {'.'.join(path[: index + 1])} is not a mapping")
    return tree


def _with(tree: Tree, path: tuple[str, ...], pod: Tree) -> Tree:
    if not path:
        return pod
    return tree | {path[0]: _with(tree.get(path[0]) or {}, path[1:], pod)}
