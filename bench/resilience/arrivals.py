"""When calls are due: drawn before the run, so that every contender gets the same ones."""

from __future__ import annotations

from random import Random


def poisson(rate: float, seconds: float, seed: int) -> list[float]:
    """Seconds after the start of each call, *rate* a second on average, until *seconds*."""
    rng = Random(f"arrivals/{seed}")
    due: list[float] = []
    at = rng.expovariate(rate)
    while at < seconds:
        due.append(at)
        at += rng.expovariate(rate)
    return due
