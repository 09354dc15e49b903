"""The stage export over a small lake: what a campaign system finds, after one run, two, a correction and a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs import night_messages
from jobs.between_nights import land
from jobs.errors import Usage
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.list_files import read_manifest
from jobs.night_export import deliver
from jobs.night_messages import Delivered, unexpired
from jobs.progress import Progress
from jobs.runner import backfill, opened, run_night
from tests.conftest import Place
from tests.e2e.acting_lake import FIRST, LAST, ONE_DAY, lake_of
from tests.jobs.rows import cells

NIGHT = LAST - ONE_DAY
# In time for the messages of that night, which go out on the tenth and expire as the twelfth begins.
IN_TIME = datetime(2026, 1, 10, 2, tzinfo=UTC)
TOO_LATE = datetime(2026, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def selected(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one real night, which has selected and not been delivered."""
    root = tmp_path_factory.mktemp("export") / "selected"
    settings = lake_of(root)
    backfill(settings, FIRST, NIGHT - ONE_DAY, reason="first load", step_from=FIRST, progress=Progress())
    for stage in ("land", "conform", "know", "judge", "select"):
        run_night(settings, NIGHT, stage=stage, progress=Progress())
    return root


@pytest.fixture
def settings(selected: Path, tmp_path: Path) -> Settings:
    shutil.copytree(selected, tmp_path / "copy")
    return Place(tmp_path / "copy").settings()


def delivered(settings: Settings, now: datetime = IN_TIME, *, even_expired: bool = False) -> dict[str, Delivered]:
    with opened(settings, "run", NIGHT, NIGHT, "export", Progress()) as night:
        night.even_expired = even_expired
        return {each.manifest["trigger"]: each for each in deliver(night, NIGHT, now=now)}


def folder(settings: Settings, trigger: str = "offer") -> Path:
    return Path(settings.lake.root) / "exports" / "trigger_list_v1" / trigger / f"date={NIGHT}"


def rows(settings: Settings, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Customer → action, as the Parquet of the list has it."""
    [file] = [each for each in manifest["files"] if each["format"] == "parquet"]
    told = pq.read_table(folder(settings, manifest["trigger"]) / file["name"]).to_pylist()
    return {row["customer_id"]: row["action"] for row in told}


def receipts(spark: SparkSession, settings: Settings) -> list[tuple[str | None, ...]]:
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    return sorted(cells(lake.read_day("ops.exports", NIGHT), "trigger", "generation", "action", "reason"))


def test_a_night_is_delivered_once(spark: SparkSession, settings: Settings) -> None:
    told = delivered(settings)
    offer, expiring = told["offer"].manifest, told["expiring"].manifest
    assert offer == read_manifest(folder(settings))
    assert (offer["state"], offer["generation"], offer["replaces"], offer["actions"]) == (
        "ready",
        1,
        None,
        {"send": 2, "cancel": 0},
    )
    assert {step: n for step, n in offer["funnel"].items() if n} == {
        "eligible": 4,
        "selected": 2,
        "no_consent": 1,
        "over_budget": 1,
    }
    assert list(rows(settings, offer).values()) == ["send", "send"]
    # Held back by the size guard, which says why; not an empty list, and not a failed one.
    assert (expiring["state"], expiring["files"], expiring["funnel"]["size_guard"]) == ("held", [], 2)
    assert expiring["reason"] == "2 are eligible, and at most 1 are expected"
    assert receipts(spark, settings) == [("offer", "1", "send", None)] * 2
    files = {path: path.read_bytes() for path in folder(settings).rglob("*") if path.is_file()}
    assert [each.changes for each in delivered(settings).values()] == [0, 0]
    assert {path: path.read_bytes() for path in folder(settings).rglob("*") if path.is_file()} == files
    assert receipts(spark, settings) == [("offer", "1", "send", None)] * 2


def test_a_consent_that_is_taken_back_in_time_is_heeded(spark: SparkSession, settings: Settings) -> None:
    sent = rows(settings, delivered(settings)["offer"].manifest)
    gone = min(sent)
    withdraw(settings, gone)
    again = delivered(settings)["offer"]
    assert (again.changes, again.manifest["generation"], again.manifest["replaces"]) == (1, 2, 1)
    assert again.manifest["actions"] == {"send": 1, "cancel": 1}
    assert (again.manifest["funnel"]["selected"], again.manifest["funnel"]["no_consent"]) == (1, 2)
    assert rows(settings, again.manifest) == {**sent, gone: "cancel"}
    assert receipts(spark, settings) == [
        ("offer", "1", "send", None),
        ("offer", "1", "send", None),
        ("offer", "2", "cancel", "no_consent"),
    ]


def withdraw(settings: Settings, customer: str) -> None:
    """The customer withdraws after the night, and it is landed before the next one."""
    place = Place(Path(settings.landing).parent)
    row = {"customer": customer, "purpose": "promotional", "channel": "push", "since": f"{FIRST}T09:00:00+05:30"}
    at = "2026-01-10T05:00:00+05:30"
    told = json.dumps({**row, "until": at, "changed": at})
    place.deliver("consents", LAST, [told], suffix="-2", name="part-0001.jsonl.gz")
    land(settings, "consents", LAST, progress=Progress())


def test_what_is_too_late_is_computed_and_not_delivered(spark: SparkSession, settings: Settings) -> None:
    told = delivered(settings, TOO_LATE)["offer"].manifest
    assert (told["state"], told["files"], told["reason"]) == (
        "expired",
        [],
        "its messages expired at 2026-01-12T00:00",
    )
    assert receipts(spark, settings) == [("offer", "1", "withheld", "expired")] * 2
    asked = delivered(settings, TOO_LATE, even_expired=True)["offer"].manifest
    assert (asked["state"], asked["generation"], asked["actions"]["send"]) == ("ready", 2, 2)
    # What is out already stays as it is.
    assert delivered(settings, TOO_LATE)["offer"].manifest == asked


def test_what_is_stopped_is_cancelled_until_it_is_resumed(spark: SparkSession, settings: Settings) -> None:
    ledger = Ledger.open(settings.ledger_url)
    sent = rows(settings, delivered(settings)["offer"].manifest)
    ledger.stop("offer", "wrong cashback")
    with opened(settings, "stop", NIGHT, NIGHT, None, Progress()) as night:
        assert unexpired(night, IN_TIME) == {NIGHT: ["offer"]}
        assert unexpired(night, TOO_LATE) == {}
    stopped = delivered(settings)["offer"].manifest
    assert (stopped["state"], stopped["reason"]) == ("ready", "stopped: wrong cashback")
    assert rows(settings, stopped) == dict.fromkeys(sent, "cancel")
    ledger.resume(None)
    assert rows(settings, delivered(settings)["offer"].manifest) == sent
    assert [row[2:] for row in receipts(spark, settings)] == [
        ("send", None),
        ("send", None),
        ("cancel", "stopped"),
        ("cancel", "stopped"),
        ("send", None),
        ("send", None),
    ]


def test_what_is_stopped_before_it_was_told_is_held(spark: SparkSession, settings: Settings) -> None:
    Ledger.open(settings.ledger_url).stop("", "a fire drill")
    assert {each.manifest["state"] for each in delivered(settings).values()} == {"held"}
    assert receipts(spark, settings) == [("offer", "1", "withheld", "stopped")] * 2


def test_a_run_that_is_killed_between_its_lists_and_its_receipts_is_made_good(
    spark: SparkSession, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed, pytest.raises(KeyboardInterrupt):
        killed.setattr(night_messages, "_receive", interrupt)
        delivered(settings)
    told = read_manifest(folder(settings))
    assert told is not None
    assert not Ledger.open(settings.ledger_url).days("ops.exports")
    assert [each.changes for each in delivered(settings).values()] == [0, 0]
    assert read_manifest(folder(settings)) == told
    assert receipts(spark, settings) == [("offer", "1", "send", None)] * 2


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_trigger_that_is_not_there_is_named(settings: Settings) -> None:
    with (
        opened(settings, "run", NIGHT, NIGHT, "export", Progress()) as night,
        pytest.raises(Usage, match="There is no trigger 'ofer' on 2026-01-09; it has expiring, offer"),
    ):
        deliver(night, NIGHT, triggers=["ofer"], now=IN_TIME)
