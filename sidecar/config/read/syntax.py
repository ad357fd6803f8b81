"""What is wrong with text that is no YAML, in words that say what to do.

libyaml tells where it stopped and which character it would have liked there. Most often the mistake
is where what it was reading began: a brace or a quote that nobody closed.
"""

from __future__ import annotations

import re
from typing import Final

import yaml

_UNKNOWN: Final = "bad syntax"
_AT_START: Final[tuple[tuple[str, str, str], ...]] = (
    (r"quoted scalar", r"end of stream", "the quote that begins here is not closed"),
    (r"flow (mapping|sequence)", r"expected ','|expected ', '",
     "the bracket that begins here is not closed, or a comma is missing in it"),
    (r"simple key", r"expected ':'", "a key needs a colon and a space after it, as `key: value`"),
    (r"alias|anchor", "", "a value that begins with * or & needs quotes"),
)  # fmt: skip
"""By what was being read, and the problem: it is told at the line where that began."""
_AT_END: Final[tuple[tuple[str, str], ...]] = (
    (r"mapping values are not allowed",
     "a second colon in a value needs quotes around the value; or the line is indented wrongly, or "
     "the one before lacks a space after its colon"),
    (r"expected <block end>|did not find expected key|expected '-' indicator",
     "the line is indented unlike those that it belongs to, or has a quote or bracket too many"),
    (r"undefined alias", "a value that begins with * is an alias, and needs quotes if it is none"),
    (r"cannot start any token", "a value that begins with this character needs quotes"),
    (r"violates indentation|'\\t'", "a tab cannot indent, use spaces"),
    (r"unknown escape", "a backslash in double quotes must be doubled; or use single quotes"),
)  # fmt: skip
"""By the problem: it is told where that was found."""


def told(text: str, error: yaml.YAMLError) -> tuple[int, str]:
    """Return the line (the first is 1) and what is wrong there."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a character that YAML does not allow
        position = getattr(error, "position", 0) or 0
        return text.count("\n", 0, position) + 1, "a control character"
    found = getattr(error, "problem", None) or _UNKNOWN
    context, began = getattr(error, "context", None) or "", getattr(error, "context_mark", None)
    if text[mark.index : mark.index + 1] == "\t":
        return _line(text, mark), "not YAML: a tab cannot indent, use spaces"
    for reading, problem, message in _AT_START:
        if began and re.search(reading, context) and re.search(problem, found):
            return _line(text, began), f"not YAML: {message}"
    for problem, message in _AT_END:
        if re.search(problem, found):
            return _line(text, mark), f"not YAML: {message}"
    return _line(text, mark), f"not YAML: {found}"


def _line(text: str, mark: yaml.Mark) -> int:
    # libyaml counts one more at an unexpected end.
    return min(int(mark.line), text.count("\n")) + 1
