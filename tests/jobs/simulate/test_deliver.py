"""Files that any reader reads back, and manifests that match them."""

from __future__ import annotations

import csv
import gzip
import json
from datetime import date
from itertools import chain
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
    [file] = files[str(day)]
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == ["n", "text", "nothing"]
    assert rows == [[str(n), text, ""] for n, text in enumerate(NASTY)]


def test_rows_lie_in_order_whatever_the_partitions(spark: SparkSession, tmp_path: Path) -> None:
    days = [date(2026, 1, 1), date(2026, 1, 2)]
    frame = spark.createDataFrame([(days[n % 2], 99 - n) for n in range(100)], "delivery_date date, n int")
    files = write_days(frame.repartition(7), [F.col("n")], ["n"], days, "csv", tmp_path / "work")
    assert sorted(files) == [str(day) for day in days]
    [file] = files[str(days[0])]
    assert _numbers(file) == list(range(1, 100, 2))


def test_a_large_day_is_delivered_in_parts_that_together_hold_every_row_once(
    spark: SparkSession, tmp_path: Path
) -> None:
    days = [date(2026, 1, 1), date(2026, 1, 2)]
    frame = spark.createDataFrame([(days[n % 2], 99 - n) for n in range(100)], "delivery_date date, n int")

    def deliver_in_parts(partitions: int) -> dict[str, list[list[int]]]:
        folder = tmp_path / str(partitions)
        files = write_days(frame.repartition(partitions), [F.col("n")], ["n"], days, "csv", folder / "work", parts=3)
        assert deliver(files, days, "payments", "csv", folder) == 2
        return {str(day): _parts(folder / "payments" / str(day)) for day in days}

    delivered = deliver_in_parts(7)
    assert sorted(chain(*delivered["2026-01-01"])) == list(range(1, 100, 2))
    assert sorted(chain(*delivered["2026-01-02"])) == list(range(0, 100, 2))
    # In order within each part, and in the same part whatever the partitions.
    assert all(part == sorted(part) and part for parts in delivered.values() for part in parts)
    assert deliver_in_parts(2) == delivered


def _parts(folder: Path) -> list[list[int]]:
    """The rows of the files that the manifest names, which are all there are."""
    files = json.loads((folder / "manifest.json").read_text())["files"]
    assert [file["name"] for file in files] == [f"part-000{nth}.csv.gz" for nth in (1, 2, 3)]
    assert len(list(folder.iterdir())) == 4
    parts = [_numbers(folder / file["name"]) for file in files]
    assert [len(part) for part in parts] == [file["rows"] for file in files]
    return parts


def _numbers(file: Path) -> list[int]:
    with gzip.open(file, "rt") as lines:
        return [int(line) for line in lines.read().split()[1:]]


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
