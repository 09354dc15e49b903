"""The whole simulation: deliveries as in the field, and beside them the truth about every row."""

from __future__ import annotations

import json
import logging
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.simulate.deliver import as_delivered, deliver, place, write_days
from jobs.simulate.feeds import FEEDS, Feed
from jobs.simulate.people import people
from jobs.simulate.plan import Simulation, Source, SourceSummary, Summary, packaged_source

log = logging.getLogger("clm")

AT_A_TIME = 2


def simulate(spark: SparkSession, simulation: Simulation) -> Summary:
    """Write `<out>/<source>/<date>/` for every feed and date, and `<out>/truth/`.

    `truth/<source>/<date>.parquet` says of every delivered row what went wrong with it and which answer conform owes
    it (`feeds.Feed.truth`); `truth/summary.json` counts. Raises Usage if it cannot be told.
    """
    simulation.check()
    truth = simulation.out / "truth"
    truth.mkdir(parents=True)
    sources, deliveries = {}, 0
    for feed in simulation.feeds:
        source = packaged_source(feed)
        log.info("%s: simulating %d days of %d customers", source.name, len(simulation.dates), simulation.customers)
        rows = FEEDS[feed].told(people(spark, simulation), simulation, source)
        _write_truth(rows, FEEDS[feed], simulation, source)
        deliveries += _write(rows, FEEDS[feed], simulation, source)
        sources[source.name] = _summary(spark, truth / source.name)
    summary = Summary(len(simulation.dates), deliveries, sources)
    (truth / "summary.json").write_text(json.dumps(_document(simulation, summary), indent=1) + "\n", encoding="utf-8")
    return summary


def simulate_deliveries(spark: SparkSession, simulation: Simulation) -> None:
    """The deliveries of `simulate` without the truth about them, in half the time."""
    simulation.check()
    simulation.out.mkdir(parents=True, exist_ok=True)

    def write(feed: str) -> None:
        source = packaged_source(feed)
        _write(FEEDS[feed].told(people(spark, simulation), simulation, source), FEEDS[feed], simulation, source)

    # While one feed's files are moved and counted, the next one is made.
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        list(pool.map(write, simulation.feeds))


# The story is told once for the truth and once for the files: measured, storing the rows in between was no cheaper.


def _write_truth(rows: DataFrame, feed: Feed, simulation: Simulation, source: Source) -> None:
    truth = simulation.out / "truth" / source.name
    truth.mkdir()
    columns = [F.col(name) for name in feed.truth]
    with _work_folder(simulation) as work:
        told = rows.drop("delivery_nth")
        files = write_days(told, columns, feed.order, simulation.dates, "parquet", Path(work) / "truth")
        for day, path in files.items():
            place(path, truth / f"{day}.parquet", "parquet")


def _write(rows: DataFrame, feed: Feed, simulation: Simulation, source: Source) -> int:
    file_format, dates = simulation.format_of(source), simulation.dates
    columns = as_delivered(rows, source, file_format, feed.sent_as, feed.also)
    with _work_folder(simulation) as work:
        files = write_days(rows, columns, feed.order, dates, file_format, Path(work) / "files")
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
