"""Whether an endpoint is up, from the results of its probes. Pure.

As Envoy's health checking has it (`healthy_threshold`, `unhealthy_threshold`): only results in a
row count, so that one lost packet takes no endpoint out and one lucky answer brings none back.
"""

from __future__ import annotations

from typing import NamedTuple


class HealthSettings(NamedTuple):
    """How many results in a row change what is believed; 1 or more."""

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
        """Take a probe's result. True when `up` changed."""
        if ok == self.up:
            self._against = 0
            return False
        self._against += 1
        if self._against < (settings.healthy if ok else settings.unhealthy):
            return False
        self.up = ok
        self._against = 0
        return True
