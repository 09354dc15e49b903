"""How many customers a segment would have, and who they are like, before anybody acts on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engines.base import Engine
from jobs.errors import Failed
from jobs.explain import rule_rows
from jobs.lake import Lake
from jobs.membership import known_on
from jobs.rules.book import Rule, RuleBook
from schemas.mart import CUSTOMER_PROFILE

SAMPLE = 5


@dataclass(frozen=True)
class Preview:
    """A segment by the rule as it is now, on the facts of `day`.

    `entering` and `leaving` are against those who were in it the night before, None where that night is not known.
    `overlap`: other segment → members of both. `sample`: a few members, by masked id, with the values that decide.
    """

    name: str
    about: str
    text: str
    day: date
    customers: int
    members: int
    entering: int | None
    leaving: int | None
    levels: Mapping[str, int]
    stages: Mapping[str, int]
    overlap: Mapping[str, int]
    sample: Sequence[Mapping[str, Any]]


def preview(lake: Lake, book: RuleBook, engines: Sequence[Engine], rule: Rule, day: date) -> Preview:
    """The preview of a segment; raises Failed where the facts of the day are not kept."""
    if not lake.ledger.published(CUSTOMER_PROFILE.name, day, day):
        kept = lake.ledger.kept_days(CUSTOMER_PROFILE.name)
        nearest = f"; the nearest is of {min(kept, key=lambda other: abs(other - day))}" if kept else ""
        raise Failed(f"The facts of {day} are not kept (the last 7 days are, and month ends){nearest}.")
    rows = rule_rows(lake, book, engines, day).selectExpr("*", f"{rule.predicate.spark} as is_member")
    rows = rows.join(_members_before(lake, rule, day), "customer_id", "full").selectExpr(
        "*", "coalesce(is_member, false) as is_in", "coalesce(was_member, false) as was_in"
    )
    grouped = rows.groupBy("level", "lifecycle", "is_in", "was_in").count().collect()
    is_known = _is_judged(lake, day - timedelta(days=1))

    def total(**told: Any) -> int:
        return sum(row["count"] for row in grouped if all(row[name] == value for name, value in told.items()))

    def by(name: str) -> dict[str, int]:
        values = {row[name] for row in grouped if row["is_in"] and row[name] is not None}
        return {value: total(is_in=True, **{name: value}) for value in sorted(values)}

    members = rows.where("is_in")
    return Preview(
        name=rule.name,
        about=rule.about,
        text=rule.predicate.text,
        day=day,
        customers=total(),
        members=total(is_in=True),
        entering=total(is_in=True, was_in=False) if is_known else None,
        leaving=total(is_in=False, was_in=True) if is_known else None,
        levels=by("level"),
        stages=by("lifecycle"),
        overlap=_overlap(members, rule),
        sample=_sample(members, rule),
    )


def _is_judged(lake: Lake, day: date) -> bool:
    days = lake.ledger.days("mart.customer_segments")
    return days is not None and days[0] <= day


def _members_before(lake: Lake, rule: Rule, day: date) -> DataFrame:
    """Those who were in the segment the night before; nobody where that night is not known."""
    yesterday = day - timedelta(days=1)
    judged = known_on(lake, yesterday if _is_judged(lake, yesterday) else day)
    was_in = f"array_contains(segments, '{rule.name}')" if _is_judged(lake, yesterday) else "false"
    return judged.selectExpr("customer_id", f"{was_in} as was_member")


def _overlap(members: DataFrame, rule: Rule) -> dict[str, int]:
    shared = members.selectExpr("explode(segments) as other").where(F.col("other") != F.lit(rule.name))
    counted = shared.groupBy("other").count().orderBy(F.desc("count"), "other").collect()
    return {row["other"]: row["count"] for row in counted}


def _sample(members: DataFrame, rule: Rule) -> list[dict[str, Any]]:
    """A few members, always the same ones of a day; of a long id its end is shown."""
    columns = rule.predicate.columns
    chosen = members.orderBy(F.expr("xxhash64(customer_id)")).limit(SAMPLE)
    rows = chosen.selectExpr(
        "concat('•••', if(length(customer_id) < 6, '', right(customer_id, 2))) as customer", *columns
    ).collect()
    return [row.asDict() for row in rows]
