"""What every kind of list needs of a night: where it lies, a folder to work in, and rows from Spark in their order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from pyspark.sql import DataFrame

from jobs.errors import Failed
from jobs.list_files import arrow_schema
from jobs.list_manifest import Stamp
from jobs.places import local_path
from jobs.runner import Night
from schemas.table import Column

SCRATCH = ".deliver-"


class StoppedMeanwhile(Exception):
    """Somebody has stopped the trigger while its list was being written."""


def exports(night: Night) -> Path:
    """The folder of all lists of the lake."""
    root = local_path(night.settings.lake.root)
    if root is None:
        raise Failed("Lists are written to a local folder; a lake on an object store is not supported yet.")
    return root.absolute() / "exports"


def stamp(night: Night, now: datetime) -> Stamp:
    return Stamp(now, night.run.run_id, night.settings.digest)


def refuse_stopped(night: Night, trigger: str) -> None:
    """Raises StoppedMeanwhile where a person wants nothing more of the trigger to go out."""
    if {trigger, ""} & night.ledger.stops().keys():
        raise StoppedMeanwhile


@contextmanager
def scratch(root: Path) -> Generator[Path]:
    """A folder to work in, below `root`; what a killed run left goes, since the lake is held by this run."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        for leftover in root.glob(f"{SCRATCH}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=root))
    except OSError as error:
        raise Failed(
            f"{root} cannot be written ({error.strerror}); the lists in it stay as they were. "
            "Make room or give the folder back, then run this again."
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_sorted(rows: DataFrame, folder: Path, *by: str) -> None:
    """Write the rows as one Parquet file in the order of the columns `by`, for `batches`."""
    rows.repartition(1).sortWithinPartitions(*by).write.mode("overwrite").parquet(f"file://{folder}")


def batches(folder: Path, columns: Sequence[Column], which: ds.Expression | None = None) -> Iterator[pa.RecordBatch]:
    """The columns of what was written there, in its order, of all rows or those of `which`."""
    schema = arrow_schema(columns)
    scanner = ds.dataset(folder, format="parquet").scanner(columns=schema.names, filter=which)
    for batch in scanner.to_batches():
        # Spark writes times without their zone, which is UTC.
        yield from pa.Table.from_batches([batch]).cast(schema).to_batches()
