"""Audiences night by night: what a platform is told to add and to remove, and what is never taken back by mistake."""

from __future__ import annotations

import gzip
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs import list_manifest, night_audiences
from jobs.ledger import Ledger
from jobs.list_files import write_generation
from jobs.pipeline import table_of
from jobs.progress import Progress
from jobs.runner import Night, opened
from tests.conftest import Place
from tests.e2e.acting_lake import CONSENTS
from tests.jobs.rows import table_frame
from tests.jobs.sources import CUSTOMERS, payments

FIRST = date(2026, 1, 5)
BASE = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n'
PEOPLE = CUSTOMERS.replace('language = "string"\n', 'language = "string"\nphone = "string"\n') + (
    'phone = "phone"\n[personal]\nphone = "phone"\n'
)
TRIGGERS = """
[[trigger]]
name = "social"
about = "Made up."
owner = "tests"
over = "profiles"
when = "recharge_count >= 1"
channels = ["push", "paid_social"]
message_class = "promotional"
priority = 1
repeat = { kind = "cooldown", days = 3 }
valid_days = 2
goal = "transfer"
goal_days = 3
matches = [{ recharge_count = 1 }]
excludes = [{}]
"""
PEOPLE_OF_IT = ("anna", "ben", "cleo")


@pytest.fixture
def settings(spark: SparkSession, place: Place) -> Settings:
    keys = place.root / "keys.toml"
    keys.write_text(f'current = 1\n[keys]\n1 = "{"ab" * 32}"\n')
    keys.chmod(0o600)
    place.configure(payments(), PEOPLE, CONSENTS, base=BASE)
    (place.root / "conf" / "triggers").mkdir()
    (place.root / "conf" / "triggers" / "mine.toml").write_text(TRIGGERS)
    return place.settings().model_copy(update={"token_keys": str(keys)})


@pytest.fixture
def night(settings: Settings) -> Iterator[Night]:
    """A lake whose customers have phones that can be matched, and have consented; cleo to nothing."""
    with opened(settings, "run", FIRST, FIRST, None, Progress()) as night:
        people = [{"customer_id": who, "phone": f"token of {who}"} for who in PEOPLE_OF_IT]
        publish(night, "core.customers", FIRST, people)
        hashes = [{"token": f"token of {who}", "kind": "phone", "sha256": f"hash of {who}"} for who in PEOPLE_OF_IT]
        publish(night, "restricted.contact_hashes", FIRST, hashes)
        given = {"purpose": "promotional", "channel": "paid_social", "valid_from": "2026-01-01 00:00"}
        publish(night, "core.consents", FIRST, [{"customer_id": who, **given} for who in ("anna", "ben")])
        yield night


def publish(night: Night, table: str, day: date, rows: Sequence[Mapping[str, Any]]) -> None:
    frame = table_frame(night.spark, table_of(night.settings, table), rows, {"as_of_date": str(day)})
    staged = night.stage(table, frame, [day])
    night.publish(staged, {}, announced_empty=[day])


def select(night: Night, day: date, *who: str, state: str = "ok", mode: str = "live") -> None:
    """The night's selections over paid_social, as a night leaves them."""
    told = [{"trigger": "social", "customer_id": each, "trigger_id": f"{each}-{day}"} for each in who]
    publish(night, "mart.selections", day, [{**row, "channel": "paid_social", "step": "selected"} for row in told])
    contacts = [{**row, "channel": "paid_social", "message_class": "promotional", "mode": mode} for row in told]
    publish(night, "mart.contact_history", day, contacts)
    publish(night, "mart.trigger_status", day, [{"trigger": "social", "state": state}])


def export(night: Night, day: date, now: datetime | None = None, *, only_remove: bool = False) -> dict[str, Any] | None:
    damaged: list[str] = []
    found = night_audiences.export(night, day, now or in_time(day), only_remove=only_remove, damaged=damaged)
    assert not damaged
    return found[0] if found else None


def withdraw(night: Night, who: str, at: datetime) -> None:
    """The newest version of the consent, beside those that the lake has."""
    given = {"purpose": "promotional", "channel": "paid_social", "valid_from": "2026-01-01 00:00"}
    until = {"valid_to": f"{at:%Y-%m-%d %H:%M}", "updated_at": f"{at:%Y-%m-%d %H:%M}"}
    rows = [{"customer_id": each, **given} for each in ("anna", "ben")]
    publish(night, "core.consents", FIRST, [*rows, {"customer_id": who, **given, **until}])


def in_time(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 21, tzinfo=UTC)


def folder(night: Night, day: date) -> Path:
    return Path(night.settings.lake.root) / "exports" / "audience_v1" / "social" / f"date={day}"


def changes(night: Night, manifest: Mapping[str, Any]) -> set[tuple[str, str]]:
    [file] = [each for each in manifest["files"] if each["format"] == "parquet"]
    day = date.fromisoformat(manifest["as_of_date"])
    return {
        (row["customer_ref"], row["action"]) for row in pq.read_table(folder(night, day) / file["name"]).to_pylist()
    }


def members(night: Night, day: date) -> list[str]:
    [path] = (folder(night, day) / "gen-1").glob("snapshot*.csv.gz")
    return [line.split(",")[1] for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]]


def test_a_platform_is_told_what_has_changed(night: Night) -> None:
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    # cleo's consent is missing, so she is not in it though she was selected.
    select(night, FIRST, "anna", "cleo")
    told = export(night, FIRST)
    assert told is not None
    assert (told["state"], told["baseline"], told["members"], told["actions"]) == (
        "ready",
        True,
        1,
        {"add": 1, "remove": 0},
    )
    assert stat.S_IMODE((Path(night.settings.lake.root) / "exports" / "audience_v1").stat().st_mode) == 0o700
    select(night, second, "ben")
    told = export(night, second)
    assert told is not None
    assert (changes(night, told), told["baseline"]) == ({("hash of ben", "add")}, False)
    assert members(night, second) == ["hash of anna", "hash of ben"]
    # The same night twice is the same list.
    assert export(night, second) == told
    # Two nights after hers anna's selection no longer holds.
    select(night, third)
    told = export(night, third)
    assert told is not None
    assert changes(night, told) == {("hash of anna", "remove")}
    assert members(night, third) == ["hash of ben"]
    # What was told of a later night stays.
    assert export(night, second) is None


def test_a_failed_rule_takes_nobody_out_and_a_stop_all(night: Night) -> None:
    second = FIRST + timedelta(days=2)
    select(night, FIRST, "anna")
    export(night, FIRST)
    select(night, second, state="failed")
    told = export(night, second)
    assert told is not None
    assert (told["state"], told["actions"], told["members"]) == ("failed", {"add": 0, "remove": 0}, 1)
    Ledger.open(night.settings.ledger_url).stop("social", "wrong picture")
    told = export(night, second)
    assert told is not None
    assert (changes(night, told), told["reason"]) == ({("hash of anna", "remove")}, "stopped: wrong picture")


def test_who_withdraws_is_taken_out_though_the_rule_failed(night: Night) -> None:
    second = FIRST + timedelta(days=1)
    select(night, FIRST, "anna", "ben")
    export(night, FIRST)
    select(night, second, state="failed")
    withdraw(night, "ben", in_time(FIRST))
    told = export(night, second)
    assert told is not None
    assert (told["state"], changes(night, told), told["members"]) == ("failed", {("hash of ben", "remove")}, 1)


def test_a_night_whose_rule_fails_when_it_is_corrected_keeps_what_it_told(night: Night) -> None:
    second = FIRST + timedelta(days=1)
    select(night, FIRST, "anna")
    export(night, FIRST)
    select(night, second, "ben")
    before = export(night, second)
    assert before is not None
    select(night, second, state="failed")
    told = export(night, second)
    assert told is not None
    assert (told["state"], told["actions"], told["members"]) == ("failed", before["actions"], 2)
    assert changes(night, told) == {("hash of ben", "add")}


def test_after_its_send_date_and_between_nights_people_are_only_taken_out(night: Night) -> None:
    second = FIRST + timedelta(days=1)
    past = in_time(second) + timedelta(days=1)
    select(night, FIRST, "anna", "ben")
    told = export(night, FIRST)
    # Nothing has changed, so nothing is told anew.
    assert export(night, FIRST, only_remove=True) == told
    withdraw(night, "ben", past - timedelta(hours=1))
    select(night, second, "anna", "ben", "cleo")
    told = export(night, second, past)
    assert told is not None
    assert (changes(night, told), told["reason"]) == ({("hash of ben", "remove")}, night_audiences.ONLY_LESS)
    assert members(night, second) == ["hash of anna"]
    Ledger.open(night.settings.ledger_url).stop("social", "wrong picture")
    told = export(night, second, past)
    assert told is not None
    assert changes(night, told) == {("hash of ben", "remove"), ("hash of anna", "remove")}


def test_a_damaged_audience_is_named_and_left_alone(night: Night) -> None:
    second, damaged = FIRST + timedelta(days=1), list[str]()
    select(night, FIRST, "anna")
    export(night, FIRST)
    [snapshot] = (folder(night, FIRST) / "gen-1").glob("snapshot*.parquet")
    snapshot.unlink()
    select(night, second, "ben")
    assert night_audiences.export(night, second, in_time(second), damaged=damaged) == []
    assert [str(snapshot) in told for told in damaged] == [True]
    assert not folder(night, second).exists()


def test_nobody_is_added_between_nights(night: Night) -> None:
    select(night, FIRST, "anna")
    export(night, FIRST)
    # As a correction would have it that is not delivered yet.
    select(night, FIRST, "anna", "ben")
    told = export(night, FIRST, only_remove=True)
    assert told is not None
    assert (changes(night, told), told["members"]) == ({("hash of anna", "add")}, 1)


def test_a_stop_while_the_audience_is_written_is_heeded(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    select(night, FIRST, "anna")

    def stopped(*given: Any) -> Any:
        Ledger.open(night.settings.ledger_url).stop("social", "wrong picture")
        return write_generation(*given)

    monkeypatch.setattr(list_manifest, "write_generation", stopped)
    assert export(night, FIRST) is None
    assert not list(folder(night, FIRST).glob("*"))


def test_a_night_that_is_corrected_undoes_what_it_told(night: Night) -> None:
    select(night, FIRST, "anna")
    export(night, FIRST)
    select(night, FIRST, "ben")
    told = export(night, FIRST)
    assert told is not None
    assert changes(night, told) == {("hash of anna", "remove"), ("hash of ben", "add")}
    assert (told["generation"], told["replaces"]) == (2, 1)


def test_what_is_too_late_or_was_never_live_is_not_told(night: Night) -> None:
    second = FIRST + timedelta(days=1)
    select(night, FIRST, "anna", mode="replay")
    assert export(night, FIRST, in_time(FIRST) + timedelta(days=1)) is None
    select(night, second, "ben")
    told = export(night, second)
    assert told is not None
    assert changes(night, told) == {("hash of ben", "add")}


def test_who_was_told_of_a_rule_that_is_gone_is_taken_out_once(night: Night) -> None:
    second, third = FIRST + timedelta(days=1), FIRST + timedelta(days=2)
    select(night, FIRST, "anna")
    export(night, FIRST)
    gone = replace(night, book=replace(night.book, triggers=()))
    select(gone, second)
    told = export(gone, second)
    assert told is not None
    assert (changes(gone, told), told["reason"]) == (
        {("hash of anna", "remove")},
        "conf has no such audience any more, or it is switched off",
    )
    select(gone, third)
    assert export(gone, third) is None


def test_who_was_told_tonight_of_a_rule_that_is_gone_since_is_taken_out(night: Night) -> None:
    select(night, FIRST, "anna")
    export(night, FIRST)
    gone = replace(night, book=replace(night.book, triggers=()))
    told = export(gone, FIRST, only_remove=True)
    assert told is not None
    assert (changes(gone, told), told["members"]) == ({("hash of anna", "remove")}, 0)
