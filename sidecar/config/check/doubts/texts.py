"""Doubts about texts: what other programs would replace stands there as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sidecar.config.problems import Path, Problem

_VARIABLE: Final = re.compile(r"(?<!\$)\$(?:[A-Za-z_]|\()|(?<![%A-Za-z0-9])%[A-Z_]{3,}%")
"""A shell's `$NAME` or `$(NAME)`, or `%NAME%`; references of ours begin with `${`."""
_TEMPLATES: Final = (("{{", "}}"), ("<%", "%>"))
_PROSE: Final = frozenset({"rules", "redact", "tasks", "shape"})
"""Settings with regular expressions and with texts for models, in which these may be meant."""


def of_texts(written: object) -> Iterator[Problem]:
    """Find variables and templates that nobody has replaced."""
    for path, text in _texts(written, ()):
        if _VARIABLE.search(text):
            yield Problem(
                path,
                "`$` is an ordinary character here; write ${env:NAME} for an environment variable",
            )
        elif any(end in text.partition(start)[2] for start, end in _TEMPLATES):
            yield Problem(
                path, "a template that nobody has rendered: `helm template` shows what it becomes"
            )


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _PROSE:
                yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))
