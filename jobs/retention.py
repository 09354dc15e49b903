"""mart.retention: cohorts by day, week and month with their rates; computed when it is read."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.frames import select_contract
from schemas.mart import RETENTION

STARTS = {"day": "first_date", "week": "date_trunc('week', first_date)", "month": "trunc(first_date, 'MM')"}
ENDS = {"day": "cohort_start", "week": "date_add(cohort_start, 6)", "month": "last_day(cohort_start)"}


def transform(cohorts: DataFrame, known_on: date) -> DataFrame:
    """One row is one cohort in one window. `cohorts` are all windows that closed up to `known_on`.

    Weeks and months are sums over the first dates that have closed. A cohort is complete when the window of its
    last calendar day has closed, whether or not anyone arrived on it; until then it has no rate.
    """
    grains = ", ".join(
        f"struct('{grain}' as grain, cast({start} as date) as cohort_start)" for grain, start in STARTS.items()
    )
    # All first dates of a month close together, so a calendar month is told by months alone.
    only_month = f"array(struct('month' as grain, cast({STARTS['month']} as date) as cohort_start))"
    rows = cohorts.selectExpr(
        "*",
        f"inline(if(definition = 'calendar_month', {only_month}, array({grains})))",
        "datediff(as_of_date, first_date) as days_to_close",
    )
    summed = rows.groupBy("definition", "period", "slice", "slice_value", "grain", "cohort_start").agg(
        F.sum("customers").alias("customers"),
        F.sum("retained").alias("retained"),
        F.max("days_to_close").alias("days_to_close"),
    )
    ends = " ".join(f"when '{grain}' then {end}" for grain, end in ENDS.items())
    is_complete = f"definition = 'calendar_month' or date_add(case grain {ends} end, days_to_close) <= date'{known_on}'"
    told = summed.selectExpr("*", f"date'{known_on}' as as_of_date", f"{is_complete} as is_complete")
    rate = "if(is_complete, round(cast(retained as decimal(20,0)) / customers, 6), null) as rate"
    return select_contract(told.selectExpr("*", rate), RETENTION)
