"""How long a simulated model thinks before its first token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, log
from random import Random
from typing import Final

from sidecar.simulate.units import format_duration, parse_duration

MAX_SECONDS: Final = 3600.0
"""A heavy tail is cut here, so that no draw holds a connection for days."""

FORMS: Final = "250ms, uniform:LOW:HIGH, normal:MEAN:DEVIATION or lognormal:MEDIAN:SIGMA"

_SAMPLERS: Final[dict[str, Callable[[Random, float, float], float]]] = {
    "constant": lambda _rng, seconds, _unused: seconds,
    "uniform": lambda rng, low, high: rng.uniform(low, high),
    "normal": lambda rng, mean, deviation: rng.normalvariate(mean, deviation),
    # Measured LLM latencies are close to log-normal: a median with a long right tail.
    "lognormal": lambda rng, median, sigma: rng.lognormvariate(log(median), sigma),
}


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of seconds.

    `constant` takes (seconds); `uniform` (low, high); `normal` (mean, deviation), cut at zero;
    `lognormal` (median, sigma), sigma being the deviation of the logarithm, without a unit.
    """

    shape: str = "constant"
    a: float = 0.0
    b: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in _SAMPLERS:
            raise ValueError(f"unknown latency {self.shape!r}; one of {', '.join(_SAMPLERS)}")
        if not (0 <= self.a <= MAX_SECONDS and 0 <= self.b <= MAX_SECONDS):
            raise ValueError("latencies lie between 0s and 1h")
        if self.shape == "uniform" and self.a > self.b:
            raise ValueError("uniform latency is LOW:HIGH, the low bound first")
        if self.shape == "lognormal" and self.a == 0:
            raise ValueError("the median of a lognormal latency is above zero")

    def sample(self, rng: Random) -> float:
        """One draw, in seconds."""
        return min(max(0.0, _SAMPLERS[self.shape](rng, self.a, self.b)), MAX_SECONDS)

    @classmethod
    def parse(cls, text: str) -> Latency:
        """Read `250ms`, `uniform:100ms:1s`, `normal:250ms:50ms` or `lognormal:250ms:0.6`."""
        match text.split(":"):
            case [seconds] | ["constant", seconds]:
                return cls("constant", parse_duration(seconds))
            case ["lognormal", median, sigma]:
                return cls("lognormal", parse_duration(median), _sigma(sigma))
            case [("uniform" | "normal") as shape, a, b]:
                return cls(shape, parse_duration(a), parse_duration(b))
        raise ValueError(f"expected {FORMS}, not {text!r}")

    def __str__(self) -> str:
        if self.shape == "constant":
            return format_duration(self.a)
        b = f"{self.b!r}" if self.shape == "lognormal" else format_duration(self.b)
        return f"{self.shape}:{format_duration(self.a)}:{b}"


def _sigma(text: str) -> float:
    try:
        sigma = float(text)
    except ValueError:
        sigma = -1.0
    if not isfinite(sigma) or not 0 <= sigma <= 10:
        raise ValueError(f"expected a sigma between 0 and 10, not {text!r}")
    return sigma
