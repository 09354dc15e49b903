"""The lake's tables: reading what was known on a day, and writing, auditing and publishing days of a table.

The only contact with Delta (its internals stand in `jobs.delta`). A day is written once: its files are there
before they are audited, and become visible in one commit. See docs/adr/0002.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from conf import Settings
from expectations.figures import Suite, gather_sql, nothing_gathered
from jobs import commit_info
from jobs.calendar import days_between, is_kept_snapshot
from jobs.delta import Commit, DeltaFiles, WrittenFiles
from jobs.errors import Busy, DataRefused, Failed
from jobs.frames import hash_of, local_frame
from jobs.lease import Lease
from jobs.ledger import Ledger
from jobs.ledger_records import Publication, Run, Upstream
from jobs.places import keep_to_owner, local_path
from jobs.views import VIEWS
from schemas.table import PARTITION, Table

DIGEST = "digest"
# Checkpoints cost seconds and a table gets one commit a night.
PROPERTIES = {
    "delta.checkpointInterval": "50",
    "delta.logRetentionDuration": "interval 60 days",
    "delta.deletedFileRetentionDuration": "interval 7 days",
}
VERSION_PROPERTY = "clm.tableVersion"
MANY_DAYS = 3
# Bytes of written files: some hundred thousand keys at the most.
SMALL = 16 << 20
LOW = (1 << 32) - 1


@dataclass(frozen=True)
class Staged:
    """Days of a table as files that no reader sees yet, with the figures gathered over exactly these files."""

    table: Table
    generations: Mapping[date, int]
    written: WrittenFiles
    frame: DataFrame
    figures: Mapping[date, Mapping[str, Any]]
    # Names and types as they were written; `frame` has the declared ones, whatever the files hold.
    fields: tuple[tuple[str, str], ...]

    @property
    def days(self) -> list[date]:
        return sorted(self.generations)

    def digest(self, day: date) -> str:
        return str(self.figures[day][DIGEST])


class Lake:
    """One lake for one run: `run` and `lease` are None for those who only read."""

    def __init__(
        self,
        spark: SparkSession,
        settings: Settings,
        ledger: Ledger,
        run: Run | None = None,
        lease: Lease | None = None,
    ) -> None:
        self.spark = spark
        self.settings = settings
        self.ledger = ledger
        self.run = run
        self.lease = lease
        self._delta = DeltaFiles(spark)
        self._own: dict[str, Staged] = {}
        # Days of snapshots that this run published: it may read them again, however old they are.
        self._just_published: dict[str, set[date]] = {}

    def path(self, table: str) -> str:
        layer, _, name = table.partition(".")
        lake = self.settings.lake
        return f"{lake.restricted}/{name}" if layer == "restricted" else f"{lake.root}/{layer}/{name}"

    def _lock_path(self, table: str) -> str:
        root = local_path(self.settings.lake.root)
        if root is None:
            raise Failed(
                f"{self.settings.lake.root}: a lake on an object store is not supported yet; give a local folder."
            )
        return str(root / "_locks" / f"{table}.lock")

    # ---- reading

    def exists(self, table: str) -> bool:
        return self._delta.exists(self.path(table))

    def read(self, name: str, *, known_on: date, since: date | None = None) -> DataFrame:
        """What the log `name` learned from `since` (default: the beginning) to `known_on`; or a view, as of then."""
        if view := VIEWS.get(name):
            return view.build(self.read(view.source, known_on=known_on), known_on)
        if since is not None and self._published_here(name, days_between(since, known_on)):
            return self._own[name].frame.where(F.col(PARTITION).between(F.lit(since), F.lit(known_on)))
        frame = self._published(name, since, known_on).where(F.col(PARTITION) <= F.lit(known_on))
        return frame if since is None else frame.where(F.col(PARTITION) >= F.lit(since))

    def read_day(self, name: str, day: date) -> DataFrame:
        """The one partition `day`: of a log what that night learned, of a snapshot everyone on that day."""
        return self.read(name, known_on=day, since=day)

    def read_days(self, name: str, days: Collection[date]) -> DataFrame:
        frame = self._own[name].frame if self._published_here(name, days) else None
        if frame is None:
            frame = self._published(name, min(days), max(days))
        return frame.where(F.col(PARTITION).isin(sorted(days)))

    def _published(self, name: str, first: date | None, last: date) -> DataFrame:
        """A table of which the days first … last are wanted, by the names of its files where they are few."""
        path = self.path(name)
        files = self._delta.files(path, first, last)
        if files is None:
            return self.spark.read.format("delta").load(path)
        schema = StructType.fromJson(json.loads(files.columns))
        if not files.paths:
            return local_frame(self.spark, [], schema)
        return self._parquet(path, schema, files.paths).selectExpr(*(f"`{name}`" for name in schema.names))

    def _parquet(self, path: str, schema: StructType | str, paths: Sequence[str]) -> DataFrame:
        return self.spark.read.schema(schema).option("basePath", path).parquet(*paths)

    def _published_here(self, name: str, days: Collection[date]) -> bool:
        """Did this run publish all of these days? Their files are at hand then, and Delta's log need not be read."""
        return name in self._own and set(days) <= set(self._own[name].days)

    # ---- writing

    def _ensure(self, table: Table) -> None:
        if self.exists(table.name):
            return
        with self._delta.lock(self._lock_path(table.name)):
            if self.exists(table.name):
                return
            statistics = table.statistics_columns
            indexed = (
                {"delta.dataSkippingStatsColumns": ",".join(statistics)}
                if statistics
                else {"delta.dataSkippingNumIndexedCols": "0"}
            )
            properties = {**PROPERTIES, **indexed, VERSION_PROPERTY: str(table.version)}
            if table.layer == "restricted":
                keep_to_owner(self.settings.lake.restricted)
            # Nullable throughout: what may not be null is judged by the audit, which says it in figures, not in rows.
            self._delta.create(self.path(table.name), table.ddl(nullable=True), properties)

    def widen(self, table: Table) -> None:
        """Add the columns that were declared since the table was made; rows written before have null there."""
        path = self.path(table.name)
        if self.exists(table.name) and not set(table.column_names) <= set(self._delta.columns(path)):
            with self._delta.lock(self._lock_path(table.name)):
                self._delta.widen(path, table.ddl(nullable=True))

    def _empty(self, table: Table) -> DataFrame:
        return local_frame(self.spark, [], table.ddl(nullable=True))

    def stage(
        self,
        table: Table,
        frame: DataFrame,
        days: Sequence[date],
        suites: Sequence[Suite],
        *,
        is_laid_out: bool = False,
    ) -> Staged:
        """Write `frame`, which holds rows of `days` only, and gather the figures that `suites` ask for.

        `is_laid_out`: what each of its tasks has of a day is a file's worth.
        """
        if self.run is None:
            raise Failed("This lake was opened to be read.")
        self._ensure(table)
        generations = self.ledger.draw(self.run.run_id, table.name, days)
        fields = tuple(frame.dtypes)
        if len(days) > MANY_DAYS and not is_laid_out:
            # Else every task would write a file into every day.
            frame = frame.hint("rebalance", PARTITION)
        path, ddl = self.path(table.name), table.ddl(nullable=True)
        written = self._delta.write(path, frame)
        files = self._parquet(path, ddl, written.paths) if written.paths else self._empty(table)
        figures = self._gather(table, files, days, suites, written)
        outside = sorted(set(figures) - set(days))
        if outside:
            raise Failed(
                f"{table.name}: rows of {outside[0]} in a run of {days[0]} to {days[-1]}. Nothing was published."
            )
        return Staged(table, generations, written, files, figures, fields)

    def _gather(
        self, table: Table, files: DataFrame, days: Sequence[date], suites: Sequence[Suite], written: WrittenFiles
    ) -> dict[date, dict[str, Any]]:
        """The figures of each day, in one aggregate; of large files in a second one whether a key is there twice."""
        nothing = {**nothing_gathered(suites), DIGEST: "0", "duplicate_keys": 0}
        figures: dict[date, dict[str, Any]] = {day: dict(nothing) for day in days}
        if not written.size:
            return figures
        files = files.withColumn(DIGEST, hash_of([column.name for column in table.business_columns]))
        # The halves apart: a sum as decimal(38,0) makes an object of every row.
        low = F.col(DIGEST).bitwiseAND(F.lit(LOW))
        halves = (F.sum(F.shiftright(DIGEST, 32)).alias("high"), F.sum(low).alias("low"))
        aggregates = [*halves, *(F.expr(sql) for sql in gather_sql(suites))]
        rows = F.count(F.lit(1))
        keys = [hash_of(key) for key in {suite.key for suite in suites if suite.key}]
        # A set of a day's keys has to fit into memory; counting them distinct does not, and costs as much again.
        is_small = written.size < SMALL
        if is_small:
            aggregates += [(rows - F.size(F.collect_set(key))).alias("duplicate_keys") for key in keys]
        # One day's rows need no looking up of the day for each of them.
        is_one_day = not is_small and len(written.days) == 1
        grouped = files.groupBy(*([] if is_one_day else [PARTITION]))
        told = grouped.agg(*aggregates).collect()
        for key in [] if is_small else keys:
            told += grouped.agg((rows - F.count_distinct(key)).alias("duplicate_keys")).collect()
        for row in told:
            found = row.asDict()
            if "high" in found:
                found[DIGEST] = str((found.pop("high") << 32) + found.pop("low"))
            day = written.days[0] if is_one_day else found.pop(PARTITION)
            figures.setdefault(day, dict(nothing)).update(found)
        return figures

    def publish(
        self,
        staged: Staged,
        *,
        upstreams: Mapping[date, Sequence[Upstream]],
        announced_empty: Collection[date] = (),
        told: Mapping[str, Any] | None = None,
    ) -> None:
        """Make the staged days visible in one commit, or raise with the table as it was.

        Busy where another run drew a newer generation of one of the days or holds the lake; DataRefused
        where no rows would replace rows and nobody announced an empty day. `told` goes into the commit info.
        """
        assert self.run is not None
        table = staged.table
        with self._delta.lock(self._lock_path(table.name)):
            self._refuse_outrun(staged)
            self.recover(table.name)
            before = self.ledger.published(table.name, staged.days[0], staged.days[-1])
            self._refuse_vanishing(staged, before, announced_empty)
            dropped = self._outlived(staged)
            metadata = commit_info.told(staged, self.run.run_id, self.settings.digest, upstreams, dropped, told or {})
            commit = self._delta.commit(
                self.path(table.name),
                staged.written,
                generations={f"clm/{table.name}/{day}": generation for day, generation in staged.generations.items()},
                metadata=metadata,
                # Where a day is known to hold nothing there are no old files to look for.
                emptied=[*dropped, *(day for day in staged.days if day in before)],
            )
            if commit.metadata.get("run_id") != self.run.run_id:
                raise Failed(f"{table.name}: version {commit.version} is not this run's commit. Run `clm doctor`.")
            self._note(table.name, commit)
        self._own[table.name] = staged
        self._just_published.setdefault(table.name, set()).update(staged.days)

    def let_go(self, table: Table, days: Sequence[date]) -> None:
        """Take days out of a table for good, in one commit; the ledger still knows what they were."""
        assert self.run is not None
        with self._delta.lock(self._lock_path(table.name)):
            if self.lease is not None:
                self.lease.check()
            self.recover(table.name)
            told = commit_info.let_go(table.name, self.run.run_id, self.settings.digest, days)
            commit = self._delta.commit(
                self.path(table.name), WrittenFiles((), (), 0), generations={}, metadata=told, emptied=days
            )
            self._note(table.name, commit)

    def clear_up(self, table: Table) -> None:
        """Remove files that the table has not named for seven days, those of killed runs too; make reading it quick.

        No reader of the newest version misses any of them, nor one who began in these days.
        """
        with self._delta.lock(self._lock_path(table.name)):
            self._delta.clear_up(self.path(table.name))

    def _outlived(self, staged: Staged) -> list[date]:
        """Earlier snapshots that are no longer kept once the staged ones are there."""
        if staged.table.kind != "snapshot":
            return []
        kept = self.ledger.kept_days(staged.table.name)
        newest = max([*kept, *staged.days])
        needed = {*staged.generations, *self._just_published.get(staged.table.name, ())}
        return [day for day in kept if day not in needed and not is_kept_snapshot(day, newest)]

    def _note(self, table: str, commit: Commit) -> None:
        published, dropped = commit_info.publications(table, commit), commit_info.dropped(commit)
        newest = None if published else (table, commit.version, commit.sha256)
        self.ledger.record(published, {table: dropped}, newest=newest)

    def _refuse_vanishing(
        self, staged: Staged, before: Mapping[date, Publication], announced_empty: Collection[date]
    ) -> None:
        for day in staged.days:
            published = before.get(day)
            if published and published.rows and not staged.figures[day]["rows"] and day not in announced_empty:
                raise DataRefused(
                    f"{staged.table.name} {day}: no rows would replace {published.rows}, and no manifest said that "
                    "the day is empty. Nothing was published. If it is, deliver a manifest with no files."
                )

    def _refuse_outrun(self, staged: Staged) -> None:
        assert self.run is not None
        if self.lease is not None:
            self.lease.check()
        newest = self.ledger.newest_drawn(staged.table.name, staged.days)
        for day, generation in staged.generations.items():
            if newest.get(day) != generation:
                raise Busy(
                    f"{staged.table.name} {day}: generation {generation} of this run was overtaken by "
                    f"{newest.get(day)}. Nothing was published; wait for the other run, then run this again."
                )

    # ---- health

    def recover(self, table: str) -> int:
        """Enter commits that landed before their ledger row could be written; returns how many there were."""
        noted = self.ledger.newest_version(table)
        version = self._delta.version(self.path(table))
        start = noted[0] if noted else 0
        if version < start:
            raise Failed(
                f"{table} went back: its newest version is {version}, the ledger knows {start}. Restore the missing "
                f"files of {self.path(table)}/_delta_log from a backup; nothing was changed."
            )
        if noted and self._delta.read_commit(self.path(table), start).sha256 != noted[1]:
            raise Failed(
                f"{table}: version {start} is not the commit that the ledger knows. Restore "
                f"{self.path(table)}/_delta_log from a backup; nothing was changed."
            )
        found = 0
        for missed in range(start + 1, version + 1):
            commit = self._delta.read_commit(self.path(table), missed)
            if commit.metadata.get("table") == table:
                self._note(table, commit)
                found += 1
            else:
                # Of a column that was added, say: the entries before it may go from the log with the next checkpoint.
                self.ledger.record([], newest=(table, commit.version, commit.sha256))
        return found
