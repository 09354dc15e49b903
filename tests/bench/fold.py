"""The fold of one night's profiles beside DuckDB on the same files, with and without what made it fast.

`python -m tests.bench.fold --help`. Each engine and variant has a process of its own, warm before it is measured.
Machines are shared and noisy: read the ratios, and the medians only beside each other.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import duckdb
from pyspark.sql import DataFrame

import conf
from jobs import audit, profile
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.session import open_session
from schemas.core import CUSTOMER_DAILY
from schemas.mart import CUSTOMER_PROFILE
from schemas.table import PARTITION, Table
from tests.bench import fold_rows, fold_sql
from tests.bench.fold_rows import TONIGHT, YESTERDAY

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 2
WARM_RUNS = 1
# HotSpot reads this variable after the session's own options, and the last word counts.
INTERPRET_HUGE_METHODS = {"_JAVA_OPTIONS": "-XX:+DontCompileHugeMethods"}
# Spark's own limit, below the columns of this join.
INTERPRET_WIDE_ROWS = {"spark.sql.codegen.maxFields": "100"}


@dataclass(frozen=True)
class Variant:
    """The fold with some of what made it fast switched off."""

    name: str
    interpreted: bool = False
    narrow: bool = False
    zeros: bool = False
    all_statistics: bool = False

    def source(self, folder: Path) -> Path:
        """The lake that it folds from."""
        return folder / ("zeros" if self.zeros else "nulls")

    def stored(self, profiles: DataFrame) -> DataFrame:
        """The rows as this variant stores them."""
        return profiles.fillna(0) if self.zeros else profiles

    @property
    def table(self) -> Table:
        """The profile, with the statistics that this variant keeps."""
        if not self.all_statistics:
            return CUSTOMER_PROFILE
        columns = (replace(column, statistics=column.name != PARTITION) for column in CUSTOMER_PROFILE.columns)
        return replace(CUSTOMER_PROFILE, columns=tuple(columns))


AS_IT_IS = Variant("as it is")
ZEROS = Variant("zeros, not nulls", zeros=True)
VARIANTS = (
    AS_IT_IS,
    Variant("wide rows interpreted", narrow=True),
    Variant("huge methods interpreted", interpreted=True),
    ZEROS,
    Variant("statistics on all columns", all_statistics=True),
    Variant("all four: before tuning", interpreted=True, narrow=True, zeros=True, all_statistics=True),
)


@dataclass
class Measured:
    """`seconds` of each run until its rows were written, `audited` until their figures were gathered too.

    `rows` and `files` are the last run's, `peak_memory` that of DuckDB's process or of our JVM.
    """

    seconds: list[float] = field(default_factory=list)
    audited: list[float] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    rows: int = 0
    peak_memory: int | None = None

    @property
    def bytes(self) -> int:
        """Of the files."""
        return sum(Path(file).stat().st_size for file in self.files)


class ClockedLake(Lake):
    """Notes when the rows of a day were written: what follows are their figures."""

    written_at: float

    def _gather(self, *args: Any, **kwargs: Any) -> Any:
        self.written_at = time.perf_counter()
        return super()._gather(*args, **kwargs)


def _lake(root: Path, spark_conf: Mapping[str, str] | None = None) -> ClockedLake:
    settings = conf.load(environ={"CLM_LAKE": str(root)})
    changed = {"master": f"local[{THREADS}]", "conf": {**settings.spark.conf, **(spark_conf or {})}}
    two_cores = settings.spark.model_copy(update=changed)
    settings = settings.model_copy(update={"spark": two_cores})
    root.mkdir(exist_ok=True)
    ledger = Ledger.open(settings.ledger_url)
    return ClockedLake(open_session(settings), settings, ledger, ledger.start_run("bench", YESTERDAY, TONIGHT))


def _files(folder: Path, table: Table) -> list[str]:
    paths = Path(AS_IT_IS.source(folder), *table.name.split(".")).glob(f"{PARTITION}=*/*.parquet")
    return sorted(str(path) for path in paths)


def _peak_memory(pid: int | str = "self") -> int | None:
    """Bytes at the highest, where the system tells."""
    status = Path(f"/proc/{pid}/status")
    found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found.group(1)) * 1024 if found else None


# ---- what runs in a process of its own


def make(folder: Path, customers: int, active: int) -> None:
    """Two lakes with yesterday's profile, nulls for nothing in one and zeros in the other, and tonight's facts."""
    for variant in (AS_IT_IS, ZEROS):
        lake = _lake(variant.source(folder))
        profiles = variant.stored(fold_rows.profiles(lake.spark, customers))
        told = fold_rows.told(lake.spark, customers, active)
        lake.publish(lake.stage(CUSTOMER_PROFILE, profiles, [YESTERDAY], []), upstreams={})
        lake.publish(lake.stage(CUSTOMER_DAILY, told, [TONIGHT], []), upstreams={})


def by_us(folder: Path, variant: Variant, runs: int) -> Measured:
    """Read, fold, write and gather the figures of the audit, as the night does, into a lake of the variant's own."""
    if variant.interpreted:
        os.environ.update(INTERPRET_HUGE_METHODS)
    source = _lake(variant.source(folder), INTERPRET_WIDE_ROWS if variant.narrow else None)
    target = _lake(folder / variant.name)
    suites = audit.suites(CUSTOMER_PROFILE, target.settings)
    measured = Measured()
    for _ in range(WARM_RUNS + runs):
        for file in measured.files:
            Path(file).unlink()
        began = time.perf_counter()
        previous = source.read_day(CUSTOMER_PROFILE.name, YESTERDAY)
        told = source.read(CUSTOMER_DAILY.name, known_on=TONIGHT, since=TONIGHT)
        folded = profile.transform(previous, told, since=YESTERDAY, days=[TONIGHT])
        staged = target.stage(variant.table, variant.stored(folded), [TONIGHT], suites)
        measured.audited.append(time.perf_counter() - began)
        measured.seconds.append(target.written_at - began)
        measured.files = list(staged.written.paths)
        measured.rows = staged.figures[TONIGHT]["rows"]
    jvm: Any = source.spark._jvm
    measured.peak_memory = _peak_memory(jvm.java.lang.ProcessHandle.current().pid())
    source.spark.stop()
    return measured


def by_duckdb(folder: Path, runs: int) -> Measured:
    """The same in one statement."""
    database = _duckdb(folder)
    written = folder / "duckdb.parquet"
    fold = fold_sql.fold(_files(folder, CUSTOMER_PROFILE), _files(folder, CUSTOMER_DAILY), TONIGHT)
    measured = Measured(files=[str(written)])
    for _ in range(WARM_RUNS + runs):
        began = time.perf_counter()
        [(measured.rows,)] = database.execute(f"copy ({fold}) to '{written}' (compression snappy)").fetchall()
        measured.seconds.append(time.perf_counter() - began)
    measured.peak_memory = _peak_memory()
    return measured


def differences(folder: Path, ours: Sequence[str], theirs: Sequence[str]) -> int:
    """Rows that are in one result alone, in either."""
    columns = ", ".join(CUSTOMER_PROFILE.column_names)
    a, b = (f"select {columns} from {fold_sql.files(paths)}" for paths in (ours, theirs))
    alone = f"select count(*) from ((({a}) except all ({b})) union all (({b}) except all ({a})))"
    [(rows,)] = _duckdb(folder).execute(alone).fetchall()
    return rows


def _duckdb(folder: Path) -> duckdb.DuckDBPyConnection:
    database = duckdb.connect(config={"threads": THREADS, "temp_directory": str(folder / "duckdb")})
    database.execute("set timezone = 'UTC'; set preserve_insertion_order = false; set enable_progress_bar = false")
    database.execute(fold_sql.MACROS)
    return database


def _alone(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(work, *args, **kwargs).result()


# ---- the command


def _line(name: str, measured: Measured, yardstick: float) -> str:
    memory = f"{measured.peak_memory / 2**20:,.0f}" if measured.peak_memory else ""
    return (
        f"{name:26}{_median_and_range(measured.seconds):>20}{_median(measured.seconds) / yardstick:7.2f}"
        f"{_median_and_range(measured.audited):>20}"
        f"{measured.bytes / 2**20:7,.0f}{measured.bytes / measured.rows:11.0f}{memory:>9}"
    )


def _median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds[WARM_RUNS:])


def _median_and_range(seconds: Sequence[float]) -> str:
    counted = seconds[WARM_RUNS:]
    return f"{_median(seconds):.1f} ({min(counted):.1f}–{max(counted):.1f})" if counted else ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fold", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--customers", type=int, default=2_000_000, help="in yesterday's profile (%(default)s)")
    parser.add_argument("--active", type=int, default=200_000, help="of whom tonight tells (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="measured, after one that is not (%(default)s)")
    asked = parser.parse_args()
    if not (0 < asked.active <= asked.customers and asked.runs > 0):
        parser.error("at least one run, and one active customer and at most all of them")
    with tempfile.TemporaryDirectory(prefix="clm-bench-") as name:
        folder = Path(name)
        _alone(make, folder, asked.customers, asked.active)
        theirs = _alone(by_duckdb, folder, asked.runs)
        yardstick = _median(theirs.seconds)
        print(f"A fold of {asked.customers:,} customers, {asked.active:,} of them active, on {THREADS} cores:")
        print(f"{'':26}{'written, s':>20}{'ratio':>7}{'and audited, s':>20}{'MB':>7}{'B/customer':>11}{'peak MB':>9}")
        print(_line(f"DuckDB {duckdb.__version__}", theirs, yardstick), flush=True)
        different = 0
        for variant in VARIANTS:
            ours = _alone(by_us, folder, variant, asked.runs)
            print(_line(variant.name, ours, yardstick), flush=True)
            if variant == AS_IT_IS:
                different = _alone(differences, folder, ours.files, theirs.files)
        print(f"Rows that differ between DuckDB and us, as it is: {different:,} of {theirs.rows:,}.")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
