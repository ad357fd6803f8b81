"""When cron expressions are due."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.cron import Cron

NOW = datetime(2026, 11, 27, 22, 15, 30)  # a Friday


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("* * * * *", "2026-11-27 22:16"),
        ("*/20 * * * *", "2026-11-27 22:20"),
        ("15 22 * * *", "2026-11-28 22:15"),
        ("16 22 * * *", "2026-11-27 22:16"),
        ("0 6 * * 1-5", "2026-11-30 06:00"),
        ("0 6 * * mon,wed", "2026-11-30 06:00"),
        ("0 0 * * 0", "2026-11-29 00:00"),
        ("0 0 * * 7", "2026-11-29 00:00"),
        ("0 0 1 * *", "2026-12-01 00:00"),
        ("0 0 31 2,dec *", "2026-12-31 00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00"),
        ("0 0 13 * fri", "2026-12-04 00:00"),  # either day is enough
        ("0 0 */2 * fri", "2026-12-11 00:00"),  # a field that begins with * restricts both
        ("30 8-18/5 * * *", "2026-11-28 08:30"),
        ("5/10 * * * *", "2026-11-27 22:25"),
        ("@daily", "2026-11-28 00:00"),
        ("@hourly", "2026-11-27 23:00"),
    ],
)
def test_when_it_is_due(text: str, due: str) -> None:
    assert Cron(text).after(NOW) == datetime.fromisoformat(due)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * * 13 *",
        "* * * * 8",
        "5-1 * * * *",
        "*/0 * * * *",
        "a * * * *",
        "1,,2 * * * *",
        "0 0 30 2 *",
        "@never",
    ],
)
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        Cron(text)


@given(
    st.sampled_from(["*", "*/7", "3", "1-4,30"]),
    st.sampled_from(["*", "5", "*/6", "20-23"]),
    st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1)),
)
def test_it_is_the_first_minute_that_fits(minute: str, hour: str, now: datetime) -> None:
    def numbers(field: str, most: int) -> set[int]:
        plain = {"*/7": range(0, 60, 7), "*/6": range(0, 24, 6), "3": [3], "5": [5]}
        plain |= {"1-4,30": [1, 2, 3, 4, 30], "20-23": range(20, 24), "*": range(most)}
        return set(plain[field])

    due = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while due.minute not in numbers(minute, 60) or due.hour not in numbers(hour, 24):
        due += timedelta(minutes=1)
    assert Cron(f"{minute} {hour} * * *").after(now) == due
