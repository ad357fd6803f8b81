import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.health import Health, HealthSettings

SETTINGS = HealthSettings(healthy=2, unhealthy=3)


@pytest.mark.parametrize(
    ("results", "seen"),
    [
        ("", ""),
        ("+", "u"),
        ("-", "u"),
        ("---", "uud"),
        ("--+--", "uuuuu"),
        ("--+---", "uuuuud"),
        ("---+", "uudd"),
        ("---++", "uuddu"),
        ("---+-+-++", "uudddddd" + "u"),
        ("---++--", "uudduuu"),
        ("-----++", "uudddd" + "u"),
    ],
)
def test_only_results_in_a_row_count(results: str, seen: str) -> None:
    health = Health()
    states = ""
    for result in results:
        health.observe(result == "+", SETTINGS)
        states += "u" if health.up else "d"
    assert states == seen


def test_it_says_when_it_changed() -> None:
    health = Health()
    results = [False, False, False, False, True, True, True]
    assert [health.observe(ok, SETTINGS) for ok in results] == [
        False, False, True, False, False, True, False,
    ]  # fmt: skip


def test_new_settings_count_from_the_next_result() -> None:
    health = Health()
    health.observe(False, SETTINGS)
    assert health.observe(False, HealthSettings(healthy=1, unhealthy=1))
    assert health.observe(True, HealthSettings(healthy=1, unhealthy=1))


@given(st.lists(st.booleans()), st.integers(1, 5), st.integers(1, 5))
def test_a_change_has_as_many_results_behind_it_as_it_takes(
    results: list[bool], healthy: int, unhealthy: int
) -> None:
    health = Health()
    settings = HealthSettings(healthy, unhealthy)
    for count, ok in enumerate(results, 1):
        before = health.up
        changed = health.observe(ok, settings)
        needed = healthy if ok else unhealthy
        run = results[max(0, count - needed) : count]
        assert changed == (health.up != before)
        assert changed == (before != ok and run == [ok] * needed)
