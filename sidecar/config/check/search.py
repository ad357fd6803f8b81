"""Whether a regular expression is fit to search every prompt with."""

from __future__ import annotations

import importlib
from typing import Any, Final

from sidecar.config.check.regex import slow

_parser: Final[Any] = importlib.import_module("re._parser")
_LONGEST: Final = 1000
"""Characters that a match may have. So the time is linear, as each place is tried once."""


def unfit(text: str) -> str | None:
    """Return what is wrong with *text*; None if it is fit."""
    wrong = slow(text)
    if wrong is not None:
        return wrong
    least, most = _parser.parse(text).getwidth()
    if least == 0:
        return "must not match an empty text"
    if most > _LONGEST:
        return f"must match at most {_LONGEST:,} characters: write {{1,64}} instead of +"
    return None
