"""Days of a table are published whole, in the order the ledger gave, or not at all; and what was lost is found."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from expectations import derived
from jobs.errors import Busy, DataRefused, Failed
from jobs.health import check_health, ensure_writable, refuse_unhealthy
from jobs.lake import Lake, Staged
from jobs.lease import Lease
from jobs.ledger import Ledger
from jobs.ledger_records import Publication, Upstream
from schemas.table import Column
from tests.conftest import Place
from tests.jobs.notes import NOTES, Note, Worker, note, notes

MON, TUE, WED = date(2026, 1, 26), date(2026, 1, 27), date(2026, 1, 28)
PUBLICATIONS_EACH = 4


class ForgetfulLedger(Ledger):
    """A ledger whose disk is full when the commit has landed."""

    def record(
        self,
        publications: Sequence[Publication],
        dropped: Mapping[str, Sequence[date]] | None = None,
        *,
        newest: tuple[str, int, str] | None = None,
    ) -> None:
        raise Failed("no space left on device")


@pytest.fixture
def open_lake(spark: SparkSession, place: Place) -> Callable[..., Lake]:
    settings = place.configure()

    def open_it(kind: type[Ledger] = Ledger, *, leased: Callable[[Ledger], Lease] | None = None) -> Lake:
        ledger = kind.open(settings.ledger_url)
        run = ledger.start_run("run", MON, WED)
        return Lake(spark, settings, ledger, run, leased(ledger) if leased else None)

    return open_it


@pytest.fixture
def lake(open_lake: Callable[..., Lake]) -> Lake:
    return open_lake()


def stage(lake: Lake, *rows: Note, days: Sequence[date] = ()) -> Staged:
    return lake.stage(NOTES, notes(lake.spark, rows), days or sorted({row[0] for row in rows}), [])


def publish(lake: Lake, *rows: Note, days: Sequence[date] = (), empty: Sequence[date] = ()) -> None:
    lake.publish(stage(lake, *rows, days=days), upstreams={}, announced_empty=empty)


def rows_of(lake: Lake, known_on: date = date.max) -> list[tuple[date, int]]:
    frame = lake.read(NOTES.name, known_on=min(known_on, date(9999, 1, 1)))
    return sorted((row["as_of_date"], row["key"]) for row in frame.collect())


def entry(lake: Lake, version: int) -> Path:
    return Path(lake.path(NOTES.name), "_delta_log", f"{version:020d}.json")


def as_another_process(lake: Lake) -> None:
    """Forget what this process has read of the tables' logs."""
    jvm: Any = lake.spark._jvm
    jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()


# ---- reading


def test_what_was_known_on_a_day_is_what_its_night_and_those_before_it_learned(lake: Lake) -> None:
    publish(lake, note(MON, key=1), note(TUE, key=2), note(WED, key=3))
    assert rows_of(lake, TUE) == [(MON, 1), (TUE, 2)]
    assert [row["key"] for row in lake.read(NOTES.name, known_on=WED, since=WED).collect()] == [3]
    assert [row["key"] for row in lake.read_day(NOTES.name, TUE).collect()] == [2]
    assert sorted(row["key"] for row in lake.read_days(NOTES.name, {WED, MON}).collect()) == [1, 3]


# ---- staging


def test_the_digest_is_of_the_business_columns_in_any_order(lake: Lake) -> None:
    def digest(*rows: Note) -> str:
        return stage(lake, *rows).digest(MON)

    told = digest(note(MON, key=1, says="a"), note(MON, key=2, says=None), note(MON, key=3, says=""))
    other_order = digest(note(MON, key=3, says=""), note(MON, key=1, says="a"), note(MON, key=2, says=None))
    other_file = digest(
        note(MON, key=1, says="a", file="g"), note(MON, key=2, says=None, file="g"), note(MON, key=3, says="")
    )
    assert told == other_order == other_file
    one_value = digest(note(MON, key=1, says="b"), note(MON, key=2, says=None), note(MON, key=3, says=""))
    null_for_empty = digest(note(MON, key=1, says="a"), note(MON, key=2, says=None), note(MON, key=3, says=None))
    swapped = digest(note(MON, key=1, says="a"), note(MON, key=2, says=""), note(MON, key=3, says=None))
    twice = digest(
        note(MON, key=1, says="a"), note(MON, key=1, says="a"), note(MON, key=2, says=None), note(MON, key=3, says="")
    )
    assert len({told, one_value, null_for_empty, swapped, twice}) == 5


def test_keys_are_counted_alike_of_few_rows_and_of_many(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [note(MON), note(MON, says="again"), note(MON, key=2), note(TUE)]
    suites = [derived.suite(NOTES, may_be_empty=True)]
    few = lake.stage(NOTES, notes(lake.spark, rows), [MON, TUE, WED], suites)
    monkeypatch.setattr("jobs.lake.SMALL", 0)
    many = lake.stage(NOTES, notes(lake.spark, rows), [MON, TUE, WED], suites)
    assert few.figures == many.figures
    assert {day: few.figures[day]["duplicate_keys"] for day in few.days} == {MON: 1, TUE: 0, WED: 0}


def test_what_is_staged_is_read_by_nobody_but_the_audit(lake: Lake) -> None:
    publish(lake, note(MON, key=1))
    staged = stage(lake, note(MON, key=2), note(TUE, key=3), days=[MON, TUE, WED])
    assert {day: figures["rows"] for day, figures in staged.figures.items()} == {MON: 1, TUE: 1, WED: 0}
    assert sorted(row["key"] for row in staged.frame.collect()) == [2, 3]
    assert rows_of(lake) == [(MON, 1)]


def test_rows_of_a_day_that_was_not_asked_for_stop_the_run(lake: Lake) -> None:
    with pytest.raises(Failed, match=r"core\.notes: rows of 2026-01-28 in a run of 2026-01-26 to 2026-01-27"):
        stage(lake, note(MON), note(WED), days=[MON, TUE])


def test_a_lake_that_was_opened_to_be_read_stages_nothing(lake: Lake) -> None:
    reader = Lake(lake.spark, lake.settings, lake.ledger)
    with pytest.raises(Failed, match="opened to be read"):
        stage(reader, note(MON))


# ---- publishing


def test_a_range_is_one_commit_with_a_ledger_row_per_day(lake: Lake) -> None:
    made_from = Upstream(table="raw.notes", day=MON, digest="9")
    staged = stage(lake, note(MON, key=1), note(TUE, key=2), note(TUE, key=3))
    lake.publish(staged, upstreams={MON: [made_from]}, told={"deliveries": [{"id": "d1", "night": "2026-01-26"}]})
    published = lake.ledger.published(NOTES.name, MON, WED)
    assert {day: (each.rows, each.digest, each.generation) for day, each in published.items()} == {
        MON: (1, staged.digest(MON), 1),
        TUE: (2, staged.digest(TUE), 1),
    }
    assert len({(each.version, each.commit_sha256) for each in published.values()}) == 1
    assert lake.ledger.lineage(NOTES.name, MON) == [made_from]
    # With the deliveries in the commit itself, a lost ledger can be rebuilt.
    said = next(json.loads(line) for line in entry(lake, 1).read_text().splitlines() if "commitInfo" in line)
    assert json.loads(said["commitInfo"]["userMetadata"])["deliveries"] == [{"id": "d1", "night": "2026-01-26"}]


def test_the_same_day_again_is_a_new_generation_with_the_same_digest(lake: Lake) -> None:
    publish(lake, note(MON, key=1), note(MON, key=2))
    first = lake.ledger.published(NOTES.name, MON, MON)[MON]
    publish(lake, note(MON, key=2), note(MON, key=1))
    second = lake.ledger.published(NOTES.name, MON, MON)[MON]
    assert (second.generation, second.digest) == (first.generation + 1, first.digest)
    assert rows_of(lake) == [(MON, 1), (MON, 2)]


def test_the_older_of_two_writers_is_refused_and_the_table_stays_as_it_was(open_lake: Callable[..., Lake]) -> None:
    slow, quick = open_lake(), open_lake()  # Neither has a lease: as after one was given up by mistake.
    old = stage(slow, note(MON, key=1), note(TUE, key=2))
    new = stage(quick, note(TUE, key=3))
    with pytest.raises(Busy, match=r"core\.notes 2026-01-27: generation 1 of this run was overtaken by 2"):
        slow.publish(old, upstreams={})
    assert (rows_of(slow), slow.ledger.published(NOTES.name, MON, WED)) == ([], {})
    quick.publish(new, upstreams={})
    with pytest.raises(Busy):
        slow.publish(old, upstreams={})
    assert rows_of(slow) == [(TUE, 3)]


def test_a_run_that_lost_its_lease_publishes_nothing(open_lake: Callable[..., Lake]) -> None:
    class Lost(Lease):
        def check(self) -> None:
            raise Busy("lost the lake")

    def lost(ledger: Ledger) -> Lease:
        run = ledger.start_run("run", MON, MON)
        return Lost(ledger._writes, run, keep=False, clock=ledger._clock, beat_seconds=30)

    lake = open_lake(leased=lost)
    staged = stage(lake, note(MON))
    with pytest.raises(Busy, match="lost the lake"):
        lake.publish(staged, upstreams={})
    assert rows_of(lake) == []


def test_no_rows_never_replace_a_day_unless_it_was_announced_empty(lake: Lake) -> None:
    publish(lake, note(MON, key=1), note(TUE, key=2))
    nothing = stage(lake, note(TUE, key=4), days=[MON, TUE])
    with pytest.raises(DataRefused, match=r"core\.notes 2026-01-26: no rows would replace 1"):
        lake.publish(nothing, upstreams={}, announced_empty=[TUE])
    assert rows_of(lake) == [(MON, 1), (TUE, 2)]
    lake.publish(nothing, upstreams={}, announced_empty=[MON])
    assert rows_of(lake) == [(TUE, 4)]
    assert lake.ledger.published(NOTES.name, MON, MON)[MON].rows == 0
    publish(lake, days=[MON])  # An empty day may stay empty.
    assert lake.ledger.published(NOTES.name, MON, MON)[MON].generation == 3


# ---- snapshots

SNAPSHOTS = replace(NOTES, name="core.notes_state", kind="snapshot")


def publish_snapshot(lake: Lake, day: date) -> None:
    staged = lake.stage(SNAPSHOTS, notes(lake.spark, [note(day, key=day.day)]), [day], [])
    lake.publish(staged, upstreams={})


def snapshots(lake: Lake) -> list[date]:
    kept = lake.read(SNAPSHOTS.name, known_on=date(9999, 1, 1)).select("as_of_date").collect()
    return sorted(row["as_of_date"] for row in kept)


def test_a_snapshot_leaves_with_the_commit_of_one_a_week_later_but_for_month_ends(
    lake: Lake, open_lake: Callable[..., Lake]
) -> None:
    end = date(2026, 1, 31)
    days = [MON, end, *(end + timedelta(days=n) for n in (1, 2))]
    for day in days:
        publish_snapshot(open_lake(), day)
    assert snapshots(lake) == lake.ledger.kept_days(SNAPSHOTS.name) == days[1:]
    publish_snapshot(open_lake(), end + timedelta(days=8))
    assert snapshots(lake) == [end, days[3], end + timedelta(days=8)]
    assert lake.ledger.published(SNAPSHOTS.name, MON, MON, with_dropped=True)[MON].rows == 1


def test_an_old_snapshot_made_again_stays_until_another_run_publishes_one(
    lake: Lake, open_lake: Callable[..., Lake]
) -> None:
    newest = MON + timedelta(days=20)
    publish_snapshot(open_lake(), newest)
    publish_snapshot(lake, MON)
    assert snapshots(lake) == [MON, newest]
    # The run that made it may read it again: it steps nights whose profiles are older than a week.
    publish_snapshot(lake, newest)
    assert snapshots(lake) == [MON, newest]
    publish_snapshot(open_lake(), newest)
    assert snapshots(lake) == [newest]


def test_a_snapshot_dropped_without_its_ledger_row_is_noted_later(open_lake: Callable[..., Lake]) -> None:
    forgetful, lake = open_lake(ForgetfulLedger), open_lake()
    publish_snapshot(lake, MON)
    with pytest.raises(Failed, match="no space left"):
        publish_snapshot(forgetful, MON + timedelta(days=8))
    assert lake.recover(SNAPSHOTS.name) == 1
    assert snapshots(lake) == lake.ledger.kept_days(SNAPSHOTS.name) == [MON + timedelta(days=8)]


# ---- columns declared since


def test_a_table_gets_the_columns_that_were_declared_since_and_old_rows_have_null_there(
    open_lake: Callable[..., Lake],
) -> None:
    publish(open_lake(), note(MON))
    lake = open_lake()
    mood = Column(name="mood", type="string", about="How it reads.")
    wider = replace(NOTES, columns=(*NOTES.columns, mood))
    lake.widen(NOTES)  # nothing to do
    version = lake.recover(NOTES.name)
    lake.widen(wider)
    lake.widen(wider)
    assert {row["mood"] for row in lake.read_day(NOTES.name, MON).collect()} == {None}
    rows = notes(lake.spark, [note(TUE)]).withColumn("mood", F.lit("glad"))
    lake.publish(lake.stage(wider, rows, [TUE], []), upstreams={})
    told = lake.read(NOTES.name, known_on=TUE).collect()
    assert {(row["as_of_date"], row["mood"]) for row in told} == {(MON, None), (TUE, "glad")}
    # The widening is a commit of no run: the ledger goes on as if it were not there.
    assert (version, lake.recover(NOTES.name)) == (0, 0)
    assert check_health(lake, [NOTES.name]) == []


# ---- two processes


@pytest.mark.slow
def test_two_processes_on_different_days_lose_nothing(lake: Lake, place: Place) -> None:
    publish(lake, note(MON, key=MON.day))
    mine = [TUE + timedelta(days=i) for i in range(PUBLICATIONS_EACH)]
    theirs = [day + timedelta(days=PUBLICATIONS_EACH) for day in mine]
    worker = Worker(place.environ)
    try:
        assert worker.answer() == "ready"
        # While this process holds the table's lock, the other can stage and not commit.
        with lake._delta.lock(lake._lock_path(NOTES.name)):
            worker.tell(f"publish {theirs[0]}")
            answers: list[str] = []
            waiting = threading.Thread(target=lambda: answers.append(worker.answer()))
            waiting.start()
            waiting.join(timeout=3)
            assert (answers, rows_of(lake)) == ([], [(MON, MON.day)])
        waiting.join()
        assert answers == ["published"]
        for day in theirs[1:]:
            worker.tell(f"publish {day}")
        for day in mine:
            publish(lake, note(day, key=day.day))
        assert [worker.answer() for _ in theirs[1:]] == ["published"] * (PUBLICATIONS_EACH - 1)
    finally:
        worker.kill()
    everything = [MON, *mine, *theirs]
    assert rows_of(lake) == [(day, day.day) for day in everything]
    assert check_health(lake, [NOTES.name]) == []
    published = lake.ledger.published(NOTES.name, MON, theirs[-1])
    assert list(published) == everything
    assert sorted(each.version for each in published.values()) == list(range(1, len(everything) + 1))


# ---- what was lost


def test_a_commit_that_landed_without_its_ledger_row_is_entered_later(open_lake: Callable[..., Lake]) -> None:
    forgetful, lake = open_lake(ForgetfulLedger), open_lake()
    staged = stage(forgetful, note(MON, key=1))
    with pytest.raises(Failed, match="no space left"):
        forgetful.publish(staged, upstreams={MON: [Upstream(table="raw.notes", day=MON, digest="9")]})
    assert lake.ledger.published(NOTES.name, MON, MON) == {}
    assert lake.recover(NOTES.name) == 1
    entered = lake.ledger.published(NOTES.name, MON, MON)[MON]
    assert forgetful.run
    assert (entered.generation, entered.digest, entered.run_id) == (1, staged.digest(MON), forgetful.run.run_id)
    assert [each.digest for each in entered.upstreams] == ["9"]
    assert lake.recover(NOTES.name) == 0


def test_a_day_whose_ledger_row_is_missing_is_replaced_and_not_doubled(open_lake: Callable[..., Lake]) -> None:
    forgetful, lake = open_lake(ForgetfulLedger), open_lake()
    with pytest.raises(Failed):
        publish(forgetful, note(MON, key=1))
    publish(lake, note(MON, key=1))
    assert rows_of(lake) == [(MON, 1)]


def test_no_rows_replace_no_day_whose_ledger_row_is_missing(open_lake: Callable[..., Lake]) -> None:
    forgetful, lake = open_lake(ForgetfulLedger), open_lake()
    with pytest.raises(Failed):
        publish(forgetful, note(MON, key=1))
    with pytest.raises(DataRefused, match="no rows would replace 1"):
        publish(lake, days=[MON])
    assert rows_of(lake) == [(MON, 1)]


def lose_the_last_entry(lake: Lake) -> None:
    entry(lake, 2).unlink()


def empty_the_last_entry(lake: Lake) -> None:
    entry(lake, 2).write_text("")


def damage_the_last_entry(lake: Lake) -> None:
    text = entry(lake, 2).read_text()
    assert text.count('rows\\": 1') > 0
    entry(lake, 2).write_text(text.replace('rows\\": 1', 'rows\\": 2'))


def alter_the_last_entry(lake: Lake) -> None:
    damage_the_last_entry(lake)
    # As a copying tool would, which knows nothing of Hadoop's hidden checksums.
    entry(lake, 2).with_name(f".{entry(lake, 2).name}.crc").unlink()


def lose_the_whole_log(lake: Lake) -> None:
    shutil.rmtree(entry(lake, 0).parent)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lose_the_last_entry, r"core\.notes went back: its newest version is 1, the ledger knows 2"),
        (empty_the_last_entry, r"core\.notes: version 2 is not the commit that the ledger knows"),
        (alter_the_last_entry, r"core\.notes: version 2 is not the commit that the ledger knows"),
        (damage_the_last_entry, r"core\.notes: its log cannot be read"),
        (lose_the_whole_log, r"core\.notes is published and not there"),
    ],
)
def test_a_log_that_lost_what_the_ledger_knows_is_found(lake: Lake, damage: Callable[[Lake], None], said: str) -> None:
    publish(lake, note(MON, key=1))
    publish(lake, note(TUE, key=2))
    assert check_health(lake, [NOTES.name]) == []
    damage(lake)
    as_another_process(lake)
    with pytest.raises(Failed, match=said) as failed:
        refuse_unhealthy(lake, [NOTES.name])
    assert lake.path(NOTES.name) in str(failed.value)


def test_a_log_that_went_back_is_not_written_on(lake: Lake) -> None:
    publish(lake, note(MON, key=1))
    publish(lake, note(TUE, key=2))
    lose_the_last_entry(lake)
    as_another_process(lake)
    with pytest.raises(Failed, match="went back"):
        publish(lake, note(WED, key=3))
    assert not entry(lake, 2).exists()


def test_a_lake_that_cannot_be_written_says_which(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Failed, match=f"The lake {tmp_path}/file/lake cannot be written"):
        ensure_writable(str(tmp_path / "file" / "lake"))
    ensure_writable(str(tmp_path / "new" / "lake"))
