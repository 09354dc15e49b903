"""A historical dump: one delivery with the rows of many dates, each of which belongs to the night of its date."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from conf import Source
from jobs import land
from jobs.errors import DataRefused
from jobs.expressions import Expression
from jobs.mapping import reasons, reasons_of, records


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

    Records are made before they are dated. Without a valid date they belong to the first night.
    `known_from_date` is the first night that holds the record's key, so that keys are told apart over the whole.
    """
    whole = land.transform(rows.withColumn("night", F.lit(first_night)), source)
    made = records(whole, source, mapping, zone=zone, currency=currency, with_rows=True)
    made = made.withColumn("night", F.coalesce("learned_date", F.lit(first_night)))
    if not source.has_key:
        return made.withColumn("known_from_date", F.col("night"))
    key = source.feed_spec.key
    return made.withColumn("known_from_date", F.min("night").over(Window.partitionBy(*key)))


def transform(dated: DataFrame, source: Source, *, first: date, last: date) -> DataFrame:
    """raw.<source> for the nights first … last."""
    rows = dated.where(F.col("night").between(F.lit(first), F.lit(last))).select(
        "night", "known_from_date", F.explode("rows").alias("row")
    )
    columns = [F.col(f"row.`{name}`") for name in rows.select("row.*").columns if name not in ("as_of_date", "known_from_date")]
    flat = rows.select("night", "known_from_date", *columns)
    return land.contract(flat, source)


def judge(dated: DataFrame, source: Source, first_night: date) -> Judgement:
    """Count the dump's source rows: all, refused, by reason, and those dated before the first night."""
    names = reasons(source, source.feed_spec)
    rows = F.col("source_rows")
    is_refused = F.col("bits") != 0
    totals = dated.agg(
        F.coalesce(F.sum(rows), F.lit(0)).alias("all"),
        F.coalesce(F.sum(F.when(is_refused, rows)), F.lit(0)).alias("refused"),
        F.coalesce(F.sum(F.when(F.col("night") < F.lit(first_night), rows)), F.lit(0)).alias("before"),
        *(F.coalesce(F.sum(F.when(F.array_contains(reasons_of(F.col("bits"), names), name), rows)), F.lit(0)).alias(name) for name in names),
    ).first()
    assert totals is not None
    by_reason = {name: totals[name] for name in names if totals[name]}
    return Judgement(totals["all"], totals["refused"], totals["before"], by_reason)


def refuse_above_limit(source: Source, judgement: Judgement) -> None:
    """Raises DataRefused where more of the dump is refused than its source allows; nothing of it is published."""
    if judgement.refused_rows > source.limits.max_quarantined * judgement.source_rows:
        raise DataRefused(above_limit(source, "the dump", judgement.refused_rows, judgement.source_rows, judgement.by_reason))


def above_limit(source: Source, what: str, refused: int, rows: int, by_reason: Mapping[str, int]) -> str:
    """The sentence for a delivery that is refused as a whole."""
    worst = ", ".join(f"{name} {count}" for name, count in sorted(by_reason.items(), key=lambda item: -item[1])[:4])
    return (
        f"{source.name}: {refused} of {rows} rows of {what} would be quarantined ({worst}), "
        f"more than max_quarantined = {source.limits.max_quarantined}. Nothing was published. "
        f"Ask {source.owner}, correct [columns] or [map] in {source.location}, or raise the limit there."
    )
