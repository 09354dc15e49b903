"""Days of the business calendar. 2026-01-31 is a Saturday."""

from __future__ import annotations

from datetime import date

import pytest

from jobs.calendar import (
    KEPT_DAYS,
    days_between,
    hops,
    is_kept_snapshot,
    is_month_end,
    next_sunday,
    snapshot_days,
    taken_on,
)


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


@pytest.mark.parametrize(
    ("repairs", "night"),
    [
        ([], date(2026, 2, 8)),
        ([date(2026, 2, 4)], date(2026, 2, 4)),
        ([date(2026, 2, 2)], date(2026, 2, 2)),  # the night that lands it
        ([date(2026, 2, 1), date(2026, 2, 9)], date(2026, 2, 8)),  # over, and too late
    ],
)
def test_what_waits_is_taken_on_sunday_or_by_a_repair_before_it(repairs: list[date], night: date) -> None:
    assert taken_on(date(2026, 2, 2), repairs) == night


def test_snapshots_are_made_for_month_ends_and_the_last_week() -> None:
    made = snapshot_days(date(2026, 1, 15), date(2026, 3, 10), date(2026, 3, 10))
    week = days_between(date(2026, 3, 4), date(2026, 3, 10))
    assert len(week) == KEPT_DAYS
    assert made == [date(2026, 1, 31), date(2026, 2, 28), *week]


def test_a_month_end_within_the_last_week_is_made_once() -> None:
    newest = date(2026, 2, 2)
    assert snapshot_days(date(2026, 1, 25), newest, newest) == days_between(date(2026, 1, 27), newest)


def test_a_night_has_its_snapshot() -> None:
    assert snapshot_days(date(2026, 1, 15), date(2026, 1, 15), date(2026, 1, 15)) == [date(2026, 1, 15)]


def test_past_nights_run_again_have_their_month_ends_and_the_last_of_them() -> None:
    again = snapshot_days(date(2026, 1, 15), date(2026, 2, 20), date(2026, 3, 10))
    assert again == [date(2026, 1, 31), date(2026, 2, 20)]


def test_days_that_follow_each_other_are_folded_at_once_from_the_first_of_them() -> None:
    january, february = date(2026, 1, 31), date(2026, 2, 28)
    week = days_between(date(2026, 3, 4), date(2026, 3, 10))
    assert hops([january, february, *week]) == [[january], [february], week[:1], week[1:]]
    # Of a long row each fold reaches back a fortnight at most: more than a month could not be folded.
    row = days_between(date(2026, 3, 1), date(2026, 4, 9))
    assert hops(row) == [row[:1], row[1:15], row[15:29], row[29:]]
    assert hops([january]) == [[january]]
    assert hops([]) == []


@pytest.mark.parametrize(
    ("day", "is_kept"),
    [
        (date(2026, 2, 4), True),  # the seventh day, the newest counted
        (date(2026, 2, 3), False),
        (date(2026, 1, 31), True),  # a month end, for good
    ],
)
def test_a_snapshot_is_kept_for_seven_days_and_at_month_ends(day: date, is_kept: bool) -> None:
    assert is_kept_snapshot(day, date(2026, 2, 10)) is is_kept
