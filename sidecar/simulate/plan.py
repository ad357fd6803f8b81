"""What will happen to the n-th call of an endpoint, decided by its seed alone."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from sidecar.simulate.behaviour import Behaviour


@dataclass(frozen=True, slots=True)
class Plan:
    """The fate of one call."""

    fault: str
    """A status, a setting of `Behaviour`, or nothing."""
    cut: float
    """Where a fault of the body strikes, as a share of it in [0, 1)."""
    latency: float
    """Seconds before the first token."""
    rng: Random
    """The call's own randomness, so that calls at the same time do not disturb each other."""


def draw_plan(behaviour: Behaviour, endpoint: int, call: int) -> Plan:
    """The fate of *call* (0, 1, ...) at *endpoint*, which keeps replicas from failing in step.

    The fault is drawn first: the sequence of faults stays the same whatever the latency.
    """
    rng = Random(f"{behaviour.seed}/{endpoint}/{call}")
    fault = _pick(behaviour.faults(), rng.random())
    return Plan(fault, rng.random(), behaviour.latency.sample(rng), rng)


def _pick(faults: list[tuple[str, float]], point: float) -> str:
    for name, share in faults:
        point -= share
        if point < 0:
            return name
    return ""
