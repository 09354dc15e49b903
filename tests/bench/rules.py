"""What rules cost over the profiles of a lake, by how many rules there are, and what the plan looks like.

`python -m tests.bench.rules LAKE`, such as bench/M-parquet/lake. Seconds are of one run beside the others; read the
ratios. The yardstick is DuckDB with the same rules over the same files, segments only.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import duckdb
from pyspark.sql import DataFrame, SparkSession

import conf
from conf import Segment, Settings
from jobs import segments
from jobs.engines.base import engines, score_columns
from jobs.rules.book import RuleBook, compile_book
from jobs.rules.columns import read
from jobs.session import open_session
from tests.bench.base import YESTERDAY
from tests.oracle.tables import delta_files

RULES = (10, 100, 500, 1000)
REPEATS = 3


def settings_with(settings: Settings, count: int) -> Settings:
    """The shipped levels, and so many segments: the shipped ones again and again with other numbers."""
    texts = [
        "days_since_upi < {n}",
        "recharge_count >= {n} and days_since_active < 90",
        "level = 'premium' and days_since_app_open >= {n}",
        "transacting_count >= 5 and days_since_transacting >= {n} and lifecycle <> 'churned'",
        "active_days_90 >= {n} and active_days_28 = 0",
        "transfer_amount_minor / transfer_count > inr({n})",
        "family_count >= 2 and largest_transfer_minor >= inr({n}000)",
        "coalesce(days_since_bill, 999) >= {n} and bill_count >= 1",
        "first_product in ('recharge', 'bill') and active_days >= {n}",
        "case when level = 'power' then transfer_count >= {n} else transacting_count >= {n} * 2 end",
    ]
    example = {"about": "Made up.", "owner": "bench", "matches": ({},), "excludes": ({},)}
    rules = tuple(
        Segment.model_validate({"name": f"s{n:04}", "when": text.format(n=n % 80 + 1), **example})
        for n, text in enumerate(islice(cycle(texts), count))
    )
    return settings.model_copy(update={"segments": rules, "triggers": ()})


def seconds(work: Callable[[], object]) -> float:
    """The median of some runs after one that warms up."""
    work()
    taken: list[float] = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken)


def judged(spark: SparkSession, profile: str, before: DataFrame, book: RuleBook) -> DataFrame:
    """One night: yesterday's segments are there, nobody has a score."""
    return segments.transform(segments.judged(spark.read.parquet(profile), None, before, book))


def shape(frame: DataFrame) -> str:
    """How the plan is made: shuffles, sorts, and stages that are compiled as a whole."""
    plan: Any = frame._jdf.queryExecution().executedPlan()
    text = plan.toString()
    return f"{text.count('Exchange hash')} shuffle, {text.count('Sort [')} sort, {text.count('Window [')} windows"


def duckdb_segments(database: duckdb.DuckDBPyConnection, table: str, book: RuleBook) -> None:
    """The same rules over rows of facts that are there already."""
    members = ", ".join(f"case when {rule.predicate.duckdb} then '{rule.name}' end" for rule in book.segments)
    database.execute(
        "create or replace temp table told as "
        f"select customer_id, list_filter([{members}], lambda x: x is not null) as segments from {table}"
    )


def main() -> None:
    settings = conf.load(environ={})
    spark = open_session(settings)
    scores = score_columns(engines(settings))
    with tempfile.TemporaryDirectory(prefix="clm-bench-") as name:
        folder = Path(name)
        profile = str(folder / "profile")
        with duckdb.connect() as database:
            files = delta_files(database, Path(sys.argv[1]).resolve() / "mart" / "customer_profile")[YESTERDAY]
        spark.read.parquet(*files).selectExpr("*", f"date'{YESTERDAY}' as as_of_date").write.parquet(profile)
        customers = spark.read.parquet(profile).count()
        held = segments.transform(
            segments.judged(spark.read.parquet(profile), None, None, compile_book(settings, scores))
        )
        held.selectExpr("date_sub(as_of_date, 1) as as_of_date", "* except (as_of_date)").write.parquet(
            str(folder / "b")
        )
        before = spark.read.parquet(str(folder / "b"))
        out = str(folder / "out")
        first: float | None = None
        for count in RULES:
            book = compile_book(settings_with(settings, count), scores)
            frame = judged(spark, profile, before, book)
            taken = seconds(lambda frame=frame: frame.write.mode("overwrite").parquet(out))
            first = first or taken
            facts = read(book.columns, {name for name in book.facts_read if book.columns[name].sql})
            told = segments.judged(spark.read.parquet(profile), None, None, book).selectExpr(
                "customer_id", "level", "lifecycle", *(fact.rsplit(" as ", 1)[1] for fact in facts)
            )
            told.write.mode("overwrite").parquet(str(folder / "facts"))
            with duckdb.connect() as database:
                database.execute("set threads = 2")
                yardstick = seconds(
                    lambda database=database, book=book: duckdb_segments(database, f"'{folder}/facts/*.parquet'", book)
                )
            print(
                f"{count:>5} rules over {customers:,} profiles: {taken:6.1f} s, {taken / first:4.2f} of those with "
                f"{RULES[0]}; DuckDB, segments alone from facts: {yardstick:6.1f} s; {shape(frame)}",
                flush=True,
            )


if __name__ == "__main__":
    main()
