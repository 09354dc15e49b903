"""`clm maintain`: what is kept no longer goes, what killed runs left goes, and nothing else does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs import maintenance
from jobs.__main__ import main
from jobs.errors import Busy, Failed
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.maintenance import Maintained, Outlook, maintain
from jobs.pipeline import table_of
from jobs.progress import Progress
from jobs.runner import Night, opened
from tests.conftest import Place
from tests.jobs.rows import cells, table_frame
from tests.jobs.sources import payments

# Two nights of which one is kept for 90 days before the other, and one a day too long ago for that.
LAST = date(2026, 4, 1)
KEPT, OVER = LAST - timedelta(days=90), LAST - timedelta(days=91)
NIGHTS = (OVER, KEPT, LAST)
BASE = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n'
TABLE = "core.device_daily"


@pytest.fixture(scope="module")
def made(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with a table that is kept for 90 days and one that is kept for years."""
    place = Place(tmp_path_factory.mktemp("maintained"))
    place.configure(payments(), base=BASE)
    settings = place.settings()
    assert table_of(settings, TABLE).keep == "90 days"
    with opened(settings, "run", OVER, LAST, None, Progress()) as night:
        publish(night, TABLE, NIGHTS)
        publish(night, "ops.deliveries", NIGHTS)
    return place.root


@pytest.fixture
def settings(made: Path, tmp_path: Path) -> Settings:
    shutil.copytree(made, tmp_path / "copy")
    return Place(tmp_path / "copy").settings()


def publish(night: Night, table: str, days: Sequence[date]) -> None:
    frame = table_frame(night.spark, table_of(night.settings, table), [{"as_of_date": str(day)} for day in days])
    night.publish(night.stage(table, frame, days), {})


def done(settings: Settings) -> dict[str, Maintained]:
    told: list[Outlook] = []
    maintain(settings, progress=Progress(), tell=told.append)
    return {each.name: each for each in told[0].done}


def days(spark: SparkSession, settings: Settings, table: str) -> list[str]:
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    return sorted(row[0] or "" for row in cells(lake.read(table, known_on=LAST), "as_of_date"))


def test_a_day_goes_when_it_is_kept_no_longer(spark: SparkSession, settings: Settings) -> None:
    ledger = Ledger.open(settings.ledger_url)
    before = ledger.published(TABLE, KEPT, LAST)
    found = done(settings)
    assert {name: list(each.expired) for name, each in found.items()} == {TABLE: [OVER], "ops.deliveries": []}
    assert days(spark, settings, TABLE) == [str(KEPT), str(LAST)]
    assert days(spark, settings, "ops.deliveries") == [str(night) for night in NIGHTS]
    assert ledger.kept_days(TABLE) == [KEPT, LAST]
    # What it was is still known, and the others are as they were.
    assert OVER in ledger.published(TABLE, OVER, OVER, with_dropped=True)
    assert ledger.published(TABLE, KEPT, LAST) == before
    assert done(settings)[TABLE].expired == []


def test_old_entries_of_the_log_may_go(spark: SparkSession, settings: Settings) -> None:
    """A commit that only takes days out is the newest version known, though it published nothing."""
    done(settings)
    log = Path(settings.lake.root) / "core" / "device_daily" / "_delta_log"
    version, _ = Ledger.open(settings.ledger_url).newest_version(TABLE) or (0, "")
    # As Delta does once they are older than its log is kept, for a checkpoint stands for them.
    for entry in log.glob("*.json"):
        if int(entry.name.removesuffix(".json")) < version:
            entry.unlink()
    assert [each.name for each in log.glob("*.json")] == [f"{version:020d}.json"]
    with opened(settings, "run", LAST, LAST, None, Progress()) as night:
        assert night.lake.recover(TABLE) == 0
    assert days(spark, settings, TABLE) == [str(KEPT), str(LAST)]


def test_killed_before_it_was_noted_it_is_noted_by_the_next(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Lake, "_note", killed)
        done(settings)
    assert days(spark, settings, TABLE) == [str(KEPT), str(LAST)]
    done(settings)
    assert Ledger.open(settings.ledger_url).kept_days(TABLE) == [KEPT, LAST]
    assert days(spark, settings, TABLE) == [str(KEPT), str(LAST)]


def test_files_that_nobody_names_go_after_a_week(spark: SparkSession, settings: Settings) -> None:
    folder = Path(settings.lake.root) / "core" / "device_daily" / f"as_of_date={LAST}"
    [named] = folder.glob("*.parquet")
    fresh, old = folder / "part-00000-fresh.parquet", folder / "part-00000-old.parquet"
    for orphan in (fresh, old):
        shutil.copy(named, orphan)
    week_ago = named.stat().st_mtime - timedelta(days=8).total_seconds()
    for path in (old, named):
        os.utime(path, (week_ago, week_ago))
    found = done(settings)[TABLE]
    # Of a run that may be at work, and what the table holds, however old it is.
    assert set(folder.glob("*.parquet")) == {fresh, named}
    assert found.freed > 0
    assert days(spark, settings, TABLE) == [str(KEPT), str(LAST)]
    assert list((folder.parent / "_delta_log").glob("*.checkpoint*.parquet"))


def test_lists_go_but_for_the_newest_audience(settings: Settings) -> None:
    exports = Path(settings.lake.root) / "exports"
    left = {
        exports / "trigger_list_v1" / "offer" / f"date={KEPT}",
        exports / "audience_v1" / "offer" / f"date={LAST}",
        # Still to be compared with, whenever it is told again.
        exports / "audience_v1" / "other" / f"date={OVER}",
    }
    gone = {
        exports / "trigger_list_v1" / "offer" / f"date={OVER}",
        exports / "audience_v1" / "offer" / f"date={OVER}",
        exports / "icon_order_v1" / f"date={OVER}",
    }
    left |= {exports / "trigger_list_v1" / "offer" / f"date={OVER}.damaged"}
    for folder in left | gone:
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    found = done(settings)
    assert {folder for folder in left | gone if folder.exists()} == left
    assert found["exports/trigger_list_v1"].expired == [OVER]


def test_a_run_at_work_is_waited_for(settings: Settings) -> None:
    with opened(settings, "run", LAST, LAST, None, Progress()), pytest.raises(Busy):
        done(settings)


def test_by_command(settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(settings.landing).parent
    places = {"CLM_LAKE": settings.lake.root, "CLM_LANDING": settings.landing, "CLM_CONF": root / "conf"}
    for name, value in places.items():
        monkeypatch.setenv(name, str(value))
    assert main(["maintain", "--json"]) == 0
    told = capsys.readouterr()
    found: dict[str, Any] = {row["table"]: row for row in map(json.loads, told.out.splitlines())}
    assert found[TABLE]["let_go"] == 1
    assert found[TABLE]["bytes"] > found[TABLE]["nightly"] > 0
    assert "MiB are free: enough for" in told.err
    monkeypatch.setattr(maintenance, "SOON", 10**12)
    assert main(["maintain", "--quiet"]) == 1
    assert "Give the lake more room" in capsys.readouterr().err
    # Whoever is paged reads it in the ledger.
    newest = Ledger.open(settings.ledger_url).runs(LAST)[0]
    assert (newest.command, newest.outcome) == ("maintain", "failed")
    assert "Give the lake more room" in str(newest.why)


def test_there_must_be_a_lake(place: Place) -> None:
    place.configure(payments(), base=BASE)
    with pytest.raises(Failed, match="Nothing is published yet"):
        done(place.settings())
