"""Which hosts routes name: their connections are intercepted, all others passed through."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from sidecar.policy.memo import Memo

if TYPE_CHECKING:
    from sidecar.config.model.route import Route

_CAPTURE: Final = re.compile(r"\\\{\w+\\\}")


class RoutedHosts:
    """The hosts that the routes of one configuration name.

    A route without a host takes calls, but no connection is intercepted for it.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        patterns = {_pattern(route.match.host) for route in routes if route.match.host}
        self._named = re.compile("|".join(sorted(patterns)) or r"(?!)")
        self._known: Memo[str, bool] = Memo()

    def contain(self, host: str) -> bool:
        """Whether *host*, in lower case and without brackets, is one of them."""
        found = self._known.get(host)
        if found is None:
            found = self._known.keep(host, self._named.fullmatch(host) is not None)
        return found


def _pattern(host: str) -> str:
    """Translate *host* as the router does, but without groups for what is captured."""
    escaped = re.escape(host.lower().strip("[]")).replace(r"\*", r"[^/]+")
    return _CAPTURE.sub("[A-Za-z0-9-]{1,63}", escaped)
