"""What every part of the model is made of."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file: unknown keys are errors."""


class Secret(str):
    """Text that its repr hides: logs, tracebacks and test failures print reprs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "***"


Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$",
        title="name",
        description="Letters, digits, `_`, `.` and `-`; at most 63, as it labels metrics.",
    ),
]
