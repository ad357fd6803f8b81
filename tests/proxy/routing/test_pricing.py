"""What a call costs, by the globs of a configuration."""

from __future__ import annotations

import pytest

from sidecar.llm.prices import Price
from sidecar.llm.usage import Usage
from sidecar.proxy.routing.pricing import Pricing

USAGE = Usage(input=1_000_000, cached=400_000, output=100_000)
PRICES = [("gpt-4o-mini*", Price(1.0, 2.0)), ("gpt-*", Price(10.0, 20.0, cached=5.0))]


@pytest.mark.parametrize(
    ("model", "cost"),
    [
        ("gpt-4o-mini-2024", 1.0 + 0.2),
        ("gpt-4o", 6.0 + 2.0 + 2.0),
        ("GPT-4o", None),  # names are not the same in other letters
        ("claude", None),
        ("", None),
    ],
)
def test_the_first_glob_that_fits_counts(model: str, cost: float | None) -> None:
    pricing = Pricing(PRICES)
    for _ in range(2):  # and is remembered
        found = pricing.cost(model, USAGE)
        assert found == (None if cost is None else pytest.approx(cost))


def test_invented_names_are_not_remembered_without_end() -> None:
    pricing = Pricing(PRICES)
    for number in range(5000):
        pricing.cost(f"gpt-{number}", USAGE)
    assert len(pricing._remembered) <= 1024


def test_without_prices_nothing_is_looked_up() -> None:
    pricing = Pricing(())
    assert pricing.cost("gpt-4o", USAGE) is None
    assert not pricing._remembered
