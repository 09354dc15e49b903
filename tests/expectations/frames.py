"""Tiny frames for the tests of figures: a good row, and what each case changes about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from expectations.business import ELIGIBLE
from expectations.check import judge_all
from expectations.figures import DUPLICATE_KEYS, SCHEMA_DIFFERENCES, Suite, gather_sql
from schemas.table import Table

NIGHT = date(2026, 1, 31)
# Two rows are in each case.
FILLED_IN = {SCHEMA_DIFFERENCES.name: 0, DUPLICATE_KEYS.name: 0, ELIGIBLE.name: 2}

Row = Mapping[str, Any]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def gather(spark: SparkSession, table: Table, suite: Suite, cases: Mapping[str, Sequence[Row]]) -> dict[str, Row]:
    """The figures of each case, whose rows name only some of the table's columns, in one Spark aggregate."""
    rows = [(*(row.get(name) for name in table.column_names), case) for case, found in cases.items() for row in found]
    frame = spark.createDataFrame(rows, f"{table.ddl(nullable=True)}, case string")
    gathered = frame.groupBy("as_of_date", "case").agg(*(F.expr(figure) for figure in gather_sql([suite]))).collect()
    return {row["case"]: row.asDict() for row in gathered}


def refusals(
    spark: SparkSession, table: Table, suite: Suite, good: Row, changes: Mapping[str, Row]
) -> dict[str, set[str]]:
    """For each case the expectations that fail when one row, `good` with the case's changes, joins a good one."""
    cases = {case: [good, {**good, **change}] for case, change in changes.items()}
    figures = gather(spark, table, suite, cases)
    judged = judge_all([(suite, {**FILLED_IN, **figures[case]}) for case in cases])
    return {
        case: {result.expectation for result in results if not result.success}
        for case, results in zip(cases, judged, strict=True)
    }
