"""What an operator has set for endpoints at run time; it wins over the file until it is cleared."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_OVERRIDES: Final = 10_000


class Override(NamedTuple):
    """All fields None or False: nothing is set."""

    weight: float | None = None
    """Replaces the configured weight; 0 sends it nothing new."""
    drained: bool = False
    """It gets no new attempts; those under way end by themselves."""
    breaker: str | None = None
    """`open` or `closed`, whatever the results say."""


_NOTHING: Final = Override()


class Overrides:
    """Overrides by upstream and endpoint name, whether or not such an endpoint exists now."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], Override] = {}

    def get(self, upstream: str, endpoint: str) -> Override:
        """Return what is set for this endpoint."""
        return self._said.get((upstream, endpoint), _NOTHING)

    def put(self, upstream: str, endpoint: str, override: Override) -> None:
        """Replace what is set. Raise OverflowError when too many endpoints have overrides."""
        key = (upstream, endpoint)
        self._said.pop(key, None)
        if override == _NOTHING:
            return
        if len(self._said) >= MAX_OVERRIDES:
            raise OverflowError("too many overrides: clear some")
        self._said[key] = override
