"""Files that any reader reads back, and manifests that match them."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import date
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.simulate.deliver import deliver, write_days

NASTY = ['say "hi"', "a,b", " blanks ", "back\\slash", "trailing\\", "it's", "ü₹", '"', '\\"']


def test_a_plain_csv_reader_reads_back_what_was_written(spark: SparkSession, tmp_path: Path) -> None:
    day = date(2026, 1, 1)
    frame = spark.createDataFrame(
        [(day, n, text, None) for n, text in enumerate(NASTY)], "delivery_date date, n int, text string, nothing string"
    )
    columns = [F.col("n"), F.col("text"), F.col("nothing")]
    files = write_days(frame, columns, ["n"], [day], "csv", tmp_path / "work")
    with gzip.open(files[str(day)], "rt", encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["n", "text", "nothing"]
    assert rows == [[str(n), text, ""] for n, text in enumerate(NASTY)]


def test_rows_lie_in_order_whatever_the_partitions(spark: SparkSession, tmp_path: Path) -> None:
    days = [date(2026, 1, 1), date(2026, 1, 2)]
    frame = spark.createDataFrame([(days[n % 2], 99 - n) for n in range(100)], "delivery_date date, n int")
    files = write_days(frame.repartition(7), [F.col("n")], ["n"], days, "csv", tmp_path / "work")
    assert sorted(files) == [str(day) for day in days]
    with gzip.open(files[str(days[0])], "rt") as lines:
        assert [int(line) for line in lines.read().split()[1:]] == list(range(1, 100, 2))


def test_a_day_without_rows_is_delivered_empty_on_purpose(tmp_path: Path) -> None:
    deliver({}, [date(2026, 1, 1)], "payments", "csv", tmp_path)
    folder = tmp_path / "payments" / "2026-01-01"
    assert [path.name for path in folder.iterdir()] == ["manifest.json"]
    assert json.loads((folder / "manifest.json").read_text()) == {
        "format": "clm-delivery-1",
        "source": "payments",
        "date": "2026-01-01",
        "delivery_id": "payments-2026-01-01-1",
        "replaces": None,
        "files": [],
    }
