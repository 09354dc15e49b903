"""What the runner asks of every engine before its scores are published: that it keeps its contract, and its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from threading import Event, Timer
from typing import Any, TypeVar
from uuid import uuid4

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.engines.base import Engine
from jobs.errors import Failed
from schemas.judgement import HIGHEST_SCORE, SCORES
from schemas.mart import CUSTOMER_PROFILE

Result = TypeVar("Result")

# What an engine says of a customer; the rest of mart.scores the runner adds.
TOLD = tuple(SCORES.column(name) for name in ("customer_id", "score", "band", "values", "reasons"))
ROW_FAULTS = {
    "rows without customer_id": "customer_id is null",
    "rows without score": "score is null",
    "rows without band": "band is null",
    "rows without reasons, or with null among them": "reasons is null or exists(reasons, reason -> reason is null)",
    f"rows with a score outside 0 to {HIGHEST_SCORE}": f"score not between 0 and {HIGHEST_SCORE}",
}
STRANGERS = f"scored customers who are not in {CUSTOMER_PROFILE.name}"
TWICE = "customers scored more than once"
CUSTOMERS = "customers"
# Of a million customers and more one in a thousand is scored again; of fewer about a thousand are. At most every
# second one: somebody has to be missing for an engine that looks at others to notice.
SAMPLED, ONE_IN_AT_LEAST, ONE_IN_AT_MOST = 1000, 2, 1000


class TimedOut(Failed):
    """Work that took longer than it may."""


def faults(engine: Engine, scored: DataFrame, frames: Mapping[str, DataFrame], as_of: date) -> list[str]:
    """What is wrong with the scores of one engine and night, a sentence each with a count; empty where all is well.

    `scored` are its rows as they were written, so that what is judged is what will be read. `frames` is what it was
    given, with mart.customer_profile whether or not it reads that. Two passes: over all rows, and over a sample that
    is scored again without the others; customers whom it leaves out are its own affair.
    """
    rows = _told(scored)
    figures = _figures(engine, rows, frames[CUSTOMER_PROFILE.name])
    one_in = min(max(figures.pop(CUSTOMERS) // SAMPLED, ONE_IN_AT_LEAST), ONE_IN_AT_MOST)
    figures[
        f"customers told something else when one in {one_in} is scored without the others "
        "(by chance, or by looking at other rows)"
    ] = _told_otherwise(engine, rows, frames, as_of, one_in)
    return [f"The engine {engine.name} has {what}: {count}." for what, count in figures.items() if count]


def _told(frame: DataFrame) -> DataFrame:
    """The columns of the contract, in the types that they are written in."""
    return frame.selectExpr(*(f"cast(`{column.name}` as {column.type}) as `{column.name}`" for column in TOLD))


def _figures(engine: Engine, rows: DataFrame, profile: DataFrame) -> dict[str, int]:
    """What may be wrong → how often it is; and CUSTOMERS, how many there are."""
    checks: dict[str, Column] = {what: F.expr(condition) for what, condition in ROW_FAULTS.items()}
    checks[f"rows with a band other than {', '.join(engine.bands)}"] = ~F.col("band").isin(*engine.bands)
    told = rows.select("customer_id", F.lit(1).alias("scored"), *(check.alias(what) for what, check in checks.items()))
    known = profile.select("customer_id", F.lit(1).alias("known"))
    counts = [F.count("scored").alias("scored"), F.count("known").alias("known")]
    counts += [F.count_if(f"`{what}`").alias(what) for what in checks]
    # A row is a customer, scored or known; without customer_id it is nobody, scored once or more.
    customers = told.unionByName(known, allowMissingColumns=True).groupBy("customer_id").agg(*counts)
    found = customers.agg(
        F.sum("known").alias(CUSTOMERS),
        F.count_if(F.expr("customer_id is not null and scored > 0 and known = 0")).alias(STRANGERS),
        F.count_if(F.expr("customer_id is not null and scored > 1")).alias(TWICE),
        *(F.sum(f"`{what}`").alias(what) for what in checks),
    ).collect()[0]
    return {what: count or 0 for what, count in found.asDict().items()}


def _told_otherwise(engine: Engine, rows: DataFrame, frames: Mapping[str, DataFrame], as_of: date, one_in: int) -> int:
    """How many customers of a sample have other rows when nobody else is there."""
    # Rows that name nobody are there for everyone.
    is_sampled = f"customer_id is null or pmod(xxhash64(customer_id), {one_in}) = 0"
    alone = {
        name: frame.where(is_sampled) if "customer_id" in frame.columns else frame
        for name, frame in frames.items()
        if name in engine.reads
    }
    both = (
        rows.where(is_sampled)
        .withColumn("times", F.lit(1))
        .unionByName(_told(engine.score(alone, as_of)).withColumn("times", F.lit(-1)))
    )
    differing = both.groupBy(*(column.name for column in TOLD)).agg(F.sum("times").alias("times")).where("times <> 0")
    return differing.agg(F.count_distinct("customer_id")).collect()[0][0]


def within(spark: SparkSession, seconds: float, work: Callable[[], Result], *, name: str) -> Result:
    """What `work` returns. Raises TimedOut where it takes longer than `seconds`; the Spark jobs of it are cancelled.

    Only those of `work`, and also those that it would yet begin. What it does in Python between two jobs goes on until
    it asks for the next or comes to its end, and counts as too late then.
    """
    java: Any = spark.sparkContext._jsc
    group = f"{name} {uuid4()}"
    is_over = Event()

    def cancel() -> None:
        is_over.set()
        # Not PySpark's cancelJobGroup, which would miss work that is being planned at that moment.
        java.sc().cancelJobGroupAndFutureJobs(group)

    timer = Timer(seconds, cancel)
    # A copy: threads that PySpark has begun together share one object, and would all be of the group.
    before = java.sc().getLocalProperties()
    java.sc().setLocalProperties(before.clone())
    spark.sparkContext.setJobGroup(group, name, interruptOnCancel=True)
    timer.start()
    try:
        result = work()
    except Exception as error:
        if is_over.is_set():
            raise TimedOut(_late(name, seconds)) from error
        raise
    finally:
        timer.cancel()
        timer.join()
        java.sc().setLocalProperties(before)
    if is_over.is_set():
        raise TimedOut(_late(name, seconds))
    return result


def _late(name: str, seconds: float) -> str:
    return f"{name}: given up after {seconds:g} s, which is as long as it may take."
