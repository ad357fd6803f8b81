"""Turns plain values into the model's structs."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sidecar.config.model.base import Secret
from sidecar.config.model.units import Duration, Share, Size

T = TypeVar("T")


def convert(value: object, kind: type[T]) -> T:
    """Convert *value* to *kind*; raise msgspec.ValidationError at the first misfit."""
    return msgspec.convert(value, kind, dec_hook=_text)


def _text(kind: type[Duration | Size | Share | Secret], value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("expected a string")
    return kind(value)
