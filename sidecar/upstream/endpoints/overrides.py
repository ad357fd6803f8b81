"""What an operator said of an endpoint at run time. It wins over the file until it is cleared."""

from __future__ import annotations

from typing import Final, NamedTuple

MAX_OVERRIDES: Final = 10_000


class Override(NamedTuple):
    """All None or False: nothing was said."""

    weight: float | None = None
    """Instead of the configured one; 0 sends it nothing new."""
    drained: bool = False
    """It gets no new attempts; those under way end by themselves."""
    breaker: str | None = None
    """`open` or `closed`, whatever the results say."""


_NOTHING: Final = Override()


class Overrides:
    """By upstream and endpoint name, whether or not such an endpoint exists at the moment."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], Override] = {}

    def get(self, upstream: str, endpoint: str) -> Override:
        """What was said of this one."""
        return self._said.get((upstream, endpoint), _NOTHING)

    def put(self, upstream: str, endpoint: str, override: Override) -> None:
        """Replace what was said. Raise OverflowError when too many endpoints are spoken of."""
        key = (upstream, endpoint)
        self._said.pop(key, None)
        if override == _NOTHING:
            return
        if len(self._said) >= MAX_OVERRIDES:
            raise OverflowError("too many overrides: clear some")
        self._said[key] = override
