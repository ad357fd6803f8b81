from math import log
from random import Random
from statistics import fmean, median, stdev

import pytest

from sidecar.simulate.latency import MAX_SECONDS, Latency

DRAWS = 20_000


def draws(text: str) -> list[float]:
    latency, rng = Latency.parse(text), Random(7)
    return [latency.sample(rng) for _ in range(DRAWS)]


def test_constant() -> None:
    assert set(draws("250ms")) == {0.25}
    assert Latency.parse("constant:250ms") == Latency.parse("250ms")


def test_uniform_fills_its_range_evenly() -> None:
    counts = [0] * 10
    for value in draws("uniform:100ms:200ms"):
        counts[int((value - 0.1) * 100)] += 1
    expected = DRAWS / len(counts)
    # 27.9 is the 99.9th percentile of chi-square with nine degrees of freedom.
    assert sum((count - expected) ** 2 / expected for count in counts) < 27.9


def test_normal_has_its_mean_and_deviation() -> None:
    values = draws("normal:500ms:50ms")
    assert fmean(values) == pytest.approx(0.5, abs=0.002)
    assert stdev(values) == pytest.approx(0.05, rel=0.03)


def test_normal_is_cut_at_zero() -> None:
    values = draws("normal:10ms:1s")
    assert min(values) == 0.0
    assert values.count(0.0) == pytest.approx(DRAWS / 2, rel=0.05)


def test_lognormal_has_its_median_and_sigma() -> None:
    values = draws("lognormal:250ms:0.6")
    assert median(values) == pytest.approx(0.25, rel=0.02)
    assert stdev(map(log, values)) == pytest.approx(0.6, rel=0.03)


def test_the_heaviest_tail_is_bounded() -> None:
    assert max(draws("lognormal:1s:10")) == MAX_SECONDS


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown latency 'cauchy'"):
        Latency("cauchy")
