"""The whole simulation: deliveries as in the field, and beside them the truth about every row."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.simulate import days
from jobs.simulate.deliver import as_delivered, deliver, join, write_days
from jobs.simulate.feeds import FEEDS, Feed
from jobs.simulate.outcomes import write_outcomes
from jobs.simulate.people import people
from jobs.simulate.plan import Simulation, Source, SourceSummary, Summary, packaged_source
from schemas.feeds import FEEDS as SHAPES

log = logging.getLogger("clm")

AT_A_TIME = 2
# Customers times days: about as many fit into the memory of a laptop beside everything else.
SMALL = 400_000
TINY = 40_000
INFERENCE = {"spark.sql.constraintPropagation.enabled": "false"}
COMPILED = {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}


def simulate(spark: SparkSession, simulation: Simulation) -> Summary:
    """Write `<out>/<source>/<date>/` for every feed and date, and `<out>/truth/`.

    `truth/<source>/<date>.parquet` says of every delivered row what went wrong with it and which answer conform owes
    it (`feeds.Feed.truth`); `truth/summary.json` counts. Raises Usage if it cannot be told.
    """
    simulation.check()
    truth = simulation.out / "truth"
    truth.mkdir(parents=True)
    sources, deliveries = {}, 0
    with _quick_plans(spark, simulation), _crowd(spark, simulation) as crowd:
        for feed in simulation.feeds:
            source = packaged_source(feed)
            log.info("%s: simulating %d days of %d customers", source.name, len(simulation.dates), simulation.customers)
            with _kept(FEEDS[feed].told(crowd, simulation, source), simulation) as rows:
                _write_truth(rows, FEEDS[feed], simulation, source)
                deliveries += _write(rows, FEEDS[feed], simulation, source, simulation.dates)
            sources[source.name] = _summary(spark, truth / source.name)
        write_outcomes(crowd, simulation, truth)
    summary = Summary(len(simulation.dates), deliveries, sources)
    (truth / "summary.json").write_text(json.dumps(_document(simulation, summary), indent=1) + "\n", encoding="utf-8")
    return summary


def simulate_deliveries(spark: SparkSession, simulation: Simulation, begins: Mapping[str, date] | None = None) -> None:
    """The deliveries of `simulate` without the truth about them, in half the time.

    `begins`: feeds that are delivered from a later date on; of a state the first delivery holds all there was before.
    """
    simulation.check()
    simulation.out.mkdir(parents=True, exist_ok=True)

    with _quick_plans(spark, simulation), _crowd(spark, simulation) as crowd, ThreadPoolExecutor(AT_A_TIME) as pool:

        def write(feed: str) -> None:
            source = packaged_source(feed)
            rows = FEEDS[feed].told(crowd, simulation, source)
            first = (begins or {}).get(feed, simulation.first)
            if SHAPES[feed].kind == "events":
                rows = rows.where(F.col("delivery_date") >= F.lit(first))
            else:
                rows = rows.withColumn("delivery_date", F.greatest("delivery_date", F.lit(first)))
            _write(rows, FEEDS[feed], simulation, source, [day for day in simulation.dates if day >= first])

        # While one feed's files are moved and counted, the next one is made.
        list(pool.map(write, simulation.feeds))


@contextmanager
def _quick_plans(spark: SparkSession, simulation: Simulation) -> Generator[None]:
    """Without inferring what holds of every column: with so many of them that takes longer than making the rows.

    And compiled, whatever the session does otherwise, unless the story is tiny.
    """
    settings = INFERENCE | (COMPILED if simulation.customers * len(simulation.dates) > TINY else {})
    before = {key: spark.conf.get(key) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            spark.conf.set(key, str(value))


@contextmanager
def _kept(rows: DataFrame, simulation: Simulation) -> Generator[DataFrame]:
    """Of a small story the rows are kept, since planning takes longer than making them; of a large one it is dearer."""
    if simulation.customers * len(simulation.dates) > SMALL:
        yield rows
        return
    kept = rows.persist()
    try:
        yield kept
    finally:
        kept.unpersist()


@contextmanager
def _crowd(spark: SparkSession, simulation: Simulation) -> Generator[DataFrame]:
    """The people, whose days several feeds are made of: Spark finds again what is kept of them."""
    with _kept(people(spark, simulation), simulation) as crowd, _kept(days.lived(crowd, simulation), simulation):
        yield crowd


def _write_truth(rows: DataFrame, feed: Feed, simulation: Simulation, source: Source) -> None:
    truth = simulation.out / "truth" / source.name
    truth.mkdir()
    columns = [F.col(name) for name in feed.truth]
    with _work_folder(simulation) as work:
        told = rows.drop("delivery_nth")
        files = write_days(
            told, columns, feed.order, simulation.dates, "parquet", Path(work) / "truth", simulation.parts
        )
        for day, parts in files.items():
            join(parts, truth / f"{day}.parquet")


def _write(rows: DataFrame, feed: Feed, simulation: Simulation, source: Source, dates: Sequence[date]) -> int:
    file_format = simulation.format_of(source)
    columns = as_delivered(rows, source, file_format, feed.sent_as, feed.also)
    with _work_folder(simulation) as work:
        files = write_days(rows, columns, feed.order, dates, file_format, Path(work) / "files", simulation.parts)
        return deliver(files, dates, source.name, file_format, simulation.out)


def _work_folder(simulation: Simulation) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix=".simulate-", dir=simulation.out)


def _summary(spark: SparkSession, truth: Path) -> SourceSummary:
    kinds, answers, days = Counter[str](), Counter[str](), Counter[date]()
    if any(truth.iterdir()):
        told = spark.read.parquet(f"file://{truth.absolute()}")
        for row in told.groupBy("delivery_date", "kind", "answer").count().collect():
            kinds[row["kind"]] += row["count"]
            answers[row["answer"]] += row["count"]
            days[row["delivery_date"]] += row["count"]
    return SourceSummary(days.total(), _sorted(kinds), _sorted(answers), dict(sorted(days.items())))


def _sorted(counter: Counter[str]) -> dict[str, int]:
    return dict(sorted(counter.items()))


def _document(simulation: Simulation, summary: Summary) -> dict[str, object]:
    return {
        "customers": simulation.customers,
        "first": simulation.first.isoformat(),
        "last": simulation.last.isoformat(),
        "seed": simulation.seed,
        "world": simulation.world,
        "mess": asdict(simulation.mess),
        "days": summary.days,
        "deliveries": summary.deliveries,
        "sources": {
            name: {
                "rows": source.rows,
                "kinds": source.kinds,
                "answers": source.answers,
                "days": {day.isoformat(): rows for day, rows in source.days.items()},
            }
            for name, source in summary.sources.items()
        },
    }
