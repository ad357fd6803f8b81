"""YAML text changed in as few places as can be: everything else stays as it was written.

From the tree that a text stands for and the tree that it is to stand for come insertions,
deletions and replacements, placed by the parser's marks. So comments, anchors, quotes, order and
line ends stay, and to take out what was put in gives the first text again. What the marks don't
tell, as where an alias stands, is a guess: the caller reads the text again, and compares.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import yaml

from sidecar.kube.yaml_text import block, compose, lists_are_indented
from sidecar.kube.yaml_text import flow as json_of

_ALIAS_VALUE: Final = re.compile(r"\s*:\s*(\*[^\s,\[\]{}]+)")
_ALIAS_ITEM: Final = re.compile(
    r"(?:[\s,\[]|:(?=\s)|-(?=\s)|#[^\n]*\n|&[^\s,\[\]{}]+(?=[\s,\[\]{}]))*(\*[^\s,\[\]{}]+)"
)
_COLON: Final = re.compile(r"\s*:")
_REST: Final = re.compile(r"(?:[ \t]+[&!][^\s,\[\]{}]+)*[ \t]*(?:(?<=[ \t])#[^\n]*?)?(?=\r?\n|\Z)")
"""What may follow a line's last token: an anchor or tag of what begins on the next, a comment."""
_DASH: Final = re.compile(r"( *)-[ \t]+")


class CanNot(Exception):
    """The text is written in a way that is not understood here."""


class _Entry(NamedTuple):
    """A key with its value, or an item: from its first character to the end of its last token."""

    node: yaml.Node
    start: int
    end: int
    opener: int
    """The end of what stands before the value: its key, or what is before the item."""
    alias: int | None
    """Where the alias stands, if it is one: the node's own marks are its anchor's."""


def edited(text: str, before: Any, after: Any) -> str:
    """*text*, which reads as *before*, changed to read as *after*. Raise CanNot."""
    root = compose(text)
    if root is None:
        raise CanNot
    editor = _Editor(text)
    whole = _Entry(root, 0, 0, 0, alias=None)
    editor.change(whole, before, after)
    if "*" in text:
        editor.keep_aliases(whole, before)
    return editor.done()


class _Editor:
    def __init__(self, text: str) -> None:
        self.text = text
        self.newline = "\r\n" if "\r\n" in text else "\n"
        self.indented = lists_are_indented(text)
        self.edits: list[tuple[int, int, str]] = []
        self.changed: dict[int, Any] = {}
        """What nodes were changed to: their aliases are changed with them."""
        self.settled: set[int] = set()
        """Where aliases stand that are as they are to be."""

    def done(self) -> str:
        parts, at = [], 0
        for start, end, new in sorted(self.edits, key=lambda edit: edit[:2]):
            if start < at:
                raise CanNot
            parts += [self.text[at:start], new]
            at = end
        return "".join([*parts, self.text[at:]])

    def change(self, entry: _Entry, before: Any, after: Any) -> None:
        if before == after:
            return
        node = entry.node
        if entry.alias is not None:
            self.settled.add(entry.alias)
            if self.changed.get(id(node)) != after:
                self.edits.append((entry.alias, entry.end, flow(after)))
            return
        self.changed[id(node)] = after
        if isinstance(node, yaml.MappingNode) and isinstance(after, dict):
            self.mapping(entry, before, after)
        elif isinstance(node, yaml.SequenceNode) and isinstance(after, list):
            self.sequence(entry, before, after)
        elif isinstance(node, yaml.ScalarNode) and node.style not in ("|", ">"):
            start, end = node.start_mark.index, node.end_mark.index
            self.edits.append((start, end, flow(after) if start < end else f" {flow(after)}"))
        else:
            raise CanNot

    def keep_aliases(self, entry: _Entry, before: Any) -> None:
        """Write out the aliases that are to stay as they are although their anchors change."""
        if entry.alias is not None:
            if (
                self.changed.get(id(entry.node), before) != before
                and entry.alias not in self.settled
            ):
                self.edits.append((entry.alias, entry.end, flow(before)))
        elif isinstance(entry.node, yaml.SequenceNode):
            for own, value in zip(self.entries(entry), before, strict=True):
                self.keep_aliases(own, value)
        elif isinstance(entry.node, yaml.MappingNode):
            for (key, _), own in zip(entry.node.value, self.entries(entry), strict=True):
                if key.value in before:
                    self.keep_aliases(own, before[key.value])

    def mapping(self, entry: _Entry, before: dict[Any, Any], after: dict[Any, Any]) -> None:
        entries = self.entries(entry)
        keys = [key.value for key, _ in entry.node.value]
        gone = {key for key in before if key not in after}
        if len(set(keys)) < len(keys) or gone - set(keys):
            raise CanNot  # said twice, or merged from elsewhere
        for key, own in zip(keys, entries, strict=True):
            if key in before and key in after:
                self.change(own, before[key], after[key])
        self.remove(entry, entries, [key in gone for key in keys])
        # What is merged from elsewhere stays there, unless it changes here.
        merged = {key: value for key, value in before.items() if key not in keys}
        new = {
            key: value
            for key, value in after.items()
            if key not in keys and (key not in merged or merged[key] != value)
        }
        if not new:
            return
        if _in_flow(entry.node):
            said = ", ".join(f"{flow(key)}: {flow(value)}" for key, value in new.items())
            self.put_in_flow(entry, entries, len(entries), said)
        else:
            column = entry.node.value[0][0].start_mark.column
            self.put_lines(entries[-1].end, " " * column, new)

    def sequence(self, entry: _Entry, before: list[Any], after: list[Any]) -> None:
        entries = self.entries(entry)
        gone = [True] * len(entries)
        new: dict[int, list[Any]] = {}
        at = 0
        for value in after:
            names = map(_name, before[at:])
            found = next((i for i, name in enumerate(names, at) if name == _name(value)), None)
            if found is None:
                new.setdefault(at, []).append(value)
                continue
            self.change(entries[found], before[found], value)
            gone[found] = False
            at = found + 1
        self.remove(entry, entries, gone)
        for place, values in new.items():
            if _in_flow(entry.node):
                self.put_in_flow(entry, entries, place, ", ".join(map(flow, values)))
            else:
                before_it = entries[place - 1].end if place else self.colon(entry)
                self.put_lines(before_it, self.dashes(entries), values)

    # -- where things stand --

    def entries(self, entry: _Entry) -> list[_Entry]:
        """The entries of a collection, in order."""
        found: list[_Entry] = []
        at = entry.opener
        for each in entry.node.value:
            if isinstance(each, tuple):
                key, value = each
                start, opener = key.start_mark.index, key.end_mark.index
            else:
                value, opener = each, at
                start = value.start_mark.index
            alias = None
            if value.start_mark.index < opener:
                if isinstance(each, tuple):
                    seen = _ALIAS_VALUE.match(self.text, opener)
                else:
                    seen = _ALIAS_ITEM.match(self.text, opener)
                if not seen:
                    raise CanNot
                alias, end = seen.span(1)
                start = start if isinstance(each, tuple) else alias
            else:
                end = self.end(_Entry(value, start, start, opener, alias=None))
            found.append(_Entry(value, start, end, opener, alias))
            at = end
        return found

    def end(self, entry: _Entry) -> int:
        """The end of a node's last token. A block's own mark is where the next token begins."""
        node = entry.node
        end = int(node.end_mark.index)
        if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
            return self.entries(entry)[-1].end
        if isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            return len(self.text[:end].rstrip())
        return end

    def colon(self, entry: _Entry) -> int:
        """The end of the colon before a block."""
        found = _COLON.match(self.text, entry.opener)
        if not found:
            raise CanNot
        return found.end()

    def line_end(self, at: int) -> int:
        """The end of the line, if nothing but a comment follows there."""
        found = _REST.match(self.text, at)
        if not found:
            raise CanNot
        return found.end()

    def dashes(self, entries: list[_Entry]) -> str:
        """What stands before the dashes of a block's items."""
        for entry in entries:
            line = self.text.rfind("\n", 0, entry.start) + 1
            found = _DASH.fullmatch(self.text, line, entry.start)
            if found:
                return found[1]
        raise CanNot

    # -- what changes --

    def remove(self, entry: _Entry, entries: list[_Entry], gone: list[bool]) -> None:
        """Remove each run of entries that are gone."""
        if gone and all(gone):
            if not _in_flow(entry.node):
                raise CanNot  # there is no empty block
            self.edits.append((entries[0].start, entries[-1].end, ""))
            return
        index = 0
        while index < len(entries):
            first = index
            while index < len(entries) and gone[index]:
                index += 1
            if first < index:
                self.edits.append((*self.span(entry, entries, first, index), ""))
            index += 1

    def span(self, entry: _Entry, entries: list[_Entry], first: int, after: int) -> tuple[int, int]:
        """From where to where the entries *first* to *after* stand, with what separates them."""
        in_flow = _in_flow(entry.node)
        if first == 0 and (in_flow or isinstance(entry.node, yaml.MappingNode)):
            return entries[0].start, entries[after].start
        start = entries[first - 1].end if first else self.colon(entry)
        end = entries[after - 1].end
        return (start, end) if in_flow else (self.line_end(start), self.line_end(end))

    def put_in_flow(self, entry: _Entry, entries: list[_Entry], place: int, said: str) -> None:
        if place:
            at, said = entries[place - 1].end, f", {said}"
        elif entries:
            at, said = entries[0].start, f"{said}, "
        else:
            at = int(entry.node.end_mark.index) - 1
        self.edits.append((at, at, said))

    def put_lines(self, at: int, indent: str, value: Any) -> None:
        """Put *value* on lines of its own, after the one on which *at* is."""
        at = self.line_end(at)
        lines = block(value, indented=self.indented).rstrip("\n").split("\n")
        self.edits.append((at, at, "".join(f"{self.newline}{indent}{line}" for line in lines)))


def flow(value: Any) -> str:
    """*value* in one line. Raise CanNot for what JSON has no words for, as a set or bytes."""
    try:
        return json_of(value)
    except (TypeError, ValueError) as error:
        raise CanNot from error


def _in_flow(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _name(item: Any) -> Any:
    """What an item is recognised by: its name, as in all lists of containers and volumes."""
    return ("name", item.get("name")) if isinstance(item, dict) else item
