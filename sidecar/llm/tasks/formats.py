"""The formats of a task's answer: what the model is told, and whether it did so.

JSON schemas are checked by jsonschema, which the sidecar has anyway to explain mistakes in its
configuration. It is imported with the first schema, because it takes much memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

_FENCE: Final = re.compile(r"\A```[a-zA-Z]{0,16}\n(.*)\n```\Z", re.DOTALL)
_BULLET: Final = re.compile(r"(?:[-*+\u2022]|\d{1,3}[.)])\s")
_decode: Final = msgspec.json.Decoder().decode
_LONGEST: Final = 300
"""Characters of what a check says."""


class Checked(NamedTuple):
    """An answer that was checked."""

    output: object
    """The text, or the JSON value."""
    wrong: str | None = None
    """Why it is not in its format."""


class Format(NamedTuple):
    """A format."""

    name: str
    instruction: str
    """For the model; empty: none."""
    check: Callable[[str], Checked]


def _text(text: str) -> Checked:
    return Checked(text) if text.strip() else Checked(text, "the answer is empty")


def _bullets(text: str) -> Checked:
    """Each line begins with a bullet or a number, or continues the one before (it is indented)."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return Checked(text, "the answer is empty")
    for number, line in enumerate(lines):
        begins = _BULLET.match(line.lstrip()) is not None
        if not begins and (number == 0 or line[:1] not in " \t"):
            return Checked(text, "the answer is not a list of bullet points")
    return Checked(text)


def _json(text: str) -> Checked:
    """A fence around the whole answer is not part of it."""
    fenced = _FENCE.match(text.strip())
    try:
        return Checked(_decode(fenced[1] if fenced else text))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return Checked(text, "the answer is not valid JSON")


TEXT: Final = Format("text", "", _text)
BULLETS: Final = Format(
    "bullet_points", "Answer with bullet points only, each on a line that begins with - .", _bullets
)
JSON: Final = Format(
    "json", "Answer with one valid JSON value only, without any text around it.", _json
)
BUILT_IN: Final[Mapping[str, Format]] = {each.name: each for each in (TEXT, BULLETS, JSON)}


def of_schema(schema: Mapping[str, Any]) -> Format:
    """Return the format `schema`: JSON that is valid under *schema* (draft 2020-12)."""
    # Late: it takes more memory than all the rest of the configuration.
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # With a registry of its own, no reference makes it open a URL.
    validator = Draft202012Validator(dict(schema), registry=Registry())

    def check(text: str) -> Checked:
        found = _json(text)
        if found.wrong is not None:
            return found
        error = next(validator.iter_errors(found.output), None)
        if error is None:
            return found
        return Checked(text, _unfit(error))

    written = msgspec.json.encode(schema).decode()
    told = f"Answer with one JSON value only, which is valid under this JSON schema: {written}"
    return Format("schema", told, check)


def _unfit(error: Any) -> str:
    """Return what does not hold, without a value of the answer: it may get into logs."""
    place = error.json_path if error.absolute_path else "the answer"
    wanted = msgspec.json.encode(error.validator_value).decode()
    return f"{place} does not fit `{error.validator}: {wanted}`"[:_LONGEST]


def schema_problem(schema: Mapping[str, Any]) -> str | None:
    """Return what is wrong with *schema* as such; None: nothing is."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        path = ".".join(map(str, error.absolute_path))
        return f"not a JSON schema (draft 2020-12){f', at {path}' if path else ''}"
    return None
