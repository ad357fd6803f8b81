import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.model.units import Duration, Share, Size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("3ms", 0.003), ("2s", 2), ("1.5s", 1.5), ("5m", 300), ("1h", 3600)],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert Duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [("0B", 0), ("512B", 512), ("64KiB", 65536), ("1.5KiB", 1536), ("1MB", 10**6), ("2GiB", 2**31)],
)
def test_sizes_are_bytes(text: str, count: int) -> None:
    assert Size(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "-1s",
        "+1s",
        "1 s",
        "1S",
        "1d",
        "1e3s",
        "٣s",
        ".5s",
        "1.s",
        "1s1s",
        5,
        None,
        2.0,
    ],
)
def test_other_durations_are_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration like 250ms"):
        Duration(text)


@pytest.mark.parametrize("text", ["8", "8mb", "8 MiB", "8TiB", "8kb", "1" * 10 + "B", 8])
def test_other_sizes_are_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="expected a size like 512B"):
        Size(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [("0%", 0), ("50%", 0.5), ("0.5%", 0.005), ("12.345%", 0.12345), ("1000%", 10)],
)
def test_shares_are_parts(text: str, part: float) -> None:
    assert Share(text) == part
    assert Share(text).written() == text


@pytest.mark.parametrize(
    "text",
    ["", "50", "0.5", "%", "-1%", "50 %", "1001%", "1000.5%", "9999%", ".5%", "5%%", 50, 0.5],
)
def test_other_shares_are_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="expected a share like 50%"):
        Share(text)


@given(st.integers(0, 999), st.integers(0, 999))
def test_shares_round_trip(whole: int, thousandths: int) -> None:
    share = Share(f"{whole}.{thousandths:03}%")
    assert share == (whole * 1000 + thousandths) / 10**5
    assert Share(share.written()) == share


@given(st.integers(0, 999_999_999), st.sampled_from(["us", "ms", "s", "m", "h"]))
def test_durations_round_trip(count: int, unit: str) -> None:
    duration = Duration(f"{count}{unit}")
    assert Duration(duration.written()) == duration
    assert math.isfinite(duration)


@given(st.integers(0, 999_999_999), st.sampled_from(["B", "KiB", "MiB", "GiB"]))
def test_sizes_round_trip(count: int, unit: str) -> None:
    size = Size(f"{count}{unit}")
    assert Size(size.written()) == size


@pytest.mark.parametrize("text", ["0s", "1h", "90s", "2m", "1500ms", "250us", "30s"])
def test_durations_are_written_in_the_largest_unit(text: str) -> None:
    assert Duration(text).written() == text


def test_arithmetic_gives_plain_numbers() -> None:
    assert type(Duration("2s") * 2) is float
    assert type(Size("2B") * 2) is int
    assert type(Share("20%") * 2) is float
