"""retention: mart.retention_cohorts, the windows that close on the night, read off the masks of the profile."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import date, timedelta

from conf import Settings
from tests.oracle.night import Night

WORD = 64
SIGN = 1 << (WORD - 1)
# A window that closes, the first dates whose window it is, and its days as the two words of a mask.
WINDOW = "definition varchar, period varchar, first_from date, first_to date, newest bigint, oldest bigint"


def writes(settings: Settings) -> list[str]:
    return ["mart.retention_cohorts"]


def run(night: Night) -> None:
    """One row is one window that closes, for the customers of one first date: all of them, or those of one slice."""
    slices = night.settings.cohorts.slices
    cohort = "definition, period, first_date"
    grouped = ", ".join(f"({names})" for names in (cohort, *(f"{cohort}, {name}" for name in slices)))
    night.tables.write(
        "mart.retention_cohorts",
        night.day,
        f"""
        with windows as (
            select definition, period, newest, oldest,
                unnest(generate_series(first_from, first_to, interval 1 day))::date as first_date
            from (select unnest({list(_closing(night))}::struct({WINDOW})[], recursive := true))
        )
        select {cohort},
            coalesce({"".join(f"if(grouping({name}) = 0, '{name}', null), " for name in slices)}'all') as slice,
            coalesce({"".join(f"{name}, " for name in slices)}'') as slice_value,
            count(*) as customers,
            count(*) filter (any_days_0_63 & newest <> 0 or any_days_64_127 & oldest <> 0) as retained
        from {night.tables.on("mart.customer_profile", night.day)} join windows using (first_date)
        group by grouping sets ({grouped})
        """,
    )


def _closing(night: Night) -> Iterator[dict[str, str | int]]:
    """The windows that close tonight: their last day is `close_after` days ago."""
    cohorts, close_after = night.settings.cohorts, night.settings.lake.close_after
    last = night.day - timedelta(days=close_after)
    for definition, period, start, end in (
        *(("n_day", f"day_{day}", day, day) for day in cohorts.n_day),
        *(("bracket", f"days_{start}_{end}", start, end) for start, end in cohorts.bracket),
        *(("unbounded", f"day_{start}_plus", start, end) for start, end in cohorts.unbounded),
    ):
        first = last - timedelta(days=end)
        yield _window(definition, period, first, first, days=end - start + 1, ago=close_after)
    if last == _last_of_month(last):
        first_to = last
        for months in range(cohorts.calendar_month + 1):
            first_from = first_to.replace(day=1)
            yield _window("calendar_month", f"month_{months}", first_from, first_to, days=last.day, ago=close_after)
            first_to = first_from - timedelta(days=1)


def _last_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _window(
    definition: str, period: str, first_from: date, first_to: date, *, days: int, ago: int
) -> dict[str, str | int]:
    """A row of WINDOW; the last of its `days` is `ago` days before the night."""
    newest, oldest = words(days, ago=ago)
    return {
        "definition": definition,
        "period": period,
        "first_from": str(first_from),
        "first_to": str(first_to),
        "newest": newest,
        "oldest": oldest,
    }


def words(days: int, *, ago: int) -> tuple[int, int]:
    """The mask of so many days, the last of them `ago` days before the night, which is bit 0: its two signed words."""
    mask = ((1 << days) - 1) << ago
    newest, oldest = mask % (1 << WORD), mask >> WORD
    return _signed(newest), _signed(oldest)


def _signed(word: int) -> int:
    return word - 2 * SIGN if word & SIGN else word
