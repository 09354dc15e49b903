"""Writing days: one file per delivery date, by Spark, and the manifests beside them."""

from __future__ import annotations

import gzip
import hashlib
import json
import logging
import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow
import pyarrow.parquet
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.simulate.clock import OFFSET, instant, wall_clock
from jobs.simulate.plan import Format, Source

log = logging.getLogger("clm")

SUFFIX: Mapping[Format, str] = {"csv": "csv.gz", "jsonl": "jsonl.gz", "parquet": "parquet"}
WRITER = {"csv": "csv", "jsonl": "json", "parquet": "parquet"}
OPTIONS: Mapping[Format, Mapping[str, str]] = {
    # What a plain RFC 4180 reader reads back: quotes doubled, blanks kept, null and empty both empty.
    "csv": {
        "header": "true",
        "quote": '"',
        "escape": '"',
        "nullValue": "",
        "emptyValue": "",
        "ignoreLeadingWhiteSpace": "false",
        "ignoreTrailingWhiteSpace": "false",
        "lineSep": "\n",
        "compression": "gzip",
    },
    "jsonl": {"ignoreNullFields": "false", "lineSep": "\n", "compression": "gzip"},
    "parquet": {"compression": "zstd"},
}
CHUNK = 1 << 20
# Committing a task costs a tenth of a second; many days in one task cost only a sort that spills. But beyond
# spark.sql.maxConcurrentOutputFileWriters days in a task Spark sorts again, by day alone.
TASKS = 8
DAYS_PER_TASK = 32


def as_delivered(frame: DataFrame, source: Source, file_format: Format) -> list[Column]:
    """The columns of a file of the source, from a frame whose times are wall-clock seconds.

    Text formats carry every value as it was sent, `<column>_text` instead of a time where there is one; Parquet
    carries the declared types.
    """

    def column(name: str, declared: str) -> Column:
        value = F.col(name)
        if file_format == "parquet":
            return instant(value) if declared == "timestamp" else value.cast(declared)
        if declared != "timestamp":
            return value
        moment = wall_clock(value) if file_format == "csv" else F.concat(wall_clock(value, "T"), F.lit(OFFSET))
        return F.coalesce(F.col(f"{name}_text"), moment) if f"{name}_text" in frame.columns else moment

    return [column(name, declared).alias(name) for name, declared in source.columns.items()]


def write_days(
    frame: DataFrame,
    columns: Sequence[Column],
    order: Sequence[str],
    dates: Sequence[date],
    file_format: Format,
    folder: Path,
) -> dict[date, Path]:
    """Write `columns` of a frame, one file per `delivery_date`, into an empty folder; dates without rows have none.

    Every row's delivery date is one of the consecutive `dates`. Rows lie in the order of the columns `order`,
    whatever the number of cores and partitions.
    """
    tasks = min(len(dates), max(TASKS, math.ceil(len(dates) / DAYS_PER_TASK)))
    task = F.pmod(F.datediff("delivery_date", F.lit(dates[0])), F.lit(tasks))
    (
        frame.repartitionById(tasks, task)
        .sortWithinPartitions("delivery_date", *order)
        .select(F.col("delivery_date").alias("_day"), *columns)
        .write.partitionBy("_day")
        .format(WRITER[file_format])
        .options(**OPTIONS[file_format])
        .save(f"file://{folder.absolute()}")
    )
    return {date.fromisoformat(path.parent.name.removeprefix("_day=")): path for path in folder.glob("_day=*/part-*")}


def deliver(files: Mapping[date, Path], dates: Iterable[date], source: str, file_format: Format, out: Path) -> None:
    """Make a delivery of each date, by moving its file; a date without a file is empty on purpose."""
    for day in dates:
        folder = out / source / day.isoformat()
        folder.mkdir(parents=True)
        entries = []
        if day in files:
            part = folder / f"part-0001.{SUFFIX[file_format]}"
            place(files[day], part, file_format)
            entries.append(_entry(part, file_format))
        _write_manifest(folder, source, day, entries)
        log.info("%s %s: delivered %d rows", source, day, sum(entry["rows"] for entry in entries))


def place(file: Path, target: Path, file_format: Format) -> None:
    """Move a file that Spark wrote to its place.

    Parquet is copied: Spark's footers differ from one JVM to the next, and its times may be of the old 12-byte kind.
    """
    if file_format != "parquet":
        shutil.move(file, target)
        return
    stored = pyarrow.parquet.ParquetFile(file)
    utc = pyarrow.timestamp("us", tz="UTC")
    fields = [f.with_type(utc) if pyarrow.types.is_timestamp(f.type) else f for f in stored.schema_arrow]
    schema = pyarrow.schema(fields)
    with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in stored.iter_batches():
            writer.write_batch(batch.cast(schema))


def _entry(path: Path, file_format: Format) -> dict[str, str | int]:
    with path.open("rb") as stored:
        sha256 = hashlib.file_digest(stored, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": sha256, "rows": _rows(path, file_format)}


def _rows(path: Path, file_format: Format) -> int:
    if file_format == "parquet":
        return pyarrow.parquet.read_metadata(path).num_rows
    # No simulated value holds a line break, so a line is a row.
    with gzip.open(path, "rb") as lines:
        count = sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(CHUNK), b""))
    return count - 1 if file_format == "csv" else count


def _write_manifest(folder: Path, source: str, day: date, files: list[dict[str, str | int]]) -> None:
    manifest = {
        "format": "clm-delivery-1",
        "source": source,
        "date": day.isoformat(),
        "delivery_id": f"{source}-{day.isoformat()}-1",
        "replaces": None,
        "files": files,
    }
    # Written aside and renamed: a reader never sees half a manifest.
    aside = folder / ".manifest.json"
    aside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    aside.replace(folder / "manifest.json")
