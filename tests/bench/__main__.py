"""`make bench`: a warm tiny night step by step, and the look-back for known keys over seven big nights.

It goes on with `tests.bench.fold`, in a process of its own.
Machines are shared and noisy: read the ratios, and the medians only beside each other.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import conf
from jobs import conform
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from jobs.session import open_session
from jobs.simulate.plan import Simulation
from jobs.simulate.run import simulate
from schemas.feeds import TRANSACTIONS

FIRST = date(2026, 1, 1)
CUSTOMERS = 1_500
LOADED_DAYS, WARM_NIGHTS, MEASURED_NIGHTS = 10, 2, 5
ROWS, NIGHTS_BACK, LATE_SHARE, REPEATS = 1_100_000, 7, 0.02, 3


class Clocked(Progress):
    """Remembers how long each step took."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def step(self, what: str) -> Generator[None, None, None]:
        began = time.perf_counter()
        yield
        self.seconds[what].append(time.perf_counter() - began)


def tiny_night(folder: Path) -> None:
    """A night of about a thousand rows, warm: seconds by step, median of several nights in one session."""
    nights = WARM_NIGHTS + MEASURED_NIGHTS
    last = FIRST + timedelta(days=LOADED_DAYS + nights - 1)
    settings = conf.load(environ={"CLM_LAKE": str(folder / "lake"), "CLM_LANDING": str(folder / "landing")})
    spark = open_session(settings)
    simulate(spark, Simulation(customers=CUSTOMERS, first=FIRST, last=last, seed=1, out=folder / "landing"))
    loaded = FIRST + timedelta(days=LOADED_DAYS - 1)
    backfill(settings, FIRST, loaded, reason="bench: before the nights measured", progress=Progress())
    clock = Clocked()
    whole: list[float] = []
    for n in range(1, nights + 1):
        progress = clock if n > WARM_NIGHTS else Progress()
        began = time.perf_counter()
        run_night(settings, loaded + timedelta(days=n), progress=progress)
        if n > WARM_NIGHTS:
            whole.append(time.perf_counter() - began)
    median = statistics.median(whole)
    print(f"A warm tiny night: {median:.1f} s (median of {MEASURED_NIGHTS}; {min(whole):.1f} to {max(whole):.1f})")
    for step, seconds in clock.seconds.items():
        if not step.startswith(("land 2", "conform 2", "know 2", "start")):
            print(f"  {statistics.median(seconds):6.2f} s  {statistics.median(seconds) / median:5.0%}  {step}")


def look_back(spark: SparkSession, folder: Path) -> None:
    """Telling keys apart with and without the look into seven nights of 1.1 million postings each."""
    tonight = FIRST + timedelta(days=NIGHTS_BACK)
    posted = str(folder / "posted")
    rows = _postings(spark, ROWS * NIGHTS_BACK).withColumn("night", (F.col("n") % NIGHTS_BACK).cast("int"))
    rows.withColumn("as_of_date", F.date_add(F.lit(FIRST), F.col("night"))).write.partitionBy("as_of_date").parquet(
        posted
    )
    records = _postings(spark, ROWS, start=ROWS * NIGHTS_BACK).withColumn(
        "late", F.pmod(F.xxhash64("transaction_id"), F.lit(10_000)) < int(LATE_SHARE * 10_000)
    )
    days_late = F.when(F.col("late"), F.pmod(F.xxhash64("n"), F.lit(NIGHTS_BACK)) + 1).otherwise(F.lit(0)).cast("int")
    records = records.withColumns(
        {
            "landed_date": F.lit(tonight),
            "due_date": F.lit(tonight),
            "known_since": F.date_sub(F.lit(tonight), days_late),
            "record_id": F.col("n"),
            "delivery_id": F.lit("bench"),
            "source_rows": F.lit(1).cast("bigint"),
            "bits": F.lit(0).cast("bigint"),
        }
    )
    tonights = str(folder / "tonight")
    records.write.parquet(tonights)
    records = spark.read.parquet(tonights)
    without: list[float] = []
    with_look: list[float] = []
    for _ in range(REPEATS):
        without.append(_seconds(spark, records, None, tonight))
        with_look.append(_seconds(spark, records, posted, tonight))
    a, b = statistics.median(without), statistics.median(with_look)
    print(
        f"Telling {ROWS:,} keys apart: {a:.1f} s; with the look-back over {NIGHTS_BACK} nights of {ROWS:,} rows: "
        f"{b:.1f} s "
        f"(the look-back adds {b - a:.1f} s, ratio {b / a:.2f}; medians of {REPEATS})"
    )


def _postings(spark: SparkSession, rows: int, start: int = 0) -> DataFrame:
    # Every fifth of tonight's late rows says again what is known.
    return spark.range(start, start + rows).select(
        F.col("id").alias("n"),
        F.concat(
            F.lit("P"), F.when(F.col("id") % 5 == 0, F.col("id") % (ROWS * NIGHTS_BACK)).otherwise(F.col("id"))
        ).alias("transaction_id"),
        F.lit("success").alias("status"),
        F.lit("payments").alias("source"),
        F.lit("2026-01-01").cast("timestamp").alias("updated_at"),
        F.xxhash64("id").alias("row_hash"),
        (F.col("id") % 100_000).alias("amount_minor"),
        F.lit("INR").alias("currency"),
        F.lit("debit").alias("direction"),
        F.lit("recharge").alias("product"),
        F.concat(F.lit("U"), F.col("id") % 500_000).alias("customer_id"),
        F.lit(False).alias("is_implied"),
    )


def _verdicts(spark: SparkSession, records: DataFrame, posted: str | None, tonight: date) -> DataFrame:
    prospects = conform.prospects(records, TRANSACTIONS, first=tonight, last=tonight).persist()
    known = None
    if posted is not None:
        keys = conform.late_keys(prospects, TRANSACTIONS).persist()
        keys.count()
        wanted = F.broadcast(keys.select(*TRANSACTIONS.key).distinct())
        known = conform.known(spark.read.parquet(posted), wanted, TRANSACTIONS)
    return conform.verdicts(prospects, known, TRANSACTIONS)


def _seconds(spark: SparkSession, records: DataFrame, posted: str | None, tonight: date) -> float:
    began = time.perf_counter()
    _verdicts(spark, records, posted, tonight).groupBy("outcome").count().collect()
    seconds = time.perf_counter() - began
    spark.catalog.clearCache()
    return seconds


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="clm-bench-") as folder:
        tiny_night(Path(folder))
        look_back(open_session(conf.load(environ={"CLM_LAKE": f"{folder}/lake"})), Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
