"""Days of the business calendar: ranges of nights, and which snapshots are kept."""

from __future__ import annotations

from datetime import date, timedelta

# Snapshots are kept for this many days, and at month ends.
KEPT_DAYS = 7


def days_between(first: date, last: date) -> list[date]:
    """Every calendar day from first to last, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def is_month_end(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def next_sunday(day: date) -> date:
    """The day itself where it is a Sunday, else the Sunday after it."""
    return day + timedelta(days=6 - day.weekday())


def snapshot_days(first: date, last: date) -> list[date]:
    """The days of a range whose snapshots are made: its month ends and its last week."""
    week = last - timedelta(days=KEPT_DAYS - 1)
    return [day for day in days_between(first, last) if is_month_end(day) or day >= week]
