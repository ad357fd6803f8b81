"""Calls that need not be made: which are the same, and what they share."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from sidecar.config.model.base import Section
from sidecar.config.model.units import Size
from sidecar.llm.cache_key import KeySettings


class CacheKey(Section, frozen=True):
    """Which calls count as the same, for `single_flight`.

    They have the same route, path, body (as a value), model, caller and version headers of the API.
    """

    when: Annotated[
        Literal["deterministic", "always"],
        Meta(
            description="Which calls may be like others: those whose answer repeats, that is with "
            "`temperature` 0 or a `seed`, and embeddings (`deterministic`); or all that ask a "
            "model (`always`)."
        ),
    ] = "deterministic"
    shared: Annotated[
        bool,
        Meta(
            description="Calls of different callers may be the same. Callers are told apart by "
            "their keys, and without any by their address."
        ),
    ] = False
    headers: Annotated[
        tuple[str, ...],
        Meta(max_length=32, description="More headers whose values must be the same."),
    ] = ()
    ignore: Annotated[
        tuple[str, ...],
        Meta(
            max_length=32,
            description="More members of the body that don't matter. `user`, `metadata` and others "
            "that change no answer never do.",
        ),
    ] = ()

    def settings(self) -> KeySettings:
        """Make what calls are compared by."""
        headers = tuple(name.lower().encode() for name in self.headers)
        always = self.when == "always"
        return KeySettings(always, self.shared, headers, frozenset(self.ignore))


class SingleFlight(Section, frozen=True):
    """The same calls at the same time become one upstream call, whose reply they share."""

    buffer: Annotated[
        Size,
        Meta(
            description="So much of a reply is kept for callers that join late. Beyond it none "
            "joins, and a caller that is further behind than this is cut off."
        ),
    ] = Size("1MiB")
