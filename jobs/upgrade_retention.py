"""mart.upgrade_retention: customers who moved up to sending money against those who stayed with recharges.

0 is who stayed, 1 who upgraded: r of n are retained, p = r / n. All intervals are of 95 %, z = 1.959964, without
correction for continuity:

- a group: the score interval of Wilson (1927), Journal of the American Statistical Association 22:209-212;
- a difference p1 - p0: Newcombe (1998), Statistics in Medicine 17:873-890, method 10, from the two Wilson intervals;
- matched: p0 is standardised directly to those who upgraded. With the stratum's share w of them it is Σ w p0, of
  variance Σ w² p0 (1 - p0) / n0; the difference Σ w (p1 - p0) adds Σ w² p1 (1 - p1) / n1. The shares count as given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.frames import local_frame, select_contract
from jobs.masks import from_position, has_any
from schemas.customer_daily import FAMILIES
from schemas.upgrade import UPGRADE_RETENTION

MASK = ("any_days_0_63", "any_days_64_127")
FIRST_DATES = 60
RETAINED = (90, 119)
# The last day on which a payment decides about the group.
DECIDED_BY = {"naive": 119, "landmark": 30}
LANDMARK_DAYS = f"{2 ** (DECIDED_BY['landmark'] + 1) - 1}L"
COUNTS = ("n0", "r0", "n1", "r1")
Z = "1.959964D"


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
    found = f"array({_row('stayed')}, {_row('upgraded')}, {_row('difference')})"
    rows = _compared(_summed(strata)).selectExpr(
        "as_of_date", "method", "landmark_day", "customers_out", f"inline({found})"
    )
    told = rows.selectExpr(
        "as_of_date",
        "'recharge_to_transfer' as question",
        "method",
        "grp",
        "customers",
        "retained",
        *(f"{_rounded(name)} as {name}" for name in ("rate", "low", "high")),
        "landmark_day",
        f"{first_from} as first_from",
        f"{first_to} as first_to",
        "customers_out",
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
    rates = methods.selectExpr(
        "*",
        "everyone - n0 - n1 as customers_out",
        "if(method = 'matched', weighted / n1, r0 / nullif(n0, 0L)) as p0",
        "r1 / nullif(n1, 0L) as p1",
        f"{Z} * sqrt(variance0) / n1 as reach0",
        f"{Z} * sqrt(variance0 + variance1) / n1 as reach",
    )
    intervals = rates.selectExpr(
        "*",
        f"if(method = 'matched', p0 - reach0, {_wilson(0, '-')}) as low0",
        f"if(method = 'matched', p0 + reach0, {_wilson(0, '+')}) as high0",
        f"{_wilson(1, '-')} as low1",
        f"{_wilson(1, '+')} as high1",
    )
    return intervals.selectExpr(
        "*",
        "if(method = 'matched', reach, sqrt(pow(p1 - low1, 2) + pow(high0 - p0, 2))) as below",
        "if(method = 'matched', reach, sqrt(pow(high1 - p1, 2) + pow(p0 - low0, 2))) as above",
    )


def _wilson(group: int, sign: str) -> str:
    n, r, p = (f"{name}{group}" for name in "nrp")
    return f"({r} + {Z} * {Z} / 2 {sign} {Z} * sqrt({n} * {p} * (1 - {p}) + {Z} * {Z} / 4)) / ({n} + {Z} * {Z})"


def _row(grp: str) -> str:
    customers, retained, rate, low, high = {
        "stayed": ("n0", "if(method = 'matched', null, r0)", "p0", "low0", "high0"),
        "upgraded": ("n1", "r1", "p1", "low1", "high1"),
        "difference": ("n0 + n1", "cast(null as bigint)", "p1 - p0", "p1 - p0 - below", "p1 - p0 + above"),
    }[grp]
    return (
        f"struct('{grp}' as grp, {customers} as customers, {retained} as retained, "
        f"{rate} as rate, {low} as low, {high} as high)"
    )


def _rounded(share: str) -> str:
    """Cut to what is possible and rounded half up to six decimals."""
    lowest = "if(grp = 'difference', -1, 0)"
    cut = f"case when {share} < {lowest} then {lowest} when {share} > 1 then 1 else {share} end"
    # In 14 decimals a half that doubles fall a little short of is a half again, and the order of a sum does not show.
    return f"round(cast({cut} as decimal(15,14)), 6)"
