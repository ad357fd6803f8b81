"""Calls that are kept to be looked at."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import Size


class Calls(Section, frozen=True):
    """The calls that ended last, for the admin API's `/calls` and `sidecar calls`."""

    keep: Annotated[
        int, Meta(ge=0, le=100_000, description="The latest; kept whatever became of them.")
    ] = 1000
    errors: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Of the calls before these, the latest that failed, broke or were left.",
        ),
    ] = 200
    slow: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Of the calls before these, the slowest one of each hundred.",
        ),
    ] = 100
    bytes: Annotated[
        Size,
        Meta(
            description="Memory for all, about: half of it for the latest, a quarter each for "
            "errors and slow ones."
        ),
    ] = Size("8MiB")
