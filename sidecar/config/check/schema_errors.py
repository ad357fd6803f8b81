"""Finds everything in a tree that does not fit the JSON schema, and says so in words of our own.

Used once msgspec, which stops at the first error, has refused the tree. jsonschema costs memory and
start-up time, and its messages quote values: it is imported late, and its messages are not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import islice
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from sidecar.config.problems import MAX_SHOWN, Path, Problem, closest, listed
from sidecar.config.schema import schema

Error = Any
"""A jsonschema ValidationError; its stubs take every attribute for possibly unset."""

_NOUNS: Final = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping (`key: value`)",
    "array": "a list (`- item`)",
    "null": "null",
}
_FOUND: Final = {dict: "a mapping", list: "a list", type(None): "nothing"}


def explain(root: object) -> list[Problem]:
    """Find problems of types, keys and ranges in *root*, at most as many as can be shown."""
    problems = (p for error in _validator().iter_errors(root) for p in _problems(error))
    return list(islice(problems, 2 * MAX_SHOWN))


@cache
def _validator() -> Any:
    # JSON's 5.0 is an integer for jsonschema, but not for msgspec.
    types = Draft202012Validator.TYPE_CHECKER.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    return extend(Draft202012Validator, type_checker=types)(schema())  # type: ignore[no-untyped-call]


def _problems(error: Error) -> Iterator[Problem]:
    write = _WRITERS.get(str(error.validator))
    if write is not None:
        yield from write(error, tuple(error.absolute_path))
    else:
        yield Problem(tuple(error.absolute_path), _but(error))


def _alternatives(error: Error, path: Path) -> Iterator[Problem]:
    """Explain `anyOf`: look into the alternatives of the right type, if there are any."""
    mistyped = {e.schema_path[0] for e in error.context or () if _is_mistyped(e)}
    inner = [e for e in error.context or () if e.schema_path[0] not in mistyped]
    for each in inner:
        yield from _problems(each)
    if not inner:
        yield Problem(path, _but(error))


def _is_mistyped(error: Error) -> bool:
    """Whether the alternative is for another kind of value: only texts are spelt wrongly."""
    of_kind = error.validator == "enum" and isinstance(error.instance, str)
    return error.validator in ("type", "enum") and not error.path and not of_kind


def _unknown(error: Error, path: Path) -> Iterator[Problem]:
    known = tuple(error.schema["properties"])
    for key in error.instance:
        if key not in known:
            yield Problem((*path, key), "unknown key", key, known)


def _missing(error: Error, path: Path) -> Iterator[Problem]:
    """Find missing keys, but for those of which an unknown key is a misspelling.

    jsonschema has an error for each but names the key in its message alone: `locate` drops repeats.
    """
    known = error.schema["properties"]
    unknown = [key for key in error.instance if key not in known]
    meant = {closest(key, known) for key in unknown[:MAX_SHOWN]}
    for key in error.validator_value:
        if key not in error.instance and key not in meant:
            expected = _expected(_resolved(known[key]))
            yield Problem((*path, key), f"missing; expected {expected}")


def _enumerated(error: Error, path: Path) -> Iterator[Problem]:
    known = tuple(map(str, error.validator_value))
    wrong = error.instance if isinstance(error.instance, str) else ""
    yield Problem(path, "unknown value", wrong, known)


def _misspelt(error: Error, path: Path) -> Iterator[Problem]:
    """Explain `pattern`: of a text, or of a key, for which the schema has no type."""
    if "type" not in error.schema:
        yield Problem((*path, error.instance), f"not a name: {error.schema['description']}")
    elif error.schema.get("title") == "name":
        yield Problem(path, f"not a name: {error.schema['description']}")
    else:
        yield Problem(path, _but(error))


def _short(error: Error, path: Path) -> Iterator[Problem]:
    yield Problem(path, "must not be empty")


def _long(error: Error, path: Path) -> Iterator[Problem]:
    yield Problem(path, f"expected at most {error.validator_value} entries")


_WRITERS: Final[dict[str, Callable[[Error, Path], Iterator[Problem]]]] = {
    "additionalProperties": _unknown,
    "anyOf": _alternatives,
    "enum": _enumerated,
    "maxItems": _long,
    "maxProperties": _long,
    "minItems": _short,
    "minProperties": _short,
    "pattern": _misspelt,
    "required": _missing,
}


def _but(error: Error) -> str:
    """Say what was expected, and what kind of value is there instead."""
    expected = f"expected {_expected(error.schema)}"
    found = error.instance
    if isinstance(found, dict | list) or found is None:
        return f"{expected}, not {_FOUND[type(found)]}"
    wants_text = "a string" in expected or str(found) in _choices(error.schema)
    return (
        f"{expected}: put it in quotes" if wants_text and not isinstance(found, str) else expected
    )


def _choices(schema: Any) -> list[Any]:
    """List the values that may be there, if they are listed at all."""
    if "anyOf" in schema:
        return [value for each in schema["anyOf"] for value in _choices(_resolved(each))]
    values: list[Any] = schema.get("enum", [])
    return values


def _expected(schema: Any) -> str:
    """Describe the schema in a few words."""
    if "anyOf" in schema:
        return " or ".join(_expected(_resolved(each)) for each in schema["anyOf"])
    if "enum" in schema:
        return f"one of {listed(map(str, schema['enum']))}"
    if "examples" in schema:
        return f"a {schema['title']} like {listed(schema['examples'])}"
    noun = _NOUNS[schema["type"]]
    if "minimum" in schema:
        return f"{noun} from {schema['minimum']} to {schema['maximum']}"
    return noun


def _resolved(part: Any) -> Any:
    """Return *part*, or the section that it refers to."""
    return {"type": "object"} if "$ref" in part else part
