"""What a run refuses to begin, and where one that was cut off is taken up: from a ledger alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conf import Settings
from jobs import night_conform, order
from jobs.accounts import Account, Counts
from jobs.errors import Busy, DataRefused, Usage
from jobs.ledger import Ledger
from jobs.pipeline import STAGES, night
from jobs.staleness import tables_of
from tests.jobs.history import publish, replace_on, settings_of

THU, FRI, SAT, SUN = date(2026, 1, 22), date(2026, 1, 23), date(2026, 1, 24), date(2026, 1, 25)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger_url)


def a_run(settings: Settings, ledger: Ledger, first: date, last: date, **more: Any) -> Any:
    """A run at work, as far as these rules look at it."""
    run = ledger.start_run("backfill", first, last)
    days = [day for day in (THU, FRI, SAT, SUN) if first <= day <= last]
    own = {"days": days, "steps": days, "snapshot_days": lambda table: days, "contacts": None}
    return SimpleNamespace(settings=settings, ledger=ledger, run=run, first=first, last=last, **{**own, **more})


def landed(settings: Settings, ledger: Ledger, outcome: str | None) -> None:
    """A backfill of Saturday that published its raw tables and ended so; None: it was killed."""
    run = ledger.start_run("backfill", SAT, SAT)
    for table in tables_of(settings):
        if table.startswith("raw."):
            publish(ledger, table, SAT, run_id=run.run_id, conf_digest=settings.digest)
    if outcome:
        ledger.end_run(run.run_id, outcome)


@pytest.mark.parametrize(
    ("outcome", "done"), [(None, {"land"}), ("failed", {"land"}), ("refused", set()), ("done", set())]
)
def test_a_backfill_is_taken_up_where_it_was_cut_off_but_not_where_data_was_refused(
    settings: Settings, ledger: Ledger, outcome: str | None, done: set[str]
) -> None:
    landed(settings, ledger, outcome)
    assert order.published_before_the_end(a_run(settings, ledger, SAT, SAT)) == done


def test_a_stage_is_done_with_the_last_of_its_tables_snapshots_too(settings: Settings, ledger: Ledger) -> None:
    landed(settings, ledger, None)
    run = ledger.runs(SAT)[0]
    tables = [table for job in night(settings) if job.stage in ("conform", "know") for table in job.writes]
    *others, last = [table for table in tables if not table.startswith("ops.quality")]
    assert last == "mart.upgrade_retention"
    for table in others:
        publish(ledger, table, SAT, run_id=run.run_id, conf_digest=settings.digest)
    assert order.published_before_the_end(a_run(settings, ledger, SAT, SAT)) == {"land", "conform"}
    publish(ledger, last, SAT, run_id=run.run_id, conf_digest=settings.digest)
    assert order.published_before_the_end(a_run(settings, ledger, SAT, SAT)) == {"land", "conform", "know"}
    # Whoever wants more nights stepped than the run that was killed needs their profiles as well.
    more = a_run(settings, ledger, SAT, SAT, snapshot_days=lambda table: [FRI, SAT])
    assert order.published_before_the_end(more) == {"land"}


def test_what_was_selected_is_selected_again_where_something_is_asked_of_its_contacts(
    settings: Settings, ledger: Ledger
) -> None:
    run = ledger.start_run("backfill", SAT, SAT)
    for table in tables_of(settings):
        publish(ledger, table, SAT, run_id=run.run_id, conf_digest=settings.digest)
    assert order.published_before_the_end(a_run(settings, ledger, SAT, SAT)) == set(STAGES)
    asked = a_run(settings, ledger, SAT, SAT, contacts="live")
    assert order.published_before_the_end(asked) == {"land", "conform", "know", "judge"}


def test_with_a_replacement_due_it_lands_again(settings: Settings, ledger: Ledger) -> None:
    landed(settings, ledger, None)
    replace_on(ledger, SAT)
    assert order.published_before_the_end(a_run(settings, ledger, SAT, SAT)) == set()


@pytest.mark.parametrize(
    ("table", "without", "is_refused"),
    [
        ("raw.customers", (FRI,), True),  # it was there the day before
        ("raw.customers", (THU, FRI), False),  # a source of tonight's
        ("core.customers", (THU, FRI), False),  # a feed of tonight's
        ("core.customers", (FRI,), True),
        ("core.customer_daily", (THU, FRI), True),  # every lake has it: the stage know has not been run
        ("ops.deliveries", (THU, FRI), True),  # no night has been conformed
    ],
)
def test_what_is_new_to_the_lake_has_no_yesterday(
    settings: Settings, ledger: Ledger, table: str, without: tuple[date, ...], is_refused: bool
) -> None:
    replace_on(ledger, THU)  # the lake begins
    for day in (THU, FRI):
        for each in tables_of(settings):
            if each != table or day not in without:
                publish(ledger, each, day)
    night = a_run(settings, ledger, SAT, SAT, first_night=THU)
    if not is_refused:
        order.refuse_out_of_order(night, ["land", "conform", "know"])
        return
    with pytest.raises(Busy, match=f"{table} 2026-01-23 is not published"):
        order.refuse_out_of_order(night, ["land", "conform", "know"])


def test_a_night_that_would_lose_the_rows_of_a_source_that_is_gone_is_not_run(
    settings: Settings, ledger: Ledger
) -> None:
    publish(ledger, "core.transactions", SAT, made_from=[("raw.payments", SAT, "d1"), ("raw.closed", SAT, "d1")])
    with pytest.raises(Usage, match=r"core\.transactions 2026-01-24 was made from raw\.closed"):
        order.refuse_forgotten_sources(a_run(settings, ledger, FRI, SUN))
    order.refuse_forgotten_sources(a_run(settings, ledger, SUN, SUN))


# Three rows landed on Thursday that wait for Sunday.
WAITING = {Account(SAT, "payments", "payments-2026-01-22-1", THU): 3}


@pytest.mark.parametrize(
    ("first", "taken", "is_refused"),
    [
        (SUN, -3, False),  # all are taken
        (SUN, -2, True),  # one is not
        (SUN, 0, True),  # none is
        (SAT, -3, False),
    ],
)
def test_rows_that_waited_for_a_night_which_does_not_take_them_stop_it(
    settings: Settings, ledger: Ledger, first: date, taken: int, is_refused: bool
) -> None:
    night = a_run(settings, ledger, first, SUN, repairs=[])
    counts = {Account(SUN, "payments", "payments-2026-01-22-1", THU): Counts(waiting=taken)}
    if not is_refused:
        night_conform._refuse_left_waiting(night, WAITING, counts)
        return
    with pytest.raises(DataRefused, match=r"payments-2026-01-22-1 \(landed 2026-01-22\) waited for 2026-01-25"):
        night_conform._refuse_left_waiting(night, WAITING, counts)


def test_rows_that_wait_for_a_later_night_go_on_waiting(settings: Settings, ledger: Ledger) -> None:
    night_conform._refuse_left_waiting(a_run(settings, ledger, FRI, SAT, repairs=[]), WAITING, {})
