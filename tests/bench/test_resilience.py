"""What the measurement on a faulty fleet computes: arrivals, summaries, the budget's bound."""

from collections.abc import Sequence
from statistics import fmean

import pytest
import yaml

from bench.resilience import scenario, storm
from bench.resilience.arrivals import poisson
from bench.resilience.client import Outcome, drive, tell
from bench.resilience.measure import CONFIGS
from bench.resilience.summary import ROWS, Run, curve, show, success_over_time
from sidecar.simulate.behaviour import Behaviour


def outcomes(*seconds: float, failed: Sequence[float] = ()) -> list[Outcome]:
    good = [Outcome(0.0, each, "") for each in seconds]
    return good + [Outcome(0.0, each, "503") for each in failed]


def figures(run: Run) -> dict[str, str]:
    return {row.label: show(row, [run]) for row in ROWS}


# -- arrivals --


def test_the_same_seed_gives_the_same_arrivals() -> None:
    assert poisson(50, 10, seed=1) == poisson(50, 10, seed=1) != poisson(50, 10, seed=2)


def test_arrivals_rise_and_come_at_the_rate_with_a_poisson_spread() -> None:
    due = poisson(100, 100, seed=7)
    gaps = [later - earlier for earlier, later in zip([0.0, *due], due, strict=False)]
    assert due == sorted(due)
    assert due[-1] < 100
    assert len(due) == pytest.approx(10_000, rel=0.03)
    # The variance of exponential gaps is the square of their mean.
    assert fmean(gap**2 for gap in gaps) == pytest.approx(2 * fmean(gaps) ** 2, rel=0.05)


async def test_calls_are_made_when_due_whatever_became_of_those_before() -> None:
    asked: list[int] = []

    async def send(number: int) -> str:
        asked.append(number)
        return "503" if number == 1 else ""

    made = await drive(send, [0.0, 0.0, 0.0], "nobody")
    assert asked == [0, 1, 2]
    assert sorted(each.failure for each in made) == ["", "", "503"]
    assert tell(made) == "3 calls, 1 failed (1 503)"


# -- figures --


def test_failed_calls_count_in_one_mean_and_not_in_the_other() -> None:
    found = figures(Run(outcomes(0.1, 0.3, failed=[2.0]), requests=6))
    assert found["mean, all calls"] == "800"
    assert found["mean, calls that went well"] == "200"
    assert found["calls that went well"] == "66.67"
    assert found["requests at the fleet per call"] == "2.000"


def test_percentiles_are_over_all_calls() -> None:
    run = Run(outcomes(*(i / 1000 for i in range(1, 95)), failed=[3.0] * 6), requests=1)
    found = figures(run)
    assert (found["p50"], found["p95"], found["p99"]) == ("51", "3,000", "3,000")


def test_several_seeds_show_the_median_and_the_range() -> None:
    runs = [Run(outcomes(0.1), requests) for requests in (3, 1, 2)]
    assert show(ROWS[-1], runs) == "2.000 (1.000-3.000)"


def test_failures_never_arrive_on_the_curve() -> None:
    assert curve(outcomes(0.2, 0.1, failed=[0.05, 3.0])) == [(0.1, 0.25), (0.2, 0.5)]


def test_success_is_booked_where_the_call_was_due() -> None:
    made = [Outcome(0.1, 5.0, ""), Outcome(0.2, 0.1, "timeout"), Outcome(9.9, 0.1, "")]
    assert success_over_time(made, seconds=10, bins=5) == [0.5, 1, 1, 1, 1]


# -- the failing service --


@pytest.mark.parametrize(("well_at", "tries"), [(1, 1), (3, 3), (99, storm.TRIES)])
async def test_stubborn_calls_try_until_it_goes_well(
    well_at: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storm, "WAIT", 0)
    sent: list[int] = []

    async def send(number: int) -> str:
        sent.append(number)
        return "" if len(sent) == well_at else "503"

    failure = await storm.stubborn(send)(5)
    assert sent == [5] * tries
    assert bool(failure) == (well_at > storm.TRIES)


def test_the_bound_is_that_of_the_sidecars_file() -> None:
    settings = yaml.safe_load((CONFIGS / "sidecar.yaml").read_text("utf-8"))
    retry = settings["policies"]["default"]["retry"]
    assert retry["budget"] == {
        "ratio": f"{storm.RATIO:.0%}",
        "min_per_second": storm.MIN_PER_SECOND,
    }
    assert storm.allowed(calls=500, seconds=10) == pytest.approx(1.2 + storm.MIN_PER_SECOND / 50)


# -- the fleet --


@pytest.mark.parametrize("seconds", [1.0, 15.0, 33.3])
def test_one_of_the_fleet_restarts_within_the_run_and_another_is_slow(seconds: float) -> None:
    fleet = [Behaviour.parse(text) for text in scenario.behaviours(seconds, seed=9)]
    assert len(fleet) == scenario.ENDPOINTS
    assert {each.seed for each in fleet} == {9}
    ((down, up),) = [window for each in fleet for window in each.down]
    assert 0 < down < up < seconds
    assert sum(each.latency.a > 1 for each in fleet) == 1
    assert all(Behaviour.parse(each).error == ((503, 1.0),) for each in scenario.failing())
