"""Whether an endpoint is up, from the results of its probes. Pure.

As in Envoy's health checking (`healthy_threshold`, `unhealthy_threshold`): only results in a
row count, so that one lost packet ejects no endpoint and one lucky answer brings none back.
"""

from __future__ import annotations

from typing import NamedTuple


class HealthSettings(NamedTuple):
    """Numbers of results in a row that change the state; 1 or more."""

    healthy: int
    unhealthy: int


class Health:
    """Up until proven otherwise: a sidecar that just started must not refuse its first calls."""

    __slots__ = ("_against", "up")

    def __init__(self) -> None:
        self.up = True
        self._against = 0
        """Results in a row that speak against `up`."""

    def observe(self, ok: bool, settings: HealthSettings) -> bool:
        """Count a probe's result. Return whether `up` changed."""
        if ok == self.up:
            self._against = 0
            return False
        self._against += 1
        if self._against < (settings.healthy if ok else settings.unhealthy):
            return False
        self.up = ok
        self._against = 0
        return True
