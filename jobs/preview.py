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
from jobs.explain import rows_of_day
from jobs.lake import Lake
from jobs.membership import known_on
from jobs.rules.book import Rule, RuleBook
from schemas.judgement import CUSTOMER_SEGMENTS
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
        nearest = lake.ledger.nearest_kept(CUSTOMER_PROFILE.name, day)
        hint = f"; the nearest is of {nearest}" if nearest else ""
        raise Failed(f"The facts of {day} are not kept (the last 7 days are, and month ends){hint}.")
    rows = rows_of_day(lake, book, engines, day).selectExpr("*", f"{rule.predicate.spark} as is_in")
    yesterday = day - timedelta(days=1)
    judged = lake.ledger.days(CUSTOMER_SEGMENTS.name)
    is_known = judged is not None and judged[0] <= yesterday
    if is_known:
        was_in = f"array_contains(segments, '{rule.name}') as was_in"
        rows = rows.join(known_on(lake, yesterday).selectExpr("customer_id", was_in), "customer_id", "left")
    rows = rows.withColumn("was_in", F.expr("coalesce(was_in, false)" if is_known else "false"))
    grouped = rows.groupBy("level", "lifecycle", "is_in", "was_in").count().collect()

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
