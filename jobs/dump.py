"""A historical dump: one delivery with the rows of many dates, each of which belongs to the night of its date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from conf import Source
from jobs import land
from jobs.errors import DataRefused
from jobs.expressions import Expression
from jobs.mapping import reasons, records


@dataclass(frozen=True)
class Judgement:
    """What is said of a dump as a whole, in source rows: how many, refused, dated before the lake's first night."""

    source_rows: int
    refused_rows: int
    rows_before: int
    by_reason: dict[str, int]


def dated(
    rows: DataFrame, source: Source, mapping: Mapping[str, Expression], *, zone: str, currency: str, first_night: date
) -> DataFrame:
    """One row is one record of the dump: its `night`, `known_from_date`, bits and raw rows.

    Records are made before they are dated: a reversal by when it was made. Without a valid date they belong to the
    first night. `known_from_date` is the first date that rows of the record's key speak of, so that keys are told
    apart over the whole, and so is the payment that a reversal takes back.
    """
    whole = land.transform(rows.withColumn("night", F.lit(first_night)), source)
    made = records(whole, source, mapping, zone=zone, currency=currency, with_rows=True)
    made = made.withColumn("night", F.coalesce("event_date", F.lit(first_night)))
    if not source.has_key:
        return made.withColumn("known_from_date", F.col("night"))
    spoken_of = F.coalesce("learned_date", F.lit(first_night))
    return made.withColumn("known_from_date", F.min(spoken_of).over(Window.partitionBy(*source.feed_spec.key)))


def transform(dated: DataFrame, source: Source, *, first: date, last: date) -> DataFrame:
    """raw.<source> for the nights first … last."""
    rows = dated.where(F.col("night").between(F.lit(first), F.lit(last))).select(
        "night", "known_from_date", F.explode("rows").alias("row")
    )
    columns = [
        F.col(f"row.`{name}`") for name in rows.select("row.*").columns if name not in ("as_of_date", "known_from_date")
    ]
    flat = rows.select("night", "known_from_date", *columns)
    return land.contract(flat, source)


def judge(dated: DataFrame, source: Source, first_night: date) -> Judgement:
    """Count the dump's source rows: all, refused, by reason, and those dated before the first night."""
    is_before = F.col("night") < F.lit(first_night)
    # A few combinations of bits come, however many rows: their names are told apart here.
    groups = dated.groupBy("bits", is_before.alias("is_before")).agg(F.sum("source_rows").alias("rows")).collect()
    by_reason = {
        name: rows
        for bit, name in enumerate(reasons(source, source.feed_spec))
        if (rows := sum(group["rows"] for group in groups if group["bits"] >> bit & 1))
    }
    return Judgement(
        source_rows=sum(group["rows"] for group in groups),
        refused_rows=sum(group["rows"] for group in groups if group["bits"]),
        rows_before=sum(group["rows"] for group in groups if group["is_before"]),
        by_reason=by_reason,
    )


def refuse_above_limit(source: Source, judgement: Judgement) -> None:
    """Raises DataRefused where more of the dump is refused than its source allows; nothing of it is published."""
    if is_above_limit(source, judgement.refused_rows, judgement.source_rows):
        raise DataRefused(
            above_limit(source, "the dump", judgement.refused_rows, judgement.source_rows, judgement.by_reason)
        )


def is_above_limit(source: Source, refused: int, rows: int) -> bool:
    """More than max_quarantined of the rows; exactly, for as floats 0.29 of 100 is less than 29.

    One row alone is no share of anything, unless none at all may be refused (docs/adr/0005).
    """
    limit = Decimal(str(source.limits.max_quarantined))
    return refused > limit * rows and (refused > 1 or not limit)


def above_limit(source: Source, what: str, refused: int, rows: int, by_reason: Mapping[str, int]) -> str:
    """The sentence for a delivery that is refused as a whole."""
    worst = ", ".join(f"{name} {count}" for name, count in sorted(by_reason.items(), key=lambda item: -item[1])[:4])
    return (
        f"{source.name}: {refused} of {rows} rows of {what} would be quarantined ({worst}), "
        f"more than max_quarantined = {source.limits.max_quarantined}. None of its rows reached core. "
        f"Ask {source.owner}, correct [columns] or [map] in {source.location}, or raise the limit there."
    )
