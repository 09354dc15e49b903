"""mart.upgrade_retention: customers who moved up to sending money against those who stayed with recharges.

0 is who stayed, 1 who upgraded: r of n are retained, p = r / n. Intervals are those of jobs.intervals, but for matched:
there p0 is standardised directly to those who upgraded. With the stratum's share w of them it is Σ w p0, of variance
Σ w² p0 (1 - p0) / n0; the difference Σ w (p1 - p0) adds Σ w² p1 (1 - p1) / n1. The shares count as given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.frames import local_frame, select_contract
from jobs.intervals import Z, compared, three_rows
from jobs.masks import from_position, has_any
from schemas.customer_daily import FAMILIES
from schemas.upgrade import GROUPS, UPGRADE_RETENTION

MASK = ("any_days_0_63", "any_days_64_127")
FIRST_DATES = 60
RETAINED = (90, 119)
# The last day on which a payment decides about the group.
DECIDED_BY = {"naive": 119, "landmark": 30}
LANDMARK_DAYS = f"{2 ** (DECIDED_BY['landmark'] + 1) - 1}L"
COUNTS = ("n0", "r0", "n1", "r1")


def transform(profile: DataFrame, *, close_after: int, days: Sequence[date]) -> DataFrame:
    """One row is one group, or the difference between the two, by one method; nine a day, with or without customers.

    `profile` is of `days`. Looked at are customers of 60 first dates, of the last of which day 119 was `close_after`
    days ago; with 39 at most, their days 90 to 119 are in the masks. Matched keeps the strata that have both groups.
    `customers` of a difference are those of both groups. `retained` is null for a difference, and for who stayed when
    matched, since they are weighted. `customers_out` are all others looked at, the same in each row of a method.
    """
    first_to = f"date_sub(as_of_date, {RETAINED[1] + close_after})"
    first_from = f"date_sub(as_of_date, {RETAINED[1] + close_after + FIRST_DATES - 1})"
    customers = profile.where(f"first_date between {first_from} and {first_to}")
    # A day without customers has its rows too.
    every_day = local_frame(profile.sparkSession, [(day,) for day in days], "as_of_date date")
    strata = every_day.join(_strata(_split(customers)), "as_of_date", "left")
    rows = three_rows(_compared(_summed(strata)), GROUPS)
    told = rows.selectExpr(
        "*",
        "'recharge_to_transfer' as question",
        "n as customers",
        "if(method = 'matched' and grp = 'stayed', null, r) as retained",
        f"{first_from} as first_from",
        f"{first_to} as first_to",
    )
    return select_contract(told, UPGRADE_RETENTION)


def _split(customers: DataFrame) -> DataFrame:
    """One row is one customer: active days up to the landmark, retained or not, and the group by day."""
    others = ", ".join(f"first_{family}_date" for family in FAMILIES if family != "recharge")
    groups: list[str] = []
    for method, day in DECIDED_BY.items():
        last = f"date_add(first_date, {day})"
        groups += [
            f"first_recharge_date <= {last} and coalesce(least({others}) > {last}, true) as is_0_{method}",
            f"first_transfer_date <= {last} as is_1_{method}",
        ]
    placed = customers.selectExpr("*", f"datediff(as_of_date, first_date) - {RETAINED[1]} as start")
    is_retained = has_any(from_position(MASK, "start"), str(RETAINED[1] - RETAINED[0] + 1))
    return placed.selectExpr(
        "as_of_date",
        # Null where the first date was told too late to have a bit.
        f"bit_count(coalesce(first_days, 0L) & {LANDMARK_DAYS}) as active_days",
        f"{is_retained} as is_retained",
        *groups,
    )


def _strata(split: DataFrame) -> DataFrame:
    """One row is one day and number of active days: the counts by each method, 0 for matched without both groups."""
    counts = ["count(1) as everyone"]
    for method in DECIDED_BY:
        for group in (0, 1):
            is_in = f"is_{group}_{method}"
            counts += [
                f"count_if({is_in}) as n{group}_{method}",
                f"count_if({is_in} and is_retained) as r{group}_{method}",
            ]
    strata = split.groupBy("as_of_date", "active_days").agg(*(F.expr(count) for count in counts))
    has_both = "n0_landmark > 0 and n1_landmark > 0"
    return strata.selectExpr("*", *(f"if({has_both}, {name}_landmark, 0L) as {name}_matched" for name in COUNTS))


def _summed(strata: DataFrame) -> DataFrame:
    """One row is one day and method. Of matched: `weighted`, p0 standardised, and variances, times n1 or its square."""
    rates = strata.selectExpr(
        "*", "r0_matched / nullif(n0_matched, 0L) as p0", "r1_matched / nullif(n1_matched, 0L) as p1"
    )
    terms = {
        "weighted": "n1_matched * p0",
        "variance0": "n1_matched * n1_matched * p0 * (1 - p0) / n0_matched",
        "variance1": "n1_matched * p1 * (1 - p1)",
    }
    counts = ["everyone", *(f"{name}_{method}" for method in (*DECIDED_BY, "matched") for name in COUNTS)]
    sums = [
        *(f"coalesce(sum({name}), 0L) as {name}" for name in counts),
        *(f"sum({term}) as {name}" for name, term in terms.items()),
    ]
    summed = rates.groupBy("as_of_date").agg(*(F.expr(each) for each in sums))
    methods = ", ".join(
        f"struct('{method}' as method, {day} as landmark_day, "
        + ", ".join(f"{name}_{method} as {name}" for name in COUNTS)
        + ")"
        for method, day in {**DECIDED_BY, "matched": DECIDED_BY["landmark"]}.items()
    )
    return summed.selectExpr("as_of_date", "everyone", *terms, f"inline(array({methods}))")


def _compared(methods: DataFrame) -> DataFrame:
    """One row is one day and method: each group's rate and interval, and how far the difference's reaches both ways."""
    rows = methods.selectExpr(
        "*",
        "everyone - n0 - n1 as customers_out",
        f"{Z} * sqrt(variance0) / n1 as reach0",
        f"{Z} * sqrt(variance0 + variance1) / n1 as reach",
    )
    matched = {
        "p0": "weighted / n1",
        "low0": "weighted / n1 - reach0",
        "high0": "weighted / n1 + reach0",
        "below": "reach",
        "above": "reach",
    }
    return compared(rows).selectExpr(
        f"* except ({', '.join(matched)})",
        *(f"if(method = 'matched', {sql}, {name}) as {name}" for name, sql in matched.items()),
    )
