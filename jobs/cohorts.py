"""mart.retention_cohorts: the retention windows that close on a night."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import CohortSettings
from jobs.frames import select_contract
from jobs.masks import from_position, has_any
from schemas.mart import RETENTION_COHORTS

MASK = ("any_days_0_63", "any_days_64_127")


def _windows(cohorts: CohortSettings) -> Iterator[tuple[str, str, str, str]]:
    """Definition, period, and the window's first and last date (SQL over first_date)."""
    for n in cohorts.n_day:
        yield "n_day", f"day_{n}", f"date_add(first_date, {n})", f"date_add(first_date, {n})"
    for a, b in cohorts.bracket:
        yield "bracket", f"days_{a}_{b}", f"date_add(first_date, {a})", f"date_add(first_date, {b})"
    for a, b in cohorts.unbounded:
        yield "unbounded", f"day_{a}_plus", f"date_add(first_date, {a})", f"date_add(first_date, {b})"
    for n in range(cohorts.calendar_month + 1):
        begins = f"add_months(trunc(first_date, 'MM'), {n})"
        yield "calendar_month", f"month_{n}", begins, f"last_day({begins})"


def transform(profile: DataFrame, cohorts: CohortSettings, *, close_after: int, days: Sequence[date]) -> DataFrame:
    """One row is one window that closes on one of `days`, for one first active date and slice value.

    `profile` is of the last of the days, which are a month at most: a window closes `close_after` days after its
    last date, so its dates are still in the mask. What a later night of `days` learnt counts as if known.
    """
    last = max(days)
    windows = ", ".join(
        f"struct('{definition}' as definition, '{period}' as period, {begins} as begins, {ends} as ends, "
        f"date_add({ends}, {close_after}) as as_of_date)"
        for definition, period, begins, ends in _windows(cohorts)
    )
    closing = f"filter(array({windows}), w -> w.as_of_date between date'{min(days)}' and date'{last}')"
    slices = ["struct('all' as slice, '' as slice_value)"]
    slices += [f"struct('{name}' as slice, coalesce({name}, '') as slice_value)" for name in cohorts.slices]
    rows = profile.where("first_date is not null").selectExpr(
        "first_date", *cohorts.slices, *MASK, f"explode({closing}) as closed"
    )
    rows = rows.selectExpr("*", "closed.*", f"datediff(date'{last}', closed.ends) as start")
    window = from_position(MASK, "start")
    rows = rows.selectExpr(
        "as_of_date",
        "definition",
        "period",
        "first_date",
        f"inline(array({', '.join(slices)}))",
        f"{has_any(window, '(datediff(ends, begins) + 1)')} as is_retained",
    )
    counted = rows.groupBy("as_of_date", "definition", "period", "first_date", "slice", "slice_value").agg(
        F.count(F.lit(1)).alias("customers"), F.count_if("is_retained").alias("retained")
    )
    return select_contract(counted, RETENTION_COHORTS)
