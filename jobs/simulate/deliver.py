"""Writing days: the files of each delivery date, by Spark, and the manifests beside them."""

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
from typing import Any

import pyarrow
import pyarrow.parquet
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.simulate.clock import AHEAD, OFFSET, instant, wall_clock
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


def as_delivered(
    frame: DataFrame,
    source: Source,
    file_format: Format,
    sent_as: Mapping[str, str] | None = None,
    also: Mapping[str, str] | None = None,
) -> list[Column]:
    """The columns of a file of the source, from a frame whose times are wall-clock seconds.

    Text formats carry every value as it was sent, `<column>_text` instead of what cannot be read; Parquet carries the
    declared types. Where the source says so (`paths`), values stand in objects, and times are those of Greenwich.
    """
    held = set(frame.columns)

    def value(name: str, declared: str) -> Column:
        column = F.col((sent_as or {}).get(name, name))
        if file_format == "parquet":
            return instant(column) if declared == "timestamp" else column.cast(declared)
        if declared == "timestamp":
            column = _moment(column, file_format, in_greenwich="fraction" in held)
        if f"{name}_text" in held:
            column = F.coalesce(F.col(f"{name}_text"), column.cast("string"))
        return column

    values = {name: value(name, declared) for name, declared in source.columns.items() if name != "properties"}
    if not source.paths:
        return [column.alias(name) for name, column in values.items()]
    tree: dict[str, Any] = {}
    for name, column in values.items():
        _put(tree, source.paths.get(name, name), column)
    for name, path in (also or {}).items():
        _put(tree, path, F.col(name))
    return [_nested(branch).alias(name) for name, branch in tree.items()]


def _moment(seconds: Column, file_format: Format, *, in_greenwich: bool) -> Column:
    if in_greenwich:
        fraction = F.lpad(F.col("fraction").cast("string"), 3, "0")
        return F.concat(wall_clock(seconds - F.lit(AHEAD), "T"), F.lit("."), fraction, F.lit("Z"))
    return wall_clock(seconds) if file_format == "csv" else F.concat(wall_clock(seconds, "T"), F.lit(OFFSET))


def _put(tree: dict[str, Any], path: str, column: Column) -> None:
    *objects, last = path.split(".")
    for name in objects:
        tree = tree.setdefault(name, {})
    tree[last] = column


def _nested(branch: Any) -> Column:
    if isinstance(branch, Column):
        return branch
    return F.struct(*(_nested(below).alias(name) for name, below in branch.items()))


def write_days(
    frame: DataFrame,
    columns: Sequence[Column],
    order: Sequence[str],
    dates: Sequence[date],
    file_format: Format,
    folder: Path,
    parts: int = 1,
) -> dict[str, list[Path]]:
    """Write `columns` of a frame, `parts` files per delivery, into an empty folder; dates without rows have none.

    A delivery is named after its `delivery_date`; a second one of the same date (`delivery_nth` 2) ends in -2. Every
    row's delivery date is one of the consecutive `dates`. Rows lie in the order of the columns `order`, whatever the
    number of cores and partitions, and so does which part they are in.
    """
    files = len(dates) * parts
    tasks = min(files, max(TASKS, math.ceil(files / DAYS_PER_TASK)))
    part = F.pmod(F.xxhash64(*order), F.lit(parts)) if parts > 1 else F.lit(0)
    named = F.col("delivery_date").cast("string")
    if "delivery_nth" in frame.columns:
        named = F.when(F.col("delivery_nth") > 1, F.concat(named, F.lit("-"), "delivery_nth")).otherwise(named)
    task = F.pmod(F.datediff("delivery_date", F.lit(dates[0])) * F.lit(parts) + part, F.lit(tasks)).cast("int")
    (
        frame.withColumns({"_named": named, "_nth": part + F.lit(1)})
        .repartitionById(tasks, task)
        .sortWithinPartitions("_named", "_nth", *order)
        .select(F.col("_named").alias("_day"), F.col("_nth").alias("_part"), *columns)
        .write.partitionBy("_day", "_part")
        .format(WRITER[file_format])
        .options(**OPTIONS[file_format])
        .save(f"file://{folder.absolute()}")
    )
    written: dict[str, list[Path]] = {}
    for nth in range(1, parts + 1):
        for path in folder.glob(f"_day=*/_part={nth}/part-*"):
            written.setdefault(path.parent.parent.name.removeprefix("_day="), []).append(path)
    return written


def deliver(
    files: Mapping[str, Sequence[Path]], dates: Iterable[date], source: str, file_format: Format, out: Path
) -> int:
    """Make a delivery of the files of each name, by moving them; a date without any is empty on purpose.

    Returns the number of deliveries.
    """
    names = sorted({*files, *(day.isoformat() for day in dates)})
    for name in names:
        rows = _deliver(files.get(name, ()), name, source, file_format, out)
        log.info("%s %s: delivered %d rows", source, name, rows)
    return len(names)


def write_further(files: Mapping[str, Sequence[Path]], source: str, file_format: Format, out: Path) -> int:
    """Make a further delivery of each date that has files, beside those that are there; returns how many."""
    for day, parts in sorted(files.items()):
        nth = 1 + max((_nth(folder.name) for folder in (out / source).glob(f"{day}*")), default=0)
        _deliver(parts, day if nth == 1 else f"{day}-{nth}", source, file_format, out)
    return len(files)


def _deliver(files: Sequence[Path], name: str, source: str, file_format: Format, out: Path) -> int:
    """One delivery; returns its rows."""
    folder = out / source / name
    folder.mkdir(parents=True)
    entries = []
    for nth, file in enumerate(files, 1):
        part = folder / f"part-{nth:04d}.{SUFFIX[file_format]}"
        _place(file, part, file_format)
        entries.append(_entry(part, file_format))
    write_manifest(folder, source, name, entries)
    return sum(entry["rows"] for entry in entries)


def _nth(name: str) -> int:
    return int(name[11:] or 1)


def _place(file: Path, target: Path, file_format: Format) -> None:
    """Move a file that Spark wrote to its place."""
    if file_format == "parquet":
        join([file], target)
    else:
        shutil.move(file, target)


def join(files: Sequence[Path], target: Path) -> None:
    """One Parquet file of those that Spark wrote.

    Copied, for Spark's footers differ from one JVM to the next, and its times may be of the old 12-byte kind.
    """
    utc = pyarrow.timestamp("us", tz="UTC")
    stored = [pyarrow.parquet.ParquetFile(file) for file in files]
    fields = [f.with_type(utc) if pyarrow.types.is_timestamp(f.type) else f for f in stored[0].schema_arrow]
    schema = pyarrow.schema(fields)
    with pyarrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for part in stored:
            for batch in part.iter_batches():
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


def write_manifest(folder: Path, source: str, name: str, files: Sequence[Mapping[str, str | int]]) -> None:
    """Of the delivery `name`: its date, and -n for the n-th of that date."""
    day, nth = name[:10], name[11:] or "1"
    manifest = {
        "format": "clm-delivery-1",
        "source": source,
        "date": day,
        "delivery_id": f"{source}-{day}-{nth}",
        "replaces": None,
        "files": list(files),
    }
    # Written aside and renamed: a reader never sees half a manifest.
    aside = folder / ".manifest.json"
    aside.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    aside.replace(folder / "manifest.json")
