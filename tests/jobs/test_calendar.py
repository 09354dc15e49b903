"""Days of the business calendar. 2026-01-31 is a Saturday."""

from __future__ import annotations

from datetime import date

import pytest

from jobs.calendar import KEPT_DAYS, days_between, is_month_end, next_sunday, snapshot_days


def test_a_range_holds_both_its_ends() -> None:
    assert days_between(date(2026, 1, 30), date(2026, 2, 1)) == [date(2026, 1, 30), date(2026, 1, 31), date(2026, 2, 1)]
    assert days_between(date(2026, 1, 30), date(2026, 1, 30)) == [date(2026, 1, 30)]
    assert days_between(date(2026, 1, 31), date(2026, 1, 30)) == []


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 1, 31), True),
        (date(2026, 1, 30), False),
        (date(2026, 2, 28), True),
        (date(2028, 2, 28), False),  # a leap year
        (date(2028, 2, 29), True),
        (date(2026, 12, 31), True),
    ],
)
def test_the_last_day_of_a_month(day: date, expected: bool) -> None:
    assert is_month_end(day) is expected


@pytest.mark.parametrize(
    ("day", "sunday"),
    [
        (date(2026, 1, 31), date(2026, 2, 1)),  # a Saturday
        (date(2026, 2, 1), date(2026, 2, 1)),  # a Sunday is its own
        (date(2026, 2, 2), date(2026, 2, 8)),  # a Monday waits longest
    ],
)
def test_the_next_sunday(day: date, sunday: date) -> None:
    assert next_sunday(day) == sunday


def test_snapshots_are_made_for_month_ends_and_the_last_week() -> None:
    made = snapshot_days(date(2026, 1, 15), date(2026, 3, 10))
    week = days_between(date(2026, 3, 4), date(2026, 3, 10))
    assert len(week) == KEPT_DAYS
    assert made == [date(2026, 1, 31), date(2026, 2, 28), *week]


def test_a_month_end_within_the_last_week_is_made_once() -> None:
    assert snapshot_days(date(2026, 1, 25), date(2026, 2, 2)) == days_between(date(2026, 1, 27), date(2026, 2, 2))


def test_a_night_has_its_snapshot() -> None:
    assert snapshot_days(date(2026, 1, 15), date(2026, 1, 15)) == [date(2026, 1, 15)]
