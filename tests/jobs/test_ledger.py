"""The ledger remembers what was published, drawn and delivered, also when two processes write at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event

import jobs
from jobs import ledger_db
from jobs.errors import DataRefused, Failed, Usage
from jobs.ledger import Delivery, Ledger, Publication, Upstream
from jobs.ledger_db import LINEAGE, REVISION, TABLES, connect

MON, TUE, WED = date(2026, 1, 26), date(2026, 1, 27), date(2026, 1, 28)
NOW = datetime(2026, 1, 28, 2, 11, 9, 500, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger/ledger.db"


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger.open(url, clock=lambda: NOW)


def publication(
    table: str = "core.bills", day: date = TUE, generation: int = 1, upstreams: tuple[Upstream, ...] = ()
) -> Publication:
    return Publication(
        table=table,
        day=day,
        generation=generation,
        version=generation,
        rows=10,
        digest=f"10:{generation}",
        conf_digest="c0",
        run_id="r1",
        figures={"rows": 10, "by_status": {"paid": 4}},
        upstreams=upstreams,
        commit_sha256=f"sha-{generation}",
    )


def delivery(
    delivery_id: str = "bills-1", night: date = TUE, day: date | None = TUE, *, is_fixed: bool = False
) -> Delivery:
    return Delivery(
        source="bills",
        delivery_id=delivery_id,
        folder=f"bills/{delivery_id}",
        date=day,
        night=night,
        is_fixed=is_fixed,
        replaces=None,
        manifest={"files": []},
    )


def start(code: str, url: str) -> subprocess.Popen[str]:
    """Another process at work on the ledger."""
    env = os.environ | {"PYTHONPATH": str(Path(jobs.__file__).parents[1])}
    return subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE, text=True, env=env)


# Facts about the lake


def test_a_pinned_fact_may_be_said_again_but_not_changed(ledger: Ledger) -> None:
    ledger.pin("zone", "Asia/Kolkata")
    ledger.pin("zone", "Asia/Kolkata")
    with pytest.raises(DataRefused, match=r"'Asia/Kolkata'.*'Europe/London'.*CLM_LAKE"):
        ledger.pin("zone", "Europe/London")


def test_the_first_night_is_the_earliest_of_raw_and_core(ledger: Ledger) -> None:
    assert ledger.first_night() is None
    ledger.record([publication("ops.quality", MON), publication("mart.dues", MON)])
    assert ledger.first_night() is None, "neither holds what was delivered"
    ledger.record([publication("core.bills", WED), publication("raw.bills", TUE)])
    assert ledger.first_night() == TUE
    ledger.record([publication("core.bills", WED, 2)])
    assert ledger.first_night() == TUE, "a later night changes nothing"
    ledger.record([publication("raw.bills", MON)])
    assert ledger.first_night() == MON, "history was loaded before it"


# Runs


def test_a_run_is_noted_with_how_it_ended(url: str) -> None:
    times = iter([NOW, NOW + timedelta(hours=1), NOW + timedelta(hours=2)])
    ledger = Ledger.open(url, clock=lambda: next(times))
    first = ledger.start_run("run", TUE, TUE, "land")
    second = ledger.start_run("backfill", MON, WED)
    assert re.fullmatch(r"20260128T021109Z-[0-9a-f]{6}", first.run_id)
    assert first.run_id < second.run_id
    ledger.end_run(first.run_id, "failed", "no delivery of bills")

    ended = replace(first, ended_at=NOW + timedelta(hours=2), outcome="failed", why="no delivery of bills")
    assert ledger.runs(TUE) == [second, ended]
    assert ledger.runs(MON) == [second], "the other run was about Tuesday only"


# Generations


def test_generations_count_up_for_each_table_and_day(ledger: Ledger) -> None:
    assert ledger.draw("r1", "core.bills", [TUE]) == {TUE: 1}
    assert ledger.draw("r2", "core.bills", [WED, TUE, TUE]) == {TUE: 2, WED: 1}
    assert ledger.draw("r2", "mart.dues", [TUE]) == {TUE: 1}
    assert ledger.newest_drawn("core.bills", [MON, TUE, WED]) == {TUE: 2, WED: 1}
    assert ledger.draw("r3", "core.bills", []) == {}


def test_processes_that_draw_at_once_from_a_new_ledger_wait_and_never_draw_the_same(url: str) -> None:
    code = """
import sys, json
from datetime import date
from jobs.ledger import Ledger
day = date(2026, 1, 27)
drawn = [Ledger.open(sys.argv[1]).draw("r", "core.bills", [day])[day] for _ in range(40)]
print(json.dumps(drawn))
"""
    processes = [start(code, url) for _ in range(3)]
    drawn = [generation for process in processes for generation in json.loads(process.communicate()[0])]
    assert sorted(drawn) == list(range(1, 121))


# Publications


def test_a_publication_reads_back_as_it_was_noted(ledger: Ledger) -> None:
    upstreams = (
        Upstream(table="core.bills", day=MON, digest="9:1"),
        Upstream(table="raw.bills", day=TUE, digest="8:1"),
    )
    ledger.record([publication(upstreams=upstreams)])
    assert ledger.published("core.bills", MON, WED) == {TUE: publication(upstreams=upstreams)}
    assert ledger.published("core.bills", TUE, TUE)[TUE].published_at == NOW
    assert ledger.lineage("core.bills", TUE) == list(upstreams)


def test_the_newest_generation_of_a_day_counts_with_its_own_lineage(ledger: Ledger) -> None:
    old, new = Upstream(table="raw.bills", day=TUE, digest="1:1"), Upstream(table="raw.bills", day=TUE, digest="2:2")
    ledger.record([publication(generation=3, upstreams=(new,)), publication(generation=2, upstreams=(old,))])
    ledger.record([publication(day=WED)])
    assert {day: each.generation for day, each in ledger.published("core.bills", MON, WED).items()} == {TUE: 3, WED: 1}
    assert ledger.lineage("core.bills", TUE) == [new]
    assert ledger.lineage("core.bills", MON) == [], "never published"
    assert list(ledger.published("core.bills", WED, WED)) == [WED]


def test_noting_a_publication_again_changes_nothing(ledger: Ledger, url: str) -> None:
    upstream = Upstream(table="raw.bills", day=TUE, digest="8:1")
    ledger.record([publication(upstreams=(upstream,))])
    Ledger.open(url, clock=lambda: NOW + timedelta(days=1)).record([publication(upstreams=(upstream,))])
    assert ledger.published("core.bills", TUE, TUE)[TUE].published_at == NOW
    assert ledger.lineage("core.bills", TUE) == [upstream]


@pytest.mark.parametrize("change", [{"rows": 11}, {"digest": "10:x"}, {"version": 7}])
def test_one_generation_cannot_be_two_things_and_then_nothing_is_noted(
    ledger: Ledger, change: dict[str, object]
) -> None:
    ledger.record([publication()])
    with pytest.raises(Failed, match=r"generation 1 of core\.bills 2026-01-27"):
        ledger.record([publication(day=WED), replace(publication(), **change)])
    assert list(ledger.published("core.bills", MON, WED)) == [TUE]


def test_a_snapshot_that_is_no_longer_kept_is_still_known(ledger: Ledger) -> None:
    ledger.record([publication(day=MON), publication(day=TUE)])
    ledger.record([publication(day=WED)], {"core.bills": [MON], "core.others": [TUE]})
    assert ledger.kept_days("core.bills", MON, WED) == list(ledger.published("core.bills", MON, WED)) == [TUE, WED]
    known = ledger.published("core.bills", MON, WED, with_dropped=True)
    assert {day: each.is_kept for day, each in known.items()} == {MON: False, TUE: True, WED: True}


def test_a_snapshot_made_again_is_there_again(ledger: Ledger) -> None:
    ledger.record([publication(day=MON)])
    ledger.record([publication(day=WED)], {"core.bills": [MON]})
    ledger.record([publication(day=MON, generation=2)])
    assert ledger.kept_days("core.bills", MON, WED) == [MON, WED]


def test_a_ledger_rebuilt_from_commits_draws_above_them(ledger: Ledger) -> None:
    ledger.record([publication(generation=5), publication(generation=4)])
    assert ledger.newest_drawn("core.bills", [TUE]) == {TUE: 5}
    assert ledger.draw("r1", "core.bills", [TUE]) == {TUE: 6}


def test_what_is_published_of_a_table(ledger: Ledger) -> None:
    assert ledger.days("core.bills") is None
    assert ledger.last_published("core.bills") is None
    assert ledger.newest_version("core.bills") is None
    assert ledger.published_tables() == []
    # An old day published again: the greatest version is not the last day's.
    ledger.record([publication(day=WED, generation=1), publication(day=MON, generation=3), publication("raw.bills")])
    assert ledger.days("core.bills") == (MON, WED)
    assert ledger.last_published("core.bills") == publication(day=WED, generation=1)
    assert ledger.newest_version("core.bills") == (3, "sha-3")
    assert ledger.published_tables() == ["core.bills", "raw.bills"]


# Deliveries


def test_a_delivery_may_be_taken_anew_until_it_is_fixed(ledger: Ledger) -> None:
    ledger.take([delivery()])
    corrected = replace(delivery(), folder="bills/moved", manifest={"files": [{"name": "a.csv", "rows": 3}]})
    ledger.take([corrected])
    assert ledger.deliveries_of("bills", TUE) == [corrected]
    ledger.fix("bills", [TUE])
    ledger.take([delivery()])
    assert ledger.deliveries_of("bills", TUE) == [replace(corrected, is_fixed=True)]
    assert ledger.folders_taken("bills") == {"bills/moved"}


def test_a_delivery_belongs_for_ever_to_the_night_that_took_it(ledger: Ledger) -> None:
    ledger.take([delivery(night=TUE)])
    with pytest.raises(DataRefused, match="bills-1 of bills belongs to the night of 2026-01-27"):
        ledger.take([delivery("bills-2", night=WED), delivery(night=WED)])
    assert ledger.deliveries_of("bills", WED) == [], "all or nothing"


def test_release_lets_go_only_of_what_is_not_fixed(ledger: Ledger) -> None:
    ledger.take([delivery("late", MON), delivery("fixed", TUE, is_fixed=True), delivery("open", TUE)])
    ledger.take([replace(delivery("other", TUE), source="consents")])
    ledger.release("bills", [TUE, WED])
    assert set(ledger.taken("bills")) == {"late", "fixed"}
    assert set(ledger.taken("consents")) == {"other"}
    ledger.take([delivery("open", WED)])
    assert [each.delivery_id for each in ledger.deliveries_of("bills", WED)] == ["open"]


def test_a_dump_has_a_part_for_each_night_and_each_is_fixed_on_its_own(ledger: Ledger) -> None:
    parts = [delivery("dump", night, day=None) for night in (MON, TUE)]
    ledger.take([*parts, delivery("bills-1", MON)])
    ledger.fix("bills", [MON])
    assert ledger.taken("bills") == {
        "bills-1": (replace(delivery("bills-1", MON), is_fixed=True),),
        "dump": (replace(parts[0], is_fixed=True), parts[1]),
    }
    ledger.take([delivery("dump", WED, day=None)])
    assert [part.night for part in ledger.taken("bills")["dump"]] == [MON, TUE, WED]


# The database


def test_what_is_noted_is_there_when_the_ledger_is_opened_again(ledger: Ledger, url: str) -> None:
    ledger.record([publication()])
    assert Ledger.open(url).published_tables() == ["core.bills"]


def test_reading_does_not_wait_for_a_writer(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_db, "WAIT_SECONDS", 0)
    ledger = Ledger.open(url)
    with connect(url).begin() as writer:
        writer.execute(sa.delete(LINEAGE))
        assert ledger.published_tables() == []
        with pytest.raises(Failed, match="locked"):
            ledger.draw("r1", "core.bills", [TUE])


def test_the_revisions_make_the_tables_that_the_code_uses(url: str) -> None:
    config = Config()
    config.set_main_option("script_location", "jobs:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION
    with connect(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), TABLES) == []


def test_opening_an_up_to_date_ledger_loads_neither_alembic_nor_spark(ledger: Ledger, url: str) -> None:
    code = """
import sys
from jobs.ledger import Ledger
Ledger.open(sys.argv[1]).published_tables()
print(sorted({"alembic", "pyspark"} & sys.modules.keys()))
"""
    assert start(code, url).communicate()[0] == "[]\n"


def test_a_ledger_of_a_newer_clm_lake_is_refused(ledger: Ledger, url: str) -> None:
    with connect(url).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Failed, match=r"ledger\.db was written by another version of clm-lake"):
        Ledger.open(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://clm:hush@db/clm", "a ledger on postgresql is not supported yet"),
        ("ledger.db", "not a database URL"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_url_that_cannot_hold_a_ledger_is_a_usage_error(url: str, says: str) -> None:
    with pytest.raises(Usage, match=f"{says}.*leave CLM_LEDGER_URL unset or give sqlite:///…") as caught:
        Ledger.open(url)
    assert "hush" not in str(caught.value)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a database, " * 100)
    with pytest.raises(Failed, match=f"folder {file} cannot be made"):
        Ledger.open(f"sqlite:///{file}/ledger.db")
    with pytest.raises(Failed, match=f"{tmp_path} cannot be used .*CLM_LEDGER_URL"):
        Ledger.open(f"sqlite:///{tmp_path}")
    with pytest.raises(Failed, match=f"{file} cannot be used .*not a database"):
        Ledger.open(f"sqlite:///{file}")


def test_a_ledger_that_has_become_read_only_says_so_when_written(url: str) -> None:
    engine = connect(url)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA query_only = ON"))
    ledger = Ledger(engine, lambda: NOW)
    assert ledger.published_tables() == []
    with pytest.raises(Failed, match=r"ledger\.db cannot be used .*readonly"):
        ledger.draw("r1", "core.bills", [TUE])
