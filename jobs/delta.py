"""Delta's own transaction, through py4j: write now, publish later. See docs/adr/0002.

This is Delta's internal interface, so nothing else touches it; `jobs.lake` is the only caller, and
tests/jobs/test_delta.py pins every behaviour relied on here.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from jobs.errors import is_sparks
from jobs.frames import java_class, local_frame
from schemas.table import PARTITION

EPOCH = date(1970, 1, 1)
# From so many on, Delta's own query is cheaper than to name them all; and it can pass over files by their statistics.
MANY_FILES = 500
# The version of Delta's protocol in which a file is read as it is: no deletion vectors, no renamed columns.
PLAIN_READER = 1
DAY_OF_FILE = re.compile(rf"/{PARTITION}=(\d{{4}}-\d{{2}}-\d{{2}})/")


@dataclass(frozen=True)
class WrittenFiles:
    """Parquet files of one table that no reader sees: Delta's AddFile actions, not yet committed; `size` in bytes."""

    actions: tuple[Any, ...]
    paths: tuple[str, ...]
    size: int

    @property
    def days(self) -> list[date]:
        """The days of which there are files."""
        return sorted({date.fromisoformat(day) for path in self.paths for day in DAY_OF_FILE.findall(path)})


@dataclass(frozen=True)
class PublishedFiles:
    """The files of days of a table in its newest version, and the table's columns in Spark's own JSON."""

    paths: tuple[str, ...]
    columns: str


@dataclass(frozen=True)
class Commit:
    """One entry of a table's log: its version, the sha256 of its text, and what the writer said of itself."""

    version: int
    sha256: str
    metadata: dict[str, Any]


class DeltaFiles:
    """Tables by path, for one Spark session."""

    def __init__(self, spark: SparkSession) -> None:
        self.spark = spark
        # What py4j offers is made at run time; no stub describes it.
        self._session: Any = spark._jsparkSession
        self._option: Any = java_class(spark, "scala.Option")
        self._none: Any = self._option.empty()
        self._delta_log: Any = java_class(spark, "org.apache.spark.sql.delta.DeltaLog")
        hadoop = self._session.sessionState().newHadoopConf()
        self._kernel: Any = java_class(spark, "io.delta.kernel.defaults.engine.DefaultEngine").create(hadoop)
        self._scan_file: Any = java_class(spark, "io.delta.kernel.internal.InternalScanFileUtils")
        self._action: Any = java_class(spark, "org.apache.spark.sql.delta.actions.Action")
        self._kernel_types: Any = java_class(spark, "io.delta.kernel.internal.types.DataTypeJsonSerDe")

    def _scala_seq(self, items: Sequence[Any]) -> Any:
        array = java_class(self.spark, "java.util.ArrayList")()
        for item in items:
            array.add(item)
        return java_class(self.spark, "org.apache.spark.api.python.PythonUtils").toSeq(array)

    def _log(self, path: str) -> Any:
        return self._delta_log.forTable(self._session, path)

    def _transaction(self, path: str) -> Any:
        return self._log(path).startTransaction(self._none, self._none)

    def exists(self, path: str) -> bool:
        return bool(java_class(self.spark, "io.delta.tables.DeltaTable").isDeltaTable(self._session, path))

    def create(self, path: str, ddl: str, properties: Mapping[str, str]) -> None:
        """An empty table, by Delta's Kernel: Spark's table builder needs SQL over paths, which is switched off."""
        schema = StructType.fromDDL(ddl).json()
        making = java_class(self.spark, "io.delta.kernel.Operation").CREATE_TABLE
        builder = self._kernel_table(path).createTransactionBuilder(self._kernel, "clm-lake", making)
        builder = builder.withSchema(self._kernel, self._kernel_types.deserializeStructType(schema))
        builder = builder.withPartitionColumns(self._kernel, [PARTITION])
        transaction = builder.withTableProperties(self._kernel, dict(properties)).build(self._kernel)
        no_files = java_class(self.spark, "io.delta.kernel.utils.CloseableIterable").emptyIterable()
        transaction.commit(self._kernel, no_files)

    def _kernel_table(self, path: str) -> Any:
        return java_class(self.spark, "io.delta.kernel.Table").forPath(self._kernel, path)

    def columns(self, path: str) -> list[str]:
        """The names of the table's columns as the store has them now."""
        # As one text: an array comes over to Python name by name.
        return StructType.fromJson(json.loads(self._newest(path).schema().json())).names

    def widen(self, path: str, ddl: str) -> None:
        """Add the columns of `ddl` that the table lacks; rows written before have null there."""
        empty = local_frame(self.spark, [], ddl)
        empty.write.format("delta").mode("append").option("mergeSchema", "true").save(path)

    def clear_up(self, path: str) -> None:
        """Write a checkpoint, by which old entries of the log go as well, and remove files past their retention."""
        self._log(path).checkpoint()
        DeltaTable.forPath(self.spark, path).vacuum()

    def version(self, path: str) -> int:
        """The newest version of the table as the store has it now; -1 where there is none."""
        return int(self._newest(path).version())

    def _newest(self, path: str) -> Any:
        """Delta's own view of the newest version."""
        return self._log(path).update(False, self._none, self._none)

    def files(self, path: str, first: date | None, last: date) -> PublishedFiles | None:
        """The files of the days first … last as the store has them now; None where Delta itself has to read them.

        By Delta's Kernel, which reads the log here: Delta for Spark asks it by a query, at each action anew.
        That is where they are many, or where a path alone does not tell what a file holds.
        """
        try:
            snapshot = self._snapshot(path)
            found = self._scanned(snapshot, first, last)
        except Exception as error:
            if not is_sparks(error):
                raise
            # Delta for Spark says what is wrong, in words that others know.
            return None
        if found is None:
            return None
        paths = tuple(self._scan_file.getAddFileStatus(row).getPath() for row in found)
        return PublishedFiles(paths, self._kernel_types.serializeDataType(snapshot.getSchema()))

    def _snapshot(self, path: str) -> Any:
        return self._kernel_table(path).getLatestSnapshot(self._kernel)

    def _scanned(self, snapshot: Any, first: date | None, last: date) -> list[Any] | None:
        """Kernel's rows of the files of these days; None where they are many or no plain files."""
        if snapshot.getProtocol().getMinReaderVersion() > PLAIN_READER:
            return None
        batches = snapshot.getScanBuilder().withFilter(self._days(first, last)).build().getScanFiles(self._kernel)
        found = list(islice(_rows(batches), MANY_FILES))
        batches.close()
        return found if len(found) < MANY_FILES else None

    def _days(self, first: date | None, last: date) -> Any:
        """The days as Kernel's condition."""
        column = java_class(self.spark, "io.delta.kernel.expressions.Column")(PARTITION)
        literal = java_class(self.spark, "io.delta.kernel.expressions.Literal")
        predicate = java_class(self.spark, "io.delta.kernel.expressions.Predicate")
        both = java_class(self.spark, "io.delta.kernel.expressions.And")

        def compared(how: str, day: date) -> Any:
            return predicate(how, column, literal.ofDate((day - EPOCH).days))

        until = compared("<=", last)
        return until if first is None else both(compared(">=", first), until)

    def write(self, path: str, frame: DataFrame) -> WrittenFiles:
        """Write `frame` as files of the table without committing them."""
        added = self._transaction(path).writeFiles(frame._jdf)  # pyright: ignore[reportAttributeAccessIssue]
        actions = tuple(added.apply(i) for i in range(added.size()))
        paths = tuple(f"{path}/{unquote(action.path())}" for action in actions)
        return WrittenFiles(actions, paths, sum(action.size() for action in actions))

    def commit(
        self,
        path: str,
        written: WrittenFiles,
        *,
        generations: Mapping[str, int],
        metadata: Mapping[str, Any],
        emptied: Collection[date],
    ) -> Commit:
        """Publish `written` in one commit, in place of all that the days `emptied` hold, and read the commit back.

        A transaction begun here, not the one that wrote, sees commits made since; the caller holds the
        table's lock. `generations` become SetTransaction entries.
        """
        transaction = self._transaction(path)
        removed = self._old_files(path, transaction, emptied) if emptied else []
        set_transaction = java_class(self.spark, "org.apache.spark.sql.delta.actions.SetTransaction")
        at = self._option.apply(1)
        transactions = [set_transaction(tag, generation, at) for tag, generation in generations.items()]
        version = int(
            transaction.commit(self._scala_seq([*written.actions, *removed, *transactions]), self._write_of(metadata))
        )
        return self.read_commit(path, version)

    def _old_files(self, path: str, transaction: Any, days: Collection[date]) -> list[Any]:
        """What takes all files of these days out of the table."""
        listed = ", ".join(f"DATE'{day}'" for day in days)
        condition = self._session.sessionState().sqlParser().parseExpression(f"{PARTITION} in ({listed})")
        conditions = self._scala_seq([condition])
        snapshot = self._snapshot(path)
        found = self._scanned(snapshot, min(days), max(days))
        if found is None or snapshot.getVersion() != transaction.readVersion():
            old = transaction.filterFiles(conditions, False)
            return [old.apply(i).remove() for i in range(old.size())]
        # As filterFiles does: a commit that touches these days meanwhile is a conflict.
        transaction.trackReadPredicates(conditions, False, True)
        added = (self._added(row) for row in found)
        return [
            self._action.fromJson(json.dumps({"add": add})).remove()
            for add in added
            if date.fromisoformat(add["partitionValues"][PARTITION]) in days
        ]

    def _added(self, row: Any) -> dict[str, Any]:
        """The entry of the log that added the file of one of Kernel's rows, but for what its removal leaves out."""
        file = row.getStruct(self._scan_file.ADD_FILE_ORDINAL)
        return {
            "path": file.getString(0),
            "partitionValues": dict(self._scan_file.getPartitionValues(row)),
            "size": self._scan_file.getAddFileStatus(row).getSize(),
            "modificationTime": 0,
            "dataChange": True,
        }

    def _write_of(self, metadata: Mapping[str, Any]) -> Any:
        """Delta's name for what this commit does: an overwrite of days, with our own words in it."""
        write = java_class(self.spark, "org.apache.spark.sql.delta.DeltaOperations$Write")
        mode = java_class(self.spark, "org.apache.spark.sql.SaveMode").Append
        said = self._option.apply(json.dumps(metadata, sort_keys=True))
        none = self._none
        return write(mode, none, none, said, none, none, none, none, none)

    def read_commit(self, path: str, version: int) -> Commit:
        """The commit `version` as it stands in the log."""
        log = self._log(path)
        file = java_class(self.spark, "org.apache.hadoop.fs.Path")(f"{path}/_delta_log/{version:020d}.json")
        text = log.store().read(file, log.newDeltaHadoopConf()).mkString("\n")
        infos = [json.loads(line)["commitInfo"] for line in text.split("\n") if line.startswith('{"commitInfo"')]
        said = infos[0].get("userMetadata") if infos else None
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Commit(version, digest, json.loads(said) if said else {})

    def lock(self, path: str) -> TableLock:
        return TableLock(self.spark, path)


def _rows(batches: Any) -> Iterator[Any]:
    while batches.hasNext():
        rows = batches.next().getRows()
        while rows.hasNext():
            yield rows.next()


class TableLock:
    """The commit lock of one table: an OS lock held by the JVM, which is what commits and may outlive Python."""

    def __init__(self, spark: SparkSession, path: str) -> None:
        self._spark = spark
        self._file = Path(path)

    def __enter__(self) -> TableLock:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._channel = java_class(self._spark, "java.io.RandomAccessFile")(str(self._file), "rw").getChannel()
        self._lock = self._channel.lock()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        self._channel.close()
