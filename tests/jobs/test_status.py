"""Each state a table can be in, from a ledger alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from conf import Settings
from jobs.ledger import Ledger
from jobs.staleness import tables_of
from jobs.status import TableStatus, last_night, statuses
from tests.jobs.history import publish, publish_night, replace_on, settings_of

MON, TUE, WED = date(2026, 1, 26), date(2026, 1, 27), date(2026, 1, 28)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger_url)


def by_table(settings: Settings, ledger: Ledger | None, day: date) -> dict[str, TableStatus]:
    return {each.table: each for each in statuses(settings, ledger, day)}


def states(settings: Settings, ledger: Ledger | None, day: date) -> set[str]:
    return {each.state for each in statuses(settings, ledger, day)}


def test_without_a_ledger_every_table_is_missing(settings: Settings) -> None:
    found = statuses(settings, None, MON)
    assert [each.table for each in found] == list(tables_of(settings))
    assert {each.state for each in found} == {"missing"}
    assert all(each.is_behind for each in found)


def test_a_whole_night_is_published(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, MON)
    found = statuses(settings, ledger, MON)
    assert {(each.state, each.generation, each.digest, each.why) for each in found} == {("published", 1, "d1", None)}
    assert not any(each.is_behind for each in found)
    assert states(settings, ledger, TUE) == {"missing"}


def test_a_table_is_stale_when_its_upstream_has_other_contents(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, MON)
    publish(ledger, "core.transactions", MON, made_from=[("raw.payments", MON, "d1")])
    assert by_table(settings, ledger, MON)["core.transactions"].state == "published"
    publish(ledger, "raw.payments", MON, digest="d1")  # the same contents once more: nothing is stale
    assert by_table(settings, ledger, MON)["core.transactions"].state == "published"
    publish(ledger, "raw.payments", MON, digest="d2")
    found = by_table(settings, ledger, MON)["core.transactions"]
    assert found.state == "stale"
    assert found.why == "made from raw.payments 2026-01-26, which has changed since or is stale itself"


def test_what_is_made_from_something_stale_is_stale_on_later_days_too(settings: Settings, ledger: Ledger) -> None:
    for day in (MON, TUE):
        publish_night(ledger, settings, day)
    publish(ledger, "core.transactions", MON, made_from=[("raw.payments", MON, "d1")])
    publish(ledger, "core.transactions", TUE, made_from=[("core.transactions", MON, "d1")])
    publish(ledger, "core.customer_daily", TUE, made_from=[("core.transactions", TUE, "d1")])
    publish(ledger, "raw.payments", MON, digest="d2")
    tuesday = by_table(settings, ledger, TUE)
    assert (tuesday["core.transactions"].state, tuesday["core.customer_daily"].state) == ("stale", "stale")
    assert tuesday["core.customers"].state == "published"


def test_a_table_of_a_run_at_work_is_busy_until_that_run_publishes_it(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, MON)
    run = ledger.start_run("run", MON, MON)
    with ledger.lease(run):
        publish(ledger, "raw.payments", MON, run_id=run.run_id)
        found = by_table(settings, ledger, MON)
        assert found["raw.payments"].state == "published"
        assert found["core.transactions"].state == "busy"
        assert run.run_id in str(found["core.transactions"].why)
        assert states(settings, ledger, TUE) == {"missing"}, "the holder does not work on Tuesday"


def test_a_stage_at_work_leaves_the_tables_of_the_other_stages_as_they_are(settings: Settings, ledger: Ledger) -> None:
    run = ledger.start_run("run", MON, MON, "conform")
    with ledger.lease(run):
        found = by_table(settings, ledger, MON)
        assert found["core.transactions"].state == "busy"
        assert found["raw.payments"].state == "missing"


def test_between_two_stages_nothing_is_busy(settings: Settings, ledger: Ledger) -> None:
    run = ledger.start_run("run", MON, MON, "land")
    with ledger.lease(run, keep=True):
        pass
    ledger.end_run(run.run_id, "done")
    assert states(settings, ledger, MON) == {"missing"}


def test_what_the_newest_run_did_not_publish_has_failed_and_says_why(settings: Settings, ledger: Ledger) -> None:
    run = ledger.start_run("run", MON, MON)
    publish(ledger, "raw.payments", MON, run_id=run.run_id)
    ledger.end_run(run.run_id, "refused", "The audit failed; nothing of it was published.")
    found = by_table(settings, ledger, MON)
    assert found["raw.payments"].state == "published"
    assert (found["core.transactions"].state, found["core.transactions"].why) == (
        "failed",
        "The audit failed; nothing of it was published.",
    )


def test_a_failed_repetition_leaves_what_was_published_before(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, MON)
    run = ledger.start_run("run", MON, MON)
    ledger.end_run(run.run_id, "failed", "the disk is full")
    assert states(settings, ledger, MON) == {"published"}


def test_a_killed_run_has_failed(settings: Settings, ledger: Ledger) -> None:
    run = ledger.start_run("run", MON, MON)
    found = by_table(settings, ledger, MON)["raw.payments"]
    assert (found.state, found.why) == ("failed", f"run {run.run_id} (`clm run`) was killed")


def test_a_run_that_did_not_get_the_lake_says_nothing_of_its_night(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, MON)
    ledger.end_run(ledger.start_run("run", TUE, TUE).run_id, "busy", "held")
    assert states(settings, ledger, TUE) == {"missing"}


def test_waiting_rows_are_those_of_all_nights_so_far_less_those_taken_since(settings: Settings, ledger: Ledger) -> None:
    for day, rows in ((MON, 5), (TUE, -2), (WED, -3)):
        publish_night(ledger, settings, day)
        publish(ledger, "ops.deliveries", day, waiting_rows=rows)
    tuesday = by_table(settings, ledger, TUE)["ops.deliveries"]
    assert (tuesday.state, tuesday.why) == ("waiting", "3 rows delivered by then wait for a later night")
    assert not tuesday.is_behind, "rows that wait for their night are routine"
    assert by_table(settings, ledger, WED)["ops.deliveries"].state == "published"


def test_a_day_between_two_snapshots_is_not_missing(settings: Settings, ledger: Ledger) -> None:
    publish(ledger, "core.customers_state", WED)
    monday = by_table(settings, ledger, MON)["core.customers_state"]
    assert (monday.state, monday.generation) == ("published", None)
    assert "the snapshot of 2026-01-28" in str(monday.why)


def test_the_last_night_is_the_last_of_which_anything_is_published(settings: Settings, ledger: Ledger) -> None:
    assert last_night(settings, ledger) is None
    publish_night(ledger, settings, MON)
    publish(ledger, "raw.payments", TUE)
    assert last_night(settings, ledger) == TUE


def test_a_delivery_that_will_replace_another_is_said_until_it_does(settings: Settings, ledger: Ledger) -> None:
    for day in (MON, TUE):
        publish_night(ledger, settings, day)
    replace_on(ledger, MON)
    first, *others = statuses(settings, ledger, TUE)
    assert (first.table, first.day, first.state) == ("raw.payments", MON, "stale")
    assert first.why == (
        "p-2 in payments/p-2 replaces p-1 once `clm backfill --from 2026-01-26 --to 2026-01-26` is run"
    )
    assert {each.state for each in others} == {"published"}
    assert [each.table for each in statuses(settings, ledger, MON) if each.is_behind] == ["raw.payments"]
    ledger.note_replaced("payments", ["p-1"])
    assert states(settings, ledger, TUE) == {"published"}


def test_a_source_that_is_new_to_the_lake_is_not_missing_before(settings: Settings, ledger: Ledger) -> None:
    for table in tables_of(settings):
        if table != "raw.customers":
            publish(ledger, table, MON)
    assert by_table(settings, ledger, MON)["raw.customers"].why == "the source is newer than this night"
    assert by_table(settings, ledger, TUE)["raw.customers"].state == "missing"
    publish(ledger, "raw.customers", WED)
    assert by_table(settings, ledger, TUE)["raw.customers"].state == "published"


def test_what_a_source_told_that_is_no_longer_configured_is_as_good_as_before(
    settings: Settings, ledger: Ledger
) -> None:
    publish_night(ledger, settings, MON)
    publish(ledger, "raw.closed", MON)
    publish(ledger, "core.transactions", MON, made_from=[("raw.closed", MON, "d1")])
    assert by_table(settings, ledger, MON)["core.transactions"].state == "published"


def test_a_snapshot_that_is_no_longer_kept_is_not_behind(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, MON)
    ledger.record([], {"mart.customer_profile": [MON]})
    profile = by_table(settings, ledger, MON)["mart.customer_profile"]
    assert (profile.state, profile.why) == (
        "published",
        "its snapshot is no longer kept (they are for 7 days, and of month ends)",
    )
