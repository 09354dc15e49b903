"""A plan names what is not published or stale, in order, and nothing else."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from conf import Settings
from jobs.errors import Busy
from jobs.ledger import Ledger
from jobs.pipeline import night
from jobs.planning import Step, plan
from jobs.staleness import tables_of
from tests.jobs.history import publish, publish_night, replace_on, settings_of

FIRST = date(2026, 1, 1)
STATE = "core.customers_state"


def on(day: int) -> date:
    return FIRST + timedelta(days=day - 1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger_url)


def spans(steps: list[Step], table: str) -> list[tuple[int, int]]:
    return [(step.first.day, step.last.day) for step in steps if step.table == table]


def test_an_empty_lake_needs_everything_in_the_order_of_the_night(settings: Settings) -> None:
    steps = plan(settings, None, on(1), on(3))
    # Whether there will be something for the rare ones is not known before.
    rare = {table for job in night(settings) if job.mode == "rare" for table in job.writes}
    assert list(dict.fromkeys(step.table for step in steps)) == [t for t in tables_of(settings) if t not in rare]
    assert {(step.first, step.last) for step in steps if step.mode == "range"} == {(on(1), on(3))}
    assert {step.why for step in steps if step.mode == "range"} == {"not published"}
    assert spans(steps, STATE) == [(1, 1), (2, 2), (2, 3)]


def test_snapshots_hop_over_the_days_that_are_not_kept(settings: Settings) -> None:
    steps = plan(settings, None, on(1), on(10))
    hops = [step for step in steps if step.table == STATE]
    assert spans(hops, STATE) == [(1, 4), (5, 5), (5, 6), (5, 7), (5, 8), (5, 9), (5, 10)]
    assert {step.mode for step in hops} == {"hop"}
    assert hops[0].why == "not published; folded from nothing"
    assert hops[1].why == "not published; folded from the snapshot of 2026-01-04"


def test_nothing_is_to_be_done_where_all_is_published(settings: Settings, ledger: Ledger) -> None:
    for day in (1, 2, 3):
        publish_night(ledger, settings, on(day))
    assert plan(settings, ledger, on(1), on(3)) == []


def test_days_between_kept_snapshots_are_not_planned_again(settings: Settings, ledger: Ledger) -> None:
    for day in range(1, 11):
        for table in tables_of(settings):
            if table != STATE or day >= 4:
                publish(ledger, table, on(day))
    assert plan(settings, ledger, on(1), on(5)) == []


def test_it_starts_from_the_newest_kept_snapshot(settings: Settings, ledger: Ledger) -> None:
    for day in (1, 2, 3):
        publish_night(ledger, settings, on(day))
    steps = plan(settings, ledger, on(4), on(4), tables=[STATE])
    assert steps == [
        Step(
            table=STATE,
            first=on(4),
            last=on(4),
            mode="hop",
            why="not published; folded from the snapshot of 2026-01-03",
        )
    ]


def test_a_gap_before_the_range_comes_first(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, on(1))
    steps = plan(settings, ledger, on(3), on(4))
    assert spans(steps, "raw.payments") == [(2, 4)], "nights run in order, and the 2nd is missing"


def test_what_reads_a_stale_day_is_made_again_with_it(settings: Settings, ledger: Ledger) -> None:
    for day in (1, 2):
        publish_night(ledger, settings, on(day))
    publish(ledger, "core.transactions", on(1), made_from=[("raw.payments", on(1), "d1")])
    publish(ledger, "raw.payments", on(1), digest="d2")
    steps = plan(settings, ledger, on(1), on(2))
    assert [(step.table, step.first.day, step.last.day, step.why) for step in steps] == [
        ("core.transactions", 1, 1, "stale: raw.payments has changed since"),
        ("core.quarantine", 1, 1, "core.transactions is made again"),
        ("ops.deliveries", 1, 1, "core.transactions is made again"),
        ("core.customer_daily", 1, 1, "core.transactions is made again"),
        ("mart.customer_profile", 1, 1, "core.customer_daily is made again; folded from nothing"),
        ("mart.customer_profile", 2, 2, "mart.customer_profile is made again; folded from the snapshot of 2026-01-01"),
        ("mart.retention_cohorts", 1, 2, "mart.customer_profile is made again"),
        ("mart.upgrade_retention", 1, 1, "mart.customer_profile is made again; folded from nothing"),
        (
            "mart.upgrade_retention",
            2,
            2,
            "mart.customer_profile is made again; folded from the snapshot of 2026-01-01",
        ),
        ("mart.customer_segments", 1, 2, "mart.customer_profile is made again"),
        ("mart.segment_transitions", 1, 2, "mart.customer_profile is made again"),
        ("mart.segment_status", 1, 2, "mart.customer_segments is made again"),
    ]


def test_a_later_day_that_looked_into_one_made_again_is_made_again(settings: Settings, ledger: Ledger) -> None:
    for day in (1, 2, 3):
        publish_night(ledger, settings, on(day))
    publish(ledger, "core.transactions", on(1), made_from=[("raw.payments", on(1), "d1")])
    publish(ledger, "core.transactions", on(3), made_from=[("core.transactions", on(1), "d1")])
    publish(ledger, "raw.payments", on(1), digest="d2")
    steps = plan(settings, ledger, on(1), on(3), tables=["core.transactions"])
    assert spans(steps, "core.transactions") == [(1, 1), (3, 3)]


def test_a_snapshot_folded_from_versions_made_again_is_made_again_and_so_are_those_after(
    settings: Settings, ledger: Ledger
) -> None:
    for day in (1, 2, 3):
        publish_night(ledger, settings, on(day))
    publish(ledger, "core.customers", on(2), made_from=[("raw.customers", on(2), "another")])
    assert spans(plan(settings, ledger, on(1), on(3)), STATE) == [(2, 2), (2, 3)]


def test_a_snapshot_that_is_no_longer_kept_is_not_planned_again(settings: Settings, ledger: Ledger) -> None:
    for day in range(1, 11):
        publish_night(ledger, settings, on(day))
    ledger.record([], {STATE: [on(1), on(2), on(3)]})
    assert plan(settings, ledger, on(1), on(10)) == []


def test_what_past_nights_run_again_have_told_is_folded_into_the_last_of_them(
    settings: Settings, ledger: Ledger
) -> None:
    for day in range(1, 11):
        publish_night(ledger, settings, on(day))
    ledger.record([], {STATE: [on(1), on(2), on(3)]})
    publish(ledger, "core.customers", on(2), made_from=[("raw.customers", on(2), "another")])
    steps = [step for step in plan(settings, ledger, on(1), on(3)) if step.table == STATE]
    assert spans(steps, STATE) == [(1, 3)]
    assert steps[0].why == "core.customers is made again; folded from nothing"


def test_a_night_whose_delivery_is_to_be_replaced_is_run_again(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, on(1))
    replace_on(ledger, on(1))
    steps = plan(settings, ledger, on(1), on(1))
    assert steps[0].table == "raw.payments"
    assert steps[0].why.startswith("p-2 in payments/p-2 replaces p-1")
    assert [step.why for step in steps if step.table == "core.transactions"] == ["raw.payments is made again"]


def test_a_source_that_is_new_to_the_lake_has_no_past_to_run(settings: Settings, ledger: Ledger) -> None:
    for day in (1, 2):
        for table in tables_of(settings):
            if table != "raw.customers":
                publish(ledger, table, on(day))
    steps = plan(settings, ledger, on(2), on(3))
    assert spans(steps, "raw.customers") == spans(steps, "raw.payments") == [(3, 3)]


def test_only_the_tables_asked_for(settings: Settings) -> None:
    steps = plan(settings, None, on(1), on(2), tables=["raw.payments"])
    assert [step.table for step in steps] == ["raw.payments"]


def test_nights_before_the_first_cannot_be_added(settings: Settings, ledger: Ledger) -> None:
    publish_night(ledger, settings, on(5))
    with pytest.raises(Busy, match="begins on 2026-01-05"):
        plan(settings, ledger, on(4), on(6))
