from random import Random

import pytest

from sidecar.policy.outage import Outage


def test_a_service_that_begins_to_fail_is_known_after_24_attempts() -> None:
    outage = Outage()
    for _ in range(100):
        outage.observe(False)
    for count in range(1, 60):
        outage.observe(True)
        assert outage.total == (count >= 24)


def test_a_service_that_is_new_and_fails() -> None:
    outage = Outage()
    for count in range(1, 40):
        outage.observe(True)
        assert outage.total == (count >= 24)


def test_a_service_that_comes_back_is_known_after_nine() -> None:
    outage = Outage()
    for _ in range(1000):
        outage.observe(True)
    for count in range(1, 20):
        outage.observe(False)
        assert outage.total == (count < 9)


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.2, 0, 0), (0.4, 0, 0.001), (0.6, 0, 0.1), (0.95, 0.99, 1)]
)
def test_failures_at_random(share: float, least: float, most: float) -> None:
    dice, outage, total = Random(1), Outage(), 0
    for _ in range(20_000):
        outage.observe(dice.random() < share)
        total += outage.total
    assert least <= total / 20_000 <= most
