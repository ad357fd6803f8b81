"""Manifests as text: find the pods in them, change these, leave all else as it is written."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import yaml

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
_BETWEEN: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)


class BadManifest(ValueError):
    """The text is not YAML, or not Kubernetes'."""


class _Loader(yaml.CSafeLoader):
    """Reads what Go's YAML reads: 12:30 is no number, and a date is a text."""


class _Dumper(yaml.CSafeDumper):
    """Writes lists that are shared in the tree twice, not as an anchor and an alias."""

    def ignore_aliases(self, data: object) -> bool:
        """Never."""
        return True


_INT: Final = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT: Final = re.compile(
    r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|\.inf)"
)
_OTHERS: Final = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHERS]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_OTHERS[0], re.compile(f"{_INT.pattern}$"), list("-+0123456789"))
_Loader.add_implicit_resolver(_OTHERS[1], re.compile(f"{_FLOAT.pattern}$"), list("-+0123456789."))


def rewrite(text: str, change: Change) -> tuple[str, list[str]]:
    """*text* with *change* made to every pod in it, and all remarks, which it has as comments too.

    A document that does not change is written as it was, with its comments.
    """
    remarks: list[str] = []
    first, *others = _BETWEEN.split(text)
    made = [_rewritten(first, "", change, remarks)]
    made += [_rewritten(each, "\n", change, remarks) for each in others]
    return "---".join(made), remarks


def _rewritten(document: str, lead: str, change: Change, remarks: list[str]) -> str:
    lines = document.splitlines(keepends=True)
    plain = "".join(line for line in lines if not line.startswith(_REMARK))
    try:
        tree = yaml.load(plain, _Loader)  # noqa: S506 (a subclass of the safe one)
    except yaml.YAMLError as error:
        raise BadManifest(str(error)) from error
    if tree is None:
        return plain
    if not isinstance(tree, dict):
        raise BadManifest("a document is not a mapping with apiVersion and kind")
    said: list[str] = []
    changed = _changed(tree, change, said)
    remarks += said
    if changed != tree:
        plain = yaml.dump(changed, Dumper=_Dumper, sort_keys=False)
    elif not said:
        return plain
    notes = "".join(f"{_REMARK}{remark}\n" for remark in said)
    return lead + notes + re.sub(r"\A\s*\n", "", plain)


def _changed(tree: Tree, change: Change, remarks: list[str]) -> Tree:
    kind = str(tree.get("kind"))
    if kind.endswith("List") and isinstance(tree.get("items"), list):
        return tree | {"items": [_changed(item, change, remarks) for item in tree["items"]]}
    path = _TEMPLATES.get(kind)
    if path is None:
        return tree
    metadata = tree.get("metadata") or {}
    name = f"{kind} {metadata.get('name') or metadata.get('generateName')}"
    pod = _at(tree, path, name)
    changed, said = change(pod)
    remarks += [f"{name}: {each}" for each in said]
    return tree if changed == pod else _with(tree, path, changed)


def _at(tree: Tree, path: tuple[str, ...], name: str) -> Tree:
    for key in path:
        tree = tree.get(key) or {}
        if not isinstance(tree, dict):
            raise BadManifest(f"{name}: {'.'.join(path)} is not a mapping")
    return tree


def _with(tree: Tree, path: tuple[str, ...], pod: Tree) -> Tree:
    if not path:
        return pod
    return tree | {path[0]: _with(tree[path[0]], path[1:], pod)}
