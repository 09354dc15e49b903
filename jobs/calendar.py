"""Days of the business calendar: ranges of nights, and which snapshots are kept."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from itertools import groupby

# Snapshots are kept for this many days, and at month ends.
KEPT_DAYS = 7
# So many days that follow each other are folded, or judged, in one plan.
FORTNIGHT = 14
# Rows wait for the next Sunday at the longest.
LONGEST_WAIT = timedelta(days=8)
# Stands for the night of all that was known before the nights that are told.
BEFORE = date(1900, 1, 1)


def days_between(first: date, last: date) -> list[date]:
    """Every calendar day from first to last, both included."""
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def is_month_end(day: date) -> bool:
    return (day + timedelta(days=1)).day == 1


def next_sunday(day: date) -> date:
    """The day itself where it is a Sunday, else the Sunday after it."""
    return day + timedelta(days=6 - day.weekday())


def taken_on(landed: date, repairs: Collection[date]) -> date:
    """The night that takes what waits of the night `landed`: the next Sunday, or the next of `repairs` before it."""
    return min(day for day in (next_sunday(landed), *repairs) if day >= landed)


def is_kept_snapshot(day: date, newest: date) -> bool:
    """Whether a snapshot of `day` is still kept once there is one of `newest`."""
    return is_month_end(day) or day > newest - timedelta(days=KEPT_DAYS)


def snapshot_days(first: date, last: date, newest: date) -> list[date]:
    """The days of a range whose snapshots are made on a lake that goes to `newest`.

    Those that are kept, and the last, which holds what the range has told until the next snapshot is published.
    """
    return [day for day in days_between(first, last) if is_kept_snapshot(day, newest) or day == last]


def stepped_days(
    first: date, last: date, *, history: tuple[date, date] | None, step_from: date | None = None
) -> list[date]:
    """The nights of a range that are judged one after the other; `history`: the first and last that have been.

    All of them where the history begins before the range, none where it begins after it; else from `step_from` on, by
    default the last seven days, or from where the history begins within the range.
    """
    if history and last < history[0]:
        return []
    if history and history[0] < first:
        return days_between(first, last)
    start = step_from or min(last - timedelta(days=KEPT_DAYS - 1), history[0] if history else date.max)
    return days_between(max(first, start), last)


def judged_snapshots(judged: Sequence[date], days: Sequence[date]) -> set[date]:
    """The days whose snapshots are needed to judge: each, and the one before the first, which engines learn from."""
    return {judged[0] - timedelta(days=1), *judged} & set(days) if judged else set()


def fortnights(days: Sequence[date]) -> list[list[date]]:
    """The days in order, in groups that are small enough for one plan."""
    return [list(days[start : start + FORTNIGHT]) for start in range(0, len(days), FORTNIGHT)]


def hops(days: Sequence[date]) -> list[list[date]]:
    """Snapshot days in order, grouped into those that are folded at once from the newest snapshot before the group.

    Of days that follow each other the first is alone: the others then reach back to it and no further, or, after a
    fortnight, to the last of that.
    """
    groups: list[list[date]] = []
    for _, run in groupby(enumerate(days), key=lambda numbered: numbered[1] - timedelta(days=numbered[0])):
        first, *others = [day for _, day in run]
        groups += [[first], *fortnights(others)]
    return groups
