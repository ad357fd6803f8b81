"""Texts with `{name}` in them. Braces in what is put in mean nothing: it is not looked at again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_TOKEN: Final = re.compile(r"\{\{|\}\}|\{(\w{1,64})\}|[{}]", re.ASCII)


class Template:
    """A text with placeholders. `{{` and `}}` are braces."""

    def __init__(self, text: str) -> None:
        """Raise ValueError for a brace that is neither doubled nor around a name."""
        self._literals: list[str] = []
        """The texts before, between and behind the placeholders."""
        self._names: list[str] = []
        literal, at = "", 0
        for token in _TOKEN.finditer(text):
            literal += text[at : token.start()]
            at = token.end()
            if token[0] in "{}":
                raise ValueError("has a brace by itself: write {{ or }} for one")
            if token[1] is None:
                literal += token[0][0]
                continue
            self._literals.append(literal)
            self._names.append(token[1])
            literal = ""
        self._literals.append(literal + text[at:])

    def __repr__(self) -> str:
        return f"<Template of {', '.join(self._names) or 'nothing'}>"

    @property
    def names(self) -> frozenset[str]:
        """The names of its placeholders."""
        return frozenset(self._names)

    def fill(self, values: Mapping[str, str]) -> str:
        """Return the text with *values*, which must have all names, in it."""
        parts = [self._literals[0]]
        for name, literal in zip(self._names, self._literals[1:], strict=True):
            parts += (values[name], literal)
        return "".join(parts)
