"""The examples that the documentation shows are good, and say what they are said to say."""

import calendar
from pathlib import Path

import pytest
from msgspec import UNSET

from sidecar.cli import main
from sidecar.config.load import Loaded, load
from sidecar.llm.usage import Usage
from sidecar.proxy.routing.pricing import Pricing

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> Loaded:
    return load((EXAMPLES / name).read_text(encoding="utf-8"), file=name)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_good(path: Path) -> None:
    assert example(path.name).config.routes


PRICES = sorted(EXAMPLES.glob("prices-*.yaml"))


@pytest.mark.parametrize("path", PRICES, ids=lambda path: path.name)
def test_prices_are_dated_and_each_can_be_reached(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(path)]) == 0
    assert "valid" in capsys.readouterr().out
    year, month = map(int, path.stem.removeprefix("prices-").split("-"))
    head = path.read_text(encoding="utf-8").splitlines()[0]
    assert f"{calendar.month_name[month]} {year}: an example, to be checked" in head
    prices = [(glob, price.settings()) for glob, price in example(path.name).config.prices.items()]
    pricing = Pricing(prices)
    for glob, price in prices:
        # No wider glob stands before it, and tokens from the cache cost no more than others.
        usage = Usage(input=1_000_000, output=1_000_000)
        assert pricing.cost(glob.replace("*", "x"), usage) == price.input + price.output
        assert price.cached is None or price.cached < price.input
        assert price.cache_write is None or price.cache_write > price.input


def test_dated_names_of_models_have_their_own_price() -> None:
    prices = example(PRICES[-1].name).config.prices
    pricing = Pricing((glob, price.settings()) for glob, price in prices.items())
    million = Usage(input=1_000_000)
    assert pricing.cost("gpt-4o-mini-2024-07-18", million) == 0.15
    assert pricing.cost("claude-haiku-4-5-20251001", million) == 1
    assert pricing.cost("gpt-5-pro", million) is None


@pytest.mark.parametrize(
    ("service", "first_byte", "retries", "rate"),
    [("assistant", 2.0, 2, 0.5), ("classifier", 1.5, 1, 0.2)],
)
def test_each_service_has_its_row(
    service: str, first_byte: float, retries: int, rate: float
) -> None:
    loaded = example("services.yaml")
    (index,) = (i for i, route in enumerate(loaded.config.routes) if route.name == service)
    effective = loaded.effective[index, service]
    policy = effective.policy
    assert policy.timeouts.first_byte is not UNSET
    assert policy.breaker is not None
    assert (policy.timeouts.first_byte, policy.retry.max) == (first_byte, retries)
    assert (policy.breaker.failure_rate, policy.breaker.min_calls) == (rate, 10)
    assert effective.breaker_scope == f"policy:{service}"
