"""The examples that the documentation shows are good, and say what they are said to say."""

from pathlib import Path

import pytest
from msgspec import UNSET

from sidecar.config.load import Loaded, load

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


def example(name: str) -> Loaded:
    return load((EXAMPLES / name).read_text(encoding="utf-8"), file=name)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_good(path: Path) -> None:
    assert example(path.name).config.routes


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
