"""YAML as Kubernetes reads it (Go's YAML, a part of 1.1 and of 1.2), in texts and trees."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import yaml

MAX_DEPTH: Final = 100
"""Objects of Kubernetes are 20 deep. More would overrun the stack of libyaml's composer."""
MAX_NODES: Final = 1_000_000
"""A few lines of aliases can stand for billions."""


class _Loader(yaml.CSafeLoader):
    """Reads what Go's YAML reads: 12:30 is no number, and a date is a text."""


class _Dumper(yaml.SafeDumper):
    """Quotes whatever Go's YAML may take for a number, and writes shared values twice."""

    indented = False

    def ignore_aliases(self, data: object) -> bool:
        """Never write an anchor and an alias."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Lists stand at their key's column, or deeper."""
        super().increase_indent(flow, indentless and not self.indented)


class _Indented(_Dumper):
    indented = True


_INT: Final = re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)")
_FLOAT: Final = re.compile(
    r"\A[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|\.inf)"
)
_OTHERS: Final = tuple(f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in _OTHERS]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_OTHERS[0], re.compile(f"{_INT.pattern}$"), list("-+0123456789"))
_Loader.add_implicit_resolver(_OTHERS[1], re.compile(f"{_FLOAT.pattern}$"), list("-+0123456789."))
_LIKE_NUMBERS: Final = re.compile(r"\A[-+]?\.?[0-9][0-9a-fA-FoOxX_.:eE+-]*$")
_Dumper.add_implicit_resolver("!number", _LIKE_NUMBERS, list("-+.0123456789"))
_KEY: Final = re.compile(r"[^\s#:][^:]*:(?:[ \t]|\Z)")


def read(text: str) -> Any:
    """What one document of *text* stands for. Raise yaml.YAMLError."""
    inside: list[tuple[str | None, int]] = []
    """The anchors of all collections that are open, and how many nodes there were before each."""
    nodes = 0
    sizes: dict[str | None, int] = {}
    """Nodes that anchors stand for, with aliases written out."""
    for event in yaml.parse(text, _Loader):
        wrong = None
        nodes += isinstance(event, yaml.NodeEvent)
        if isinstance(event, yaml.CollectionStartEvent):
            inside.append((event.anchor, nodes))
            if len(inside) > MAX_DEPTH:
                wrong = f"nested deeper than {MAX_DEPTH} levels"
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = inside.pop()
            if anchor is not None:
                sizes[anchor] = nodes - before
        elif isinstance(event, yaml.AliasEvent):
            nodes += sizes.get(event.anchor, 0)
            if any(event.anchor == anchor for anchor, _ in inside):
                wrong = f"the alias *{event.anchor} stands for what it is in"
            elif nodes > MAX_NODES:
                wrong = f"more than {MAX_NODES} values, aliases written out"
        if wrong:
            mark: Any = event.start_mark
            raise yaml.MarkedYAMLError(problem=wrong, problem_mark=mark)
    return yaml.load(text, _Loader)  # noqa: S506 (a subclass of the safe one)


def compose(text: str) -> yaml.Node | None:
    """The nodes of one document, with their marks; None if there are none."""
    return yaml.compose(text, _Loader)


def lists_are_indented(text: str) -> bool:
    """Whether the first list that follows a key in lines stands deeper than its key."""
    key: int | None = None
    for line in text.replace("\r\n", "\n").split("\n"):
        said = line.lstrip(" ")
        column = len(line) - len(said)
        if key is not None and said.startswith("- "):
            return column > key
        if said and said[0] != "#":
            key = column if _KEY.match(said) else None
    return False


def block(value: Any, *, indented: bool) -> str:
    """*value* in lines. *indented*: lists stand deeper than their keys."""
    dumper = _Indented if indented else _Dumper
    return yaml.dump(
        value, Dumper=dumper, sort_keys=False, width=2**20, allow_unicode=True, indent=2
    )


def flow(value: Any) -> str:
    """*value* in one line of JSON, which is YAML too."""
    return json.dumps(value, ensure_ascii=False)
