"""Cron expressions: minute, hour, day of the month, month, day of the week (crontab(5)).

A field is `*`, or numbers, ranges (`1-5`) and steps (`*/15`, `8-18/2`) with commas between them.
Months and days of the week have names too; Sunday is 0 and 7. If both days are restricted, either
of them is enough, as in Vixie's cron. Times are UTC. Fifty lines are less than a dependency.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()  # noqa: SIM905
_DAYS: Final = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_NAMES: Final = {
    "@yearly": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_PART: Final = re.compile(r"(?:\*|(\w{1,3})(?:-(\w{1,3}))?)(?:/(\d{1,2}))?")
_LONGEST: Final = 8 * 366
"""Days within which every possible date comes: 29 February may be eight years away."""


class Cron:
    """When something happens. Raise ValueError, with the reason, for what is no expression."""

    def __init__(self, text: str) -> None:
        fields = _NAMES.get(text.strip(), text).lower().split()
        if len(fields) != 5:
            raise ValueError("expected five fields, as 0 6 * * 1-5, or @hourly, @daily, @weekly")
        minutes, hours, days, months, weekdays = fields
        self._minutes = sorted(_numbers(minutes, 0, 59))
        self._hours = sorted(_numbers(hours, 0, 23))
        self._days = _numbers(days, 1, 31)
        self._months = _numbers(months, 1, 12, _MONTHS, 1)
        self._weekdays = {day % 7 for day in _numbers(weekdays, 0, 7, _DAYS)}
        self._either = not (days.startswith("*") or weekdays.startswith("*"))
        if self.after(datetime(2000, 1, 1)) is None:
            raise ValueError("no such day ever comes")

    def after(self, when: datetime) -> datetime | None:
        """Return the first time after *when*; None if there is none."""
        start = when.replace(second=0, microsecond=0) + timedelta(minutes=1)
        for ahead in range(_LONGEST):
            day = (start + timedelta(days=ahead)).replace(hour=0, minute=0)
            if not self._fits(day):
                continue
            for hour in self._hours:
                for minute in self._minutes:
                    found = day.replace(hour=hour, minute=minute)
                    if found >= start:
                        return found
        return None

    def _fits(self, day: datetime) -> bool:
        if day.month not in self._months:
            return False
        in_month, in_week = day.day in self._days, day.isoweekday() % 7 in self._weekdays
        return in_month or in_week if self._either else in_month and in_week


def _numbers(
    field: str, low: int, high: int, names: list[str] | None = None, first: int = 0
) -> set[int]:
    """Return the numbers of a field. *first*: the number of the first of *names*."""

    def number(text: str) -> int:
        if names and text in names:
            return names.index(text) + first
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text} is no number from {low} to {high}")
        return int(text)

    found: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"{part} is not *, a number or a range")
        begin, end, step = match.groups()
        lowest = low if begin is None else number(begin)
        highest = high if begin is None or step else lowest
        if end is not None:
            highest = number(end)
        if lowest > highest or step == "0" or step == "00":
            raise ValueError(f"{part} is empty")
        found |= set(range(lowest, highest + 1, int(step or 1)))
    return found
