"""Every behaviour of Delta's internal interface that publishing relies on; where one breaks, see docs/adr/0002."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from delta.tables import DeltaTable
from pyspark.errors import IllegalArgumentException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from jobs.delta import Commit, DeltaFiles, WrittenFiles
from jobs.frames import java_class
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.places import local_path
from tests.conftest import Place
from tests.jobs.notes import NOTES, Note, Worker, note, notes

MON, TUE, WED = date(2026, 1, 26), date(2026, 1, 27), date(2026, 1, 28)


class Notes:
    """A table of notes at a path with a blank in it."""

    def __init__(self, spark: SparkSession, path: Path) -> None:
        self.spark = spark
        self.path = str(path)
        self.delta = DeltaFiles(spark)

    def write(self, *rows: Note) -> WrittenFiles:
        return self.delta.write(self.path, notes(self.spark, rows).coalesce(1))

    def commit(
        self, written: WrittenFiles, *days: date, generation: int = 1, said: Mapping[str, Any] | None = None
    ) -> Commit:
        generations = {f"clm/core.notes/{day}": generation for day in days}
        return self.delta.commit(self.path, written, generations=generations, metadata=said or {}, emptied=days)

    def publish(self, *rows: Note) -> Commit:
        return self.commit(self.write(*rows), *sorted({row[0] for row in rows}))

    def frame(self) -> DataFrame:
        return self.spark.read.format("delta").load(self.path)

    def rows(self) -> list[tuple[date, int]]:
        return sorted((row["as_of_date"], row["key"]) for row in self.frame().collect())

    def actions(self, version: int, kind: str) -> list[dict[str, Any]]:
        log = Path(self.path, "_delta_log", f"{version:020d}.json").read_text().splitlines()
        return [action[kind] for action in map(json.loads, log) if kind in action]

    def checksum(self, version: int) -> dict[str, Any]:
        return json.loads(Path(self.path, "_delta_log", f"{version:020d}.crc").read_text())

    def parquet(self) -> set[str]:
        return {str(file) for file in Path(self.path).rglob("*.parquet")}


@pytest.fixture
def table(spark: SparkSession, tmp_path: Path) -> Notes:
    made = Notes(spark, tmp_path / "the lake" / "notes")
    made.delta.create(made.path, NOTES.ddl(nullable=True), {"delta.dataSkippingStatsColumns": "key"})
    return made


def test_a_table_that_is_not_there_has_no_version(spark: SparkSession, tmp_path: Path) -> None:
    delta = DeltaFiles(spark)
    assert (delta.exists(str(tmp_path / "none")), delta.version(str(tmp_path / "none"))) == (False, -1)


def test_readers_see_the_old_rows_until_the_commit_and_all_new_ones_after(table: Notes) -> None:
    table.publish(note(MON, key=1))
    reader = table.frame()
    written = table.write(note(MON, key=2), note(MON, key=3))
    assert len(written.paths) == 1
    assert table.rows() == [(MON, 1)]
    staged = table.spark.read.option("basePath", table.path).parquet(*written.paths)
    assert sorted(row["key"] for row in staged.collect()) == [2, 3]
    table.commit(written, MON)
    assert table.rows() == [(MON, 2), (MON, 3)]
    # A frame is no snapshot: it is read anew at each action.
    assert sorted(row["key"] for row in reader.collect()) == [2, 3]


def test_a_commit_of_another_day_in_between_is_kept(table: Notes) -> None:
    written = table.write(note(MON, key=1))
    between = table.publish(note(TUE, key=2))
    assert table.commit(written, MON).version == between.version + 1
    assert table.rows() == [(MON, 1), (TUE, 2)]


def test_a_commit_of_the_same_day_in_between_is_replaced_and_nothing_is_doubled(table: Notes) -> None:
    table.publish(note(MON, key=1))
    written = table.write(note(MON, key=2))
    table.publish(note(MON, key=3))  # Not there when ours was written: only a transaction begun later removes it.
    table.commit(written, MON)
    assert table.rows() == [(MON, 2)]


def test_several_days_are_one_commit_and_the_others_stay(table: Notes) -> None:
    first = table.publish(note(MON, key=1), note(TUE, key=2), note(WED, key=3))
    second = table.publish(note(MON, key=4), note(TUE, key=5))
    assert second.version == first.version + 1
    assert table.rows() == [(MON, 4), (TUE, 5), (WED, 3)]


def test_a_day_without_rows_has_no_files_and_is_emptied(table: Notes) -> None:
    table.publish(note(MON, key=1), note(TUE, key=2))
    written = table.write()
    assert (written.actions, written.paths) == ((), ())
    table.commit(written, MON)
    assert table.rows() == [(TUE, 2)]


def test_each_day_has_its_own_generation_in_the_commit(table: Notes) -> None:
    commit = table.commit(table.write(note(MON), note(TUE)), MON, TUE, generation=7)
    told = {action["appId"]: action["version"] for action in table.actions(commit.version, "txn")}
    assert told == {"clm/core.notes/2026-01-26": 7, "clm/core.notes/2026-01-27": 7}
    # Delta itself does not mind an older generation: refusing it is the ledger's work.
    table.commit(table.write(note(MON, key=2)), MON, generation=6)
    assert table.rows() == [(MON, 2), (TUE, 1)]


def test_what_the_writer_said_is_read_back_with_the_sha256_of_the_entry(table: Notes) -> None:
    said = {"run_id": "r1", "days": {"2026-01-26": {"rows": 1}}, "note": 'ü "quoted" \\ and\na line'}
    commit = table.commit(table.write(note(MON)), MON, said=said)
    assert commit.metadata == said
    assert table.delta.read_commit(table.path, commit.version) == commit
    text = Path(table.path, "_delta_log", f"{commit.version:020d}.json").read_text().rstrip("\n")
    assert commit.sha256 == hashlib.sha256(text.encode()).hexdigest()


def test_an_entry_that_nobody_spoke_in_is_read_as_such(table: Notes) -> None:
    assert table.delta.read_commit(table.path, 0).metadata == {}


def test_statistics_are_kept_of_the_named_columns_only(table: Notes) -> None:
    commit = table.publish(note(MON, key=4, says="someone@example.com"))
    (added,) = table.actions(commit.version, "add")
    statistics = json.loads(added["stats"])
    assert (statistics["numRecords"], statistics["minValues"], statistics["maxValues"]) == (1, {"key": 4}, {"key": 4})
    assert "someone" not in Path(table.path, "_delta_log", f"{commit.version:020d}.json").read_text()


def test_a_commit_tells_its_checksum_from_the_one_before_and_runs_no_job(table: Notes) -> None:
    """Replaying the table's state costs a tiny commit two thirds of its time, and more with every file."""
    table.publish(note(MON, key=1))
    written = table.write(note(TUE, key=2), note(WED, key=3))
    context = table.spark.sparkContext
    context.setJobGroup("commit", "of a table with a checksum")
    table.commit(written, TUE, WED)
    jobs = context.statusTracker().getJobIdsForGroup("commit")
    context.setLocalProperty("spark.jobGroup.id", None)
    assert list(jobs) == []
    assert (table.checksum(2)["numFiles"], table.checksum(2)["numMetadata"]) == (3, 1)


def test_nothing_is_committed_over_an_entry_that_was_lost_from_under_its_checksum(table: Notes) -> None:
    table.publish(note(MON, key=1))
    table.publish(note(TUE, key=2), note(WED, key=3))
    for file in Path(table.path, "_delta_log").glob(f"*{2:020d}.json*"):
        file.unlink()
    java_class(table.spark, "org.apache.spark.sql.delta.DeltaLog").clearCache()
    with pytest.raises(IllegalArgumentException, match=r"checksum version \(2\)"):
        table.publish(note(TUE, key=4))
    assert table.rows() == [(MON, 1)]


def test_days_that_hold_nothing_are_published_without_a_look_for_old_files(table: Notes) -> None:
    for day, replaces, removed in ((MON, False, 0), (MON, True, 1)):
        written = table.write(note(day))
        commit = table.delta.commit(table.path, written, generations={}, metadata={}, emptied=[day] if replaces else [])
        assert len(table.actions(commit.version, "remove")) == removed


def test_the_files_of_days_are_those_of_the_newest_version(table: Notes) -> None:
    table.publish(note(MON, key=1), note(TUE, key=2), note(WED, key=3))
    table.publish(note(TUE, key=4))
    for first, last, keys in ((TUE, TUE, [4]), (None, TUE, [1, 4]), (TUE, WED, [3, 4]), (MON, date.max, [1, 3, 4])):
        found = table.delta.files(table.path, first, last)
        assert found is not None
        named = table.spark.read.option("basePath", table.path).parquet(*found.paths)
        assert sorted(row["key"] for row in named.collect()) == keys
        assert StructType.fromJson(json.loads(found.columns)) == table.frame().schema
    assert table.delta.files(table.path, date(2026, 2, 1), date.max) == replace(found, paths=())


@pytest.mark.parametrize("many", [1, 500])
def test_the_files_of_a_day_leave_whoever_names_them(table: Notes, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    monkeypatch.setattr("jobs.delta.MANY_FILES", many)
    old = table.publish(note(MON, key=1), note(TUE, key=2), note(WED, key=3))
    new = table.commit(table.write(note(MON, key=4)), MON, WED)
    assert table.rows() == [(MON, 4), (TUE, 2)]
    added = {add["path"] for add in table.actions(old.version, "add") if "2026-01-27" not in add["path"]}
    assert {remove["path"] for remove in table.actions(new.version, "remove")} == added


def test_delta_reads_what_a_list_of_files_does_not_tell(
    table: Notes, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table.publish(note(MON, key=1), note(TUE, key=2))
    monkeypatch.setattr("jobs.delta.MANY_FILES", 2)
    assert table.delta.files(table.path, None, TUE) is None
    assert table.delta.files(table.path, TUE, TUE) is not None
    assert table.delta.files(str(tmp_path / "none"), None, TUE) is None
    other = str(tmp_path / "other")
    table.delta.create(other, NOTES.ddl(nullable=True), {"delta.enableDeletionVectors": "true"})
    assert table.delta.files(other, None, TUE) is None


@pytest.mark.slow
def test_files_of_a_killed_writer_are_never_read_and_go_with_the_vacuum(spark: SparkSession, place: Place) -> None:
    settings = place.configure()
    ledger = Ledger.open(settings.ledger_url)
    lake = Lake(spark, settings, ledger, ledger.start_run("run", MON, WED))
    lake.publish(lake.stage(NOTES, notes(spark, [note(MON, key=1)]), [MON], []), upstreams={})
    table = Notes(spark, Path(lake.path(NOTES.name)))
    before = table.parquet()

    worker = Worker(place.environ)
    try:
        assert worker.answer() == "ready"
        worker.tell(f"stage {TUE}")
        assert worker.answer() == "staged"
    finally:
        worker.kill()
    left_behind = table.parquet() - before
    assert left_behind
    assert table.rows() == [(MON, 1)]

    # The next run of the day writes its own, and neither sees nor removes theirs.
    lake.publish(lake.stage(NOTES, notes(spark, [note(TUE, key=2)]), [TUE], []), upstreams={})
    assert table.rows() == [(MON, 1), (TUE, 2)]
    assert left_behind <= table.parquet()

    # The vacuum lists folders in as many tasks as the second says: 10,000, were it not set.
    vacuums = {
        "spark.databricks.delta.retentionDurationCheck.enabled": "false",
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    }
    for key, value in vacuums.items():
        spark.conf.set(key, value)
    try:
        DeltaTable.forPath(spark, table.path).vacuum(0)
    finally:
        for key in vacuums:
            spark.conf.unset(key)
    assert not left_behind & table.parquet()
    assert before <= table.parquet()
    assert table.rows() == [(MON, 1), (TUE, 2)]


@pytest.mark.parametrize(
    ("address", "path"),
    [("/lake", Path("/lake")), ("file:/lake", Path("/lake")), ("lake", Path("lake")), ("s3a://bucket/lake", None)],
)
def test_an_address_is_a_path_of_this_machine_or_an_object_stores(address: str, path: Path | None) -> None:
    assert local_path(address) == path
