"""What must not pass, as the command is used: the exit code, one sentence that helps, and the lake as it was."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from expectations import feeds
from expectations.figures import NoRow
from jobs.__main__ import main
from jobs.lake import Lake
from jobs.ledger import Ledger
from tests.conftest import Place, packed
from tests.jobs.sources import HEADER, payments

SUN, MON, TUE, WED = (date(2026, 1, day) for day in (25, 26, 27, 28))
BASE = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n'
HALF = "max_quarantined = 0.5"
GOOD, BAD = "p2,c1,2026-01-27 10:00:00,10.00", "p3,c1,yesterday,10.00"


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    sentence: str


@dataclass(frozen=True)
class OnLake:
    """A lake that knows Monday; its landing and configuration are those of one test."""

    spark: SparkSession
    place: Place
    clm: Callable[..., Said]

    def lake(self) -> Lake:
        settings = self.place.settings()
        return Lake(self.spark, settings, Ledger.open(settings.ledger_url))

    def rows(self, table: str, night: date) -> list[dict[str, Any]]:
        return [row.asDict() for row in self.lake().read_day(table, night).collect()]

    def published(self, night: date) -> set[str]:
        ledger = self.lake().ledger
        return {table for table in ledger.published_tables() if ledger.published(table, night, night)}


@dataclass(frozen=True)
class PlaceOfLake(Place):
    """A landing and a conf folder of its own, over a lake that others use as well."""

    lake: Path

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "CLM_LAKE": str(self.lake)}


@pytest.fixture(scope="module")
def monday(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of one night. It began on Monday."""
    from jobs.progress import Progress
    from jobs.runner import run_night

    place = Place(tmp_path_factory.mktemp("monday"))
    settings = place.configure(payments(limits=HALF), base=BASE)
    place.deliver("payments", MON, [HEADER, "p1,c1,2026-01-26 10:00:00,10.00"])
    run_night(settings, MON, progress=Progress())
    return Path(settings.lake.root)


@pytest.fixture
def clm(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def command(place: Place, *arguments: str) -> Said:
        for name, value in place.environ.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main([*arguments, "--quiet"])
        return Said(code, capsys.readouterr().err)

    return command


@pytest.fixture
def on_lake(monday: Path, spark: SparkSession, tmp_path: Path, clm: Callable[..., Said]) -> OnLake:
    place = PlaceOfLake(tmp_path, monday)
    place.configure(payments(limits=HALF), base=BASE)

    def command(*arguments: str) -> Said:
        return clm(place, *arguments)

    return OnLake(spark, place, command)


# ---- out of order, or not there


def test_a_night_without_the_one_before_names_the_command_that_helps(on_lake: OnLake) -> None:
    said = on_lake.clm("run", "--date", str(WED))
    assert said.code == 4
    assert "2026-01-28 needs 2026-01-27" in said.sentence
    assert "clm backfill --from 2026-01-27 --to 2026-01-27" in said.sentence


def test_a_night_before_the_first_is_refused(on_lake: OnLake) -> None:
    said = on_lake.clm("run", "--date", str(SUN))
    assert (said.code, "This lake begins on 2026-01-26" in said.sentence) == (4, True)


def test_a_stage_without_the_one_before_names_the_command_that_helps(on_lake: OnLake) -> None:
    said = on_lake.clm("run", "--date", str(TUE), "--stage", "conform")
    assert (said.code, "clm run --date 2026-01-27 --stage land" in said.sentence) == (4, True)


def test_an_unknown_stage_is_an_error_of_usage(on_lake: OnLake) -> None:
    said = on_lake.clm("run", "--date", str(TUE), "--stage", "conforn")
    assert (said.code, "There is no stage 'conforn'" in said.sentence) == (2, True)


def test_who_comes_second_is_told_who_holds_the_lake(on_lake: OnLake) -> None:
    ledger = on_lake.lake().ledger
    with ledger.lease(ledger.start_run("backfill", MON, MON)):
        said = on_lake.clm("run", "--date", str(TUE))
    assert (said.code, "`clm backfill` of 2026-01-26 has held the lake since" in said.sentence) == (4, True)


def test_a_lake_that_cannot_be_written_is_named(tmp_path: Path, clm: Callable[..., Said]) -> None:
    (tmp_path / "file").write_text("")
    place = PlaceOfLake(tmp_path, tmp_path / "file" / "lake")
    place.configure(payments(), base=BASE)
    said = clm(place, "run", "--date", str(MON))
    assert (said.code, f"The lake {tmp_path}/file/lake cannot be written" in said.sentence) == (1, True)


@pytest.mark.parametrize(
    ("key", "was", "now"),
    [("zone", "Asia/Kolkata", "Europe/London"), ("currency", "INR", "GBP"), ("close_after", "7", "8")],
)
def test_what_a_lake_was_begun_with_cannot_change(on_lake: OnLake, key: str, was: str, now: str) -> None:
    given = now if now.isdigit() else f'"{now}"'
    on_lake.place.configure(payments(), base=f"[lake]\n{key} = {given}\n{BASE}")
    said = on_lake.clm("run", "--date", str(TUE))
    assert (said.code, f"begun with {key} = '{was}' and is now given {key} = '{now}'" in said.sentence) == (3, True)


# ---- deliveries that are refused; each leaves Tuesday unpublished and Monday as it was


def as_it_was(on_lake: OnLake) -> bool:
    return [row["transaction_id"] for row in on_lake.rows("core.transactions", MON)] == ["p1"]


def test_a_missing_required_delivery_stops_the_night(on_lake: OnLake) -> None:
    said = on_lake.clm("run", "--date", str(TUE))
    assert (said.code, "payments has no delivery for 2026-01-27" in said.sentence) == (3, True)


def other_rows(folder: Path) -> str:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["rows"] = 5
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return "1 rows, the manifest says 5"


def replace_content(folder: Path, content: bytes) -> None:
    """Another content with its right bytes and sha256: what an upload leaves whose source was broken already."""
    (folder / "part-0001.csv.gz").write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0] |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def zero_bytes(folder: Path) -> str:
    replace_content(folder, b"")
    return "0 rows, the manifest says 1"


def truncated(folder: Path) -> str:
    content = (folder / "part-0001.csv.gz").read_bytes()
    replace_content(folder, content[: len(content) // 2])
    return "part-0001.csv.gz: cannot be read"


def truncated_after_its_header(folder: Path) -> str:
    # What does not shrink, so that the header alone can be read.
    rows = [f"{n},{hashlib.sha256(str(n).encode()).hexdigest()},2026-01-27 10:00:00,10.00" for n in range(20_000)]
    content = gzip.compress("\n".join([HEADER, *rows]).encode(), mtime=0)
    replace_content(folder, content[: len(content) // 2])
    return "part-0001.csv.gz: it does not unpack to its end"


def renamed_column(folder: Path) -> str:
    replace_content(folder, gzip.compress(f"{HEADER.replace('paid', 'paid_at')}\n{GOOD}\n".encode(), mtime=0))
    return "the column paid is missing. It has paid_at that nobody declared"


@pytest.mark.parametrize("spoil", [other_rows, zero_bytes, truncated, truncated_after_its_header, renamed_column])
def test_a_delivery_that_is_not_as_agreed_is_refused(on_lake: OnLake, spoil: Callable[[Path], str]) -> None:
    expected = spoil(on_lake.place.deliver("payments", TUE, [HEADER, GOOD]))
    said = on_lake.clm("run", "--date", str(TUE))
    assert (said.code, expected in said.sentence) == (3, True)
    assert "Traceback" not in said.sentence
    assert "raw.payments" not in on_lake.published(TUE)
    assert as_it_was(on_lake)


def test_zstd_of_two_frames_whose_second_is_cut_off_is_refused(on_lake: OnLake) -> None:
    # Spark takes the first frame for the whole of it, and a computed manifest knows no count of rows.
    computed = 'format = "csv"\nmanifest = "computed"\n'
    on_lake.place.configure(payments(path="payments/{date}/*.csv.zst", files=computed, limits=HALF), base=BASE)
    file = on_lake.place.landing / "payments" / str(TUE) / "part-0001.csv.zst"
    file.parent.mkdir(parents=True)
    file.write_bytes(packed(file.name, f"{HEADER}\n{GOOD}\n".encode()) + packed(file.name, f"{GOOD}\n".encode())[:6])
    said = on_lake.clm("run", "--date", str(TUE))
    assert (said.code, "part-0001.csv.zst: it does not unpack to its end" in said.sentence) == (3, True)
    assert "Ask payments-team to deliver it again." in said.sentence
    assert "raw.payments" not in on_lake.published(TUE)


def test_a_delivery_above_its_limit_is_refused_as_a_whole(on_lake: OnLake) -> None:
    on_lake.place.configure(payments(limits="max_quarantined = 0.1"), base=BASE)
    on_lake.place.deliver("payments", TUE, [HEADER, GOOD, BAD, BAD])
    said = on_lake.clm("run", "--date", str(TUE))
    assert said.code == 3
    assert "payments: 2 of 3 rows of payments-2026-01-27-1 would be quarantined (paid_invalid 2)" in said.sentence
    assert not {"core.transactions", "core.quarantine", "ops.deliveries", "core.customer_daily"} & on_lake.published(
        TUE
    )
    assert as_it_was(on_lake)


def test_a_suite_that_fails_publishes_nothing_and_says_so_in_the_lake(
    on_lake: OnLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What the row rules look at they set aside, so the audit is given something of its own to find.
    impossible = NoRow("impossible", "amount_minor > 0", "nobody pays anything")
    monkeypatch.setattr(feeds, "_oddities", lambda feed, events: (impossible,))
    on_lake.place.deliver("payments", TUE, [HEADER, GOOD, BAD])
    said = on_lake.clm("run", "--date", str(TUE))
    assert said.code == 3
    for part in ("core.transactions 2026-01-27", "business.impossible", "observed 1"):
        assert part in said.sentence
    assert not {"core.transactions", "core.quarantine", "ops.deliveries", "core.customer_daily"} & on_lake.published(
        TUE
    )
    failed = [row for row in on_lake.rows("ops.quality", TUE) if not row["success"]]
    assert sorted((row["table"], row["expectation"], row["severity"], row["observed"]) for row in failed) == [
        ("core.transactions", "impossible", "fail", "1"),
    ]
    assert as_it_was(on_lake)
    (run, *_) = on_lake.lake().ledger.runs(TUE)
    assert (run.outcome, "impossible" in (run.why or "")) == ("refused", True)
