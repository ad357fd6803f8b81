"""The JSON schema of a configuration file: for editors, for Helm values, and to find all errors."""

from __future__ import annotations

from functools import cache, reduce
from inspect import cleandoc
from operator import or_
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct, structs

from sidecar.config.model import Config, Secret
from sidecar.config.model.batch import WINDOW_PATTERN, Window
from sidecar.config.model.units import (
    DURATION_PATTERN,
    SHARE_PATTERN,
    SIZE_PATTERN,
    Duration,
    Share,
    Size,
)

_WRITTEN: Final[dict[type, dict[str, Any]]] = {
    Duration: {
        "type": "string",
        "title": "duration",
        "pattern": DURATION_PATTERN,
        "examples": ["250ms", "2s", "5m", "1h"],
    },
    Size: {
        "type": "string",
        "title": "size",
        "pattern": SIZE_PATTERN,
        "examples": ["512B", "64KiB", "8MiB"],
    },
    Share: {
        "type": "string",
        "title": "share",
        "pattern": SHARE_PATTERN,
        "examples": ["50%", "0.5%", "100%"],
    },
    Window: {
        "type": "string",
        "title": "duration or auto",
        "pattern": WINDOW_PATTERN,
        "examples": ["auto", "5ms", "20ms"],
    },
    Secret: {"type": "string"},
}


def schema() -> dict[str, Any]:
    """Make a JSON schema (draft 2020-12) that accepts what `load` accepts, but for cross-checks.

    References such as `${env:NAME}` are taken in plain strings only: a schema can't expand them.
    """
    made = msgspec.json.schema(_twin(Config), schema_hook=_WRITTEN.__getitem__)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "llm-sidecar configuration",
    }
    return head | made


@cache
def _twin(section: type[Struct]) -> type[Struct]:
    """Make a twin of *section* whose defaults are as a user would write them.

    msgspec puts defaults into the schema, but can't encode a Duration, a Size or a Share there.
    """
    fields: list[Any] = [
        (field.name, _retyped(field.type), *_default(field)) for field in structs.fields(section)
    ]
    return msgspec.defstruct(
        section.__name__,
        fields,
        # From Python 3.13 on, the compiler does this.
        namespace={"__doc__": cleandoc(section.__doc__ or "")},
        forbid_unknown_fields=True,
        kw_only=True,
    )


def _default(field: structs.FieldInfo) -> tuple[Any, ...]:
    """Return the default as it is written; none for what is required, or a section."""
    if field.required:
        return ()
    if field.default is NODEFAULT:
        return (msgspec.field(default_factory=field.default_factory),)
    if isinstance(field.default, Struct):
        return (msgspec.field(default_factory=dict),)
    return (
        field.default.written()
        if isinstance(field.default, Duration | Size | Share)
        else field.default,
    )


def _retyped(kind: Any) -> Any:
    """Replace every section in the type *kind* by its twin."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _twin(kind)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return Annotated[(_retyped(args[0]), *args[1:])]
    if origin in (dict, tuple):
        return origin[tuple(map(_retyped, args))]
    return reduce(or_, map(_retyped, args)) if _is_union(origin) else kind


def _is_union(origin: Any) -> bool:
    return getattr(origin, "__name__", "") in ("Union", "UnionType")
