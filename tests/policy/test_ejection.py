import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.ejection import EjectionSettings, Rotation, rotation

USUAL = EjectionSettings(None, True)
IN = None


@pytest.mark.parametrize(
    ("opened", "settings", "expected"),
    [
        ([], USUAL, Rotation([], [], False)),
        ([IN, IN], USUAL, Rotation([0, 1], [], False)),
        ([5.0, IN, IN], USUAL, Rotation([1, 2], [0], False)),
        ([5.0, IN, 3.0], USUAL, Rotation([1], [2, 0], False)),
        ([5.0, 0.0, IN], USUAL, Rotation([2], [1, 0], False)),
        # all out: all serve, or none does
        ([5.0], USUAL, Rotation([0], [], True)),
        ([5.0, 3.0], USUAL, Rotation([0, 1], [], True)),
        ([5.0, 3.0], EjectionSettings(None, False), Rotation([], [0, 1], False)),
        ([5.0, 3.0], EjectionSettings(0.5, False), Rotation([], [0, 1], False)),
        # a bound: the latest out are spared
        ([5.0, 3.0, 4.0, IN], EjectionSettings(0.5, True), Rotation([0, 3], [1, 2], False)),
        ([3.0, 3.0, 3.0, IN], EjectionSettings(0.5, True), Rotation([2, 3], [0, 1], False)),
        ([3.0, 4.0, IN, IN], EjectionSettings(0.3, True), Rotation([1, 2, 3], [0], False)),
        ([3.0, IN, IN, IN], EjectionSettings(0.2, True), Rotation([0, 1, 2, 3], [], False)),
        ([3.0, IN], EjectionSettings(0.0, True), Rotation([0, 1], [], False)),
        ([3.0, 4.0, IN], EjectionSettings(1.0, True), Rotation([2], [0, 1], False)),
    ],
)
def test_table(opened: list[float | None], settings: EjectionSettings, expected: Rotation) -> None:
    assert rotation(opened, settings) == expected


@pytest.mark.parametrize("percent", range(1, 101))
def test_a_percentage_of_a_hundred_is_a_whole_number(percent: int) -> None:
    opened: list[float | None] = [*range(99), None]
    ejected = rotation(opened, EjectionSettings(percent / 100, True)).ejected
    assert ejected == list(range(min(percent, 99)))


TIMES = st.none() | st.integers(0, 5).map(float)
OPENED = st.lists(TIMES, min_size=1, max_size=12)
SETTINGS = st.builds(
    EjectionSettings, st.none() | st.integers(0, 100).map(lambda share: share / 100), st.booleans()
)


@given(OPENED, SETTINGS)
def test_everybody_is_ready_or_ejected(
    opened: list[float | None], settings: EjectionSettings
) -> None:
    ready, ejected, _ = rotation(opened, settings)
    assert sorted(ready + ejected) == list(range(len(opened)))
    assert ready == sorted(ready)
    assert all(index in ready for index, when in enumerate(opened) if when is None)


@given(OPENED.filter(lambda opened: None in opened), SETTINGS)
def test_never_more_than_allowed_and_never_fewer_than_needed(
    opened: list[float | None], settings: EjectionSettings
) -> None:
    result = rotation(opened, settings)
    out = sum(when is not None for when in opened)
    share = 1.0 if settings.max_ejected is None else settings.max_ejected
    allowed = min(round(share * 100) * len(opened) // 100, len(opened) - 1)
    assert len(result.ejected) == min(out, allowed)
    assert result.ready
    assert not result.panic


@given(OPENED, SETTINGS)
def test_the_earliest_out_go_first(opened: list[float | None], settings: EjectionSettings) -> None:
    ready, ejected, panic = rotation(opened, settings)
    if panic or not ready:
        return
    gone = [(when, index) for index in ejected if (when := opened[index]) is not None]
    spared = [(when, index) for index in ready if (when := opened[index]) is not None]
    assert gone == sorted(gone)
    assert all(first < last for first in gone for last in spared)


@given(st.lists(st.floats(0, 9), min_size=1, max_size=9), st.none() | st.floats(0, 1))
def test_all_out(opened: list[float | None], share: float | None) -> None:
    everybody = list(range(len(opened)))
    assert rotation(opened, EjectionSettings(share, True)) == (everybody, [], True)
    assert rotation(opened, EjectionSettings(share, False)).ready == []


@given(OPENED, SETTINGS)
def test_who_comes_back_brings_nobody_else_back(
    opened: list[float | None], settings: EjectionSettings
) -> None:
    before = rotation(opened, settings)
    for index in before.ejected if before.ready else []:
        after = rotation([*opened[:index], None, *opened[index + 1 :]], settings)
        assert set(before.ejected) - {index} <= set(after.ejected)
