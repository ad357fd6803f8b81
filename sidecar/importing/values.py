"""What stands in LiteLLM's file, as far as it makes sense: anything may stand anywhere."""

from __future__ import annotations

import re
from typing import Any, Final

from sidecar.config.check import urls
from sidecar.config.problems import locate
from sidecar.config.read import tree

_NUMBER: Final = re.compile(
    r"[-+]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][-+]?[0-9]{1,3})?"
)
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST: Final = 256
"""Characters of a model's name."""
ENVIRONMENT: Final = "os.environ/"


def read(text: str, file: str) -> object:
    """Return what *text* says in plain values, with keys that are texts. Raise ConfigErrors.

    It is read as our own files are, so size and depth are bounded, and mistakes have a line. Only
    what YAML 1.1 reads otherwise than it looks is a text here, and no mistake: LiteLLM takes it.
    """
    try:
        read = tree.read(text)
    except tree.Unreadable as error:
        raise locate([error.problem], {}, file) from None
    wrong = [problem for problem in read.problems if problem.message != tree.QUOTE]
    if wrong:
        raise locate(wrong, read.lines, file)
    return read.root


def number(told: object, least: float, most: float) -> float | None:
    """Return the number that *told* says, also as a text; None if it is none from *least* on."""
    if isinstance(told, str) and _NUMBER.fullmatch(told):
        told = float(told)
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return float(told) if least <= told <= most else None


def checked(notes: list[str], where: str, told: object, least: float, most: float) -> float | None:
    """Return the number that *told* says, or have *notes* say that it is left out."""
    value = number(told, least, most)
    if value is None:
        notes.append(f"{where} is left out: expected a number from {least:g} to {most:g}")
    return value


def is_on(told: object) -> bool:
    """Whether *told* is true, also as YAML 1.1 writes it."""
    return told is True or (isinstance(told, str) and told.lower() in ("true", "yes", "on"))


def is_name(told: object) -> bool:
    """Whether *told* can be the name of a model."""
    return (
        isinstance(told, str)
        and 0 < len(told) <= _LONGEST
        and told.isprintable()
        and told == told.strip()
    )


def variable(told: str) -> str | None:
    """Return the variable that stands for a value; None if *told* is the value itself."""
    name = told.removeprefix(ENVIRONMENT)
    return name if name != told and _VARIABLE.fullmatch(name) else None


def literal(text: str) -> str:
    """Return *text* as our files write it, where `${` begins a reference."""
    return text.replace("${", "$${")


def is_url(told: str) -> bool:
    """Whether *told* can be the address of an endpoint."""
    return "{" not in told and urls.url(told) is None


def mapping(of: Any, key: str) -> dict[str, Any]:
    """Return what stands at *key*, {} if that is no mapping."""
    told = of.get(key)
    return told if isinstance(told, dict) else {}


def printable(text: str) -> str:
    """Return *text* for a terminal and for a comment."""
    return "".join(
        each if each.isprintable() or each == "\n" else each.encode("unicode_escape").decode()
        for each in text
    )


def shown(told: object) -> str:
    """Return *told* if it can be a name; else what it is: it may be large."""
    return told if isinstance(told, str) else f"(a {type(told).__name__})"
