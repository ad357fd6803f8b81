"""The faulty fleet, in the words of `sidecar simulate`, and the load on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ENDPOINTS: Final = 5
_FAULTS: Final = (
    "error=500:1.3%,error=503:1.3%,error=429:1%,reset=0.4%,hang=0.6%,retry_after=100ms,slots=32"
)
_USUAL: Final = f"latency=lognormal:180ms:0.5,{_FAULTS}"
_SLOW: Final = f"latency=lognormal:1450ms:0.3,{_FAULTS}"
# What share of the run has passed when an endpoint goes down for its restart, and comes back.
RESTART: Final = (0.40, 0.56)
FAILING: Final = "latency=20ms,error=503:100%,retry_after=100ms"


@dataclass(frozen=True)
class Plan:
    """How much is measured. The load is open: calls come when they are due, answered or not."""

    seeds: int = 3
    seconds: float = 30.0
    rate: float = 60.0  # calls a second
    timeout: float = 3.0  # the client's own, for a whole call, whoever it calls
    storm_seconds: float = 10.0
    storm_rate: float = 50.0


def behaviours(seconds: float, seed: int) -> list[str]:
    """What each endpoint does in a run of *seconds*: one restarts, the last is slow throughout."""
    down, up = (round(share * seconds * 1000) for share in RESTART)
    fleet = [_USUAL, f"{_USUAL},down={down}ms:{up}ms", _USUAL, _USUAL, _SLOW]
    return [f"{behaviour},seed={seed}" for behaviour in fleet]


def failing() -> list[str]:
    """Every endpoint refuses every call."""
    return [FAILING] * ENDPOINTS
