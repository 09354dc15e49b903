"""The stage select over a small lake: what counts as a contact, nights and ranges, and the same night twice."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs import pipeline
from jobs.errors import Busy, Failed
from jobs.explain_triggers import TriggerEnd
from jobs.explain_triggers import ends as ends_of
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.preview_trigger import preview
from jobs.progress import Progress
from jobs.rules.book import compile_book
from jobs.runner import backfill, run_night
from tests.conftest import Place
from tests.e2e.acting_lake import FIRST, LAST, ONE_DAY, days, lake_of, morning_after
from tests.jobs.rows import cells


def ends(spark: SparkSession, settings: Settings, night: date, trigger: str = "offer") -> dict[str, tuple[str, str]]:
    """Customer → step and channel."""
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    rows = lake.read_day("mart.selections", night).where(f"trigger = '{trigger}'")
    return {row["customer_id"]: (row["step"], row["channel"]) for row in rows.collect()}


def digests(settings: Settings, first: date, last: date) -> dict[str, tuple[int, str]]:
    ledger = Ledger.open(settings.ledger_url)
    return {
        f"{table.name} {day}": (each.rows, each.digest)
        for table in pipeline.tables(settings)
        if table.name != "ops.quality"
        for day, each in ledger.published(table.name, first, last).items()
    }


@pytest.fixture(scope="module")
def loaded(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake whose nights but the last two are its first load, as a replay."""
    root = tmp_path_factory.mktemp("select") / "loaded"
    backfill(lake_of(root), FIRST, LAST - 2 * ONE_DAY, reason="first load", step_from=FIRST, progress=Progress())
    return root


def test_the_first_real_night_is_not_empty_and_the_next_one_knows_of_it(
    spark: SparkSession, loaded: Path, tmp_path: Path
) -> None:
    shutil.copytree(loaded, tmp_path / "copy")
    settings = Place(tmp_path / "copy").settings()
    first, second = LAST - ONE_DAY, LAST
    # Each night of the replay selected as if it were the only one.
    for night in days(FIRST, first - ONE_DAY):
        assert ends(spark, settings, night) == {
            "anna": ("selected", "push"),
            "ben": ("selected", "push"),
            "cleo": ("no_consent", None),
        }
    said: list[str] = []
    progress = Progress()
    progress.note = said.append  # type: ignore[method-assign]
    run_night(settings, first, now=morning_after(first), progress=progress)
    # Two plans end three days later, and one is expected.
    assert ends(spark, settings, first, "expiring") == {"ben": ("size_guard", None), "cleo": ("size_guard", None)}
    assert any(f"expiring {first} is held back: 2 are eligible, and at most 1 are expected" in line for line in said)
    # All have one recharge, so a hash decides whom the budget of two leaves out.
    found = ends(spark, settings, first)
    assert found["cleo"] == ("no_consent", None)
    assert sorted(step for step, _ in found.values()) == ["no_consent", "over_budget", "selected", "selected"]
    written = {who for who, (step, _) in found.items() if step == "selected"}
    run_night(settings, second, now=morning_after(second), progress=Progress())
    told = ends(spark, settings, second)
    assert {who for who, (step, _) in told.items() if step == "cooling_down"} == written
    [rest] = {"anna", "ben", "dora"} - written
    assert told[rest] == ("selected", "push")
    # The same night twice is the same night, though its own contacts are remembered by now.
    before = digests(settings, first, second)
    run_night(settings, second, now=morning_after(second), progress=Progress())
    run_night(settings, first, now=morning_after(first), progress=Progress())
    assert digests(settings, first, second) == before


def test_a_due_is_spoken_of_three_days_ahead(spark: SparkSession, loaded: Path) -> None:
    settings = Place(loaded).settings()
    # Three days before the 12th counted from the day after the night: the night of the 8th.
    assert ends(spark, settings, date(2026, 1, 8), "expiring") == {"anna": ("selected", "push")}
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    contacts = lake.read("mart.contact_history", known_on=LAST).where("trigger = 'expiring'")
    assert cells(contacts, "customer_id", "send_date", "mode") == [("anna", "2026-01-09", "replay")]


@pytest.mark.slow
def test_a_night_is_not_selected_without_the_one_before(loaded: Path, tmp_path: Path) -> None:
    shutil.copytree(loaded, tmp_path / "copy")
    settings = Place(tmp_path / "copy").settings()
    backfill(settings, LAST - ONE_DAY, LAST, reason="two nights", until="judge", progress=Progress())
    with pytest.raises(Busy, match=r"2026-01-10 needs 2026-01-09, and mart\.\w+ 2026-01-09 is not published"):
        run_night(settings, LAST, stage="select", progress=Progress())


@pytest.mark.slow
def test_a_live_range_is_its_nights_one_by_one(spark: SparkSession, tmp_path: Path) -> None:
    ranged, stepped = lake_of(tmp_path / "ranged"), lake_of(tmp_path / "stepped")
    backfill(ranged, FIRST, LAST, reason="first load", step_from=FIRST, contacts="live", progress=Progress())
    for night in days():
        run_night(stepped, night, now=morning_after(night), progress=Progress())
    assert {"size_guard", "cooling_down"} <= {
        step
        for night in days()
        for trigger in ("offer", "expiring")
        for step, _ in ends(spark, stepped, night, trigger).values()
    }
    own, others = digests(stepped, FIRST, LAST), digests(ranged, FIRST, LAST)
    acted = ("mart.selections", "mart.contact_history", "mart.holdouts")
    assert {key: own[key] for key in own if key.startswith(acted)} == {
        key: others[key] for key in others if key.startswith(acted)
    }


def test_why_somebody_is_written_to_or_not(spark: SparkSession, loaded: Path) -> None:
    settings = Place(loaded).settings()
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    book, night = compile_book(settings, {}), LAST - 2 * ONE_DAY

    def told(customer: str) -> dict[str, TriggerEnd]:
        return {end.name: end for end in ends_of(lake, book, [], customer, night)}

    anna, cleo, dora = told("anna"), told("cleo"), told("dora")
    assert (anna["offer"].step, anna["offer"].channel, anna["offer"].evidence) == (
        "selected",
        "push",
        {"recharge_count": 1},
    )
    [condition] = anna["expiring"].conditions
    assert (condition.is_met, condition.values, anna["expiring"].subject) == (
        True,
        {"days_to_due": 3},
        "anna-2026-01-05",
    )
    assert (cleo["offer"].step, cleo["offer"].decided) == (
        "no_consent",
        {"asks for": "promotional/push, promotional/email", "consented to": "nothing"},
    )
    # Ben's plan ends a day later, so it is not met yet; dora has only consented so far.
    ben = told("ben")["expiring"]
    assert (ben.step, ben.conditions[0].is_met, ben.conditions[0].values) == (None, False, {"days_to_due": 4})
    assert (dora["offer"].step, dora["offer"].conditions[0].is_met) == (None, False)
    assert (dora["expiring"].step, dora["expiring"].conditions) == (None, [])


def test_the_funnel_of_a_trigger_is_seen_before_anybody_is_written_to(spark: SparkSession, loaded: Path) -> None:
    settings = Place(loaded).settings()
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    book, night = compile_book(settings, {}), LAST - 2 * ONE_DAY
    offer, expiring = (next(rule for rule in book.triggers if rule.name == name) for name in ("offer", "expiring"))
    told = preview(lake, book, [], offer, night)
    assert (told.eligible, told.before, told.held) == (3, 3, None)
    assert {step: n for step, n in told.steps.items() if n} == {"no_consent": 1, "selected": 2}
    assert told.channels == {"push": 2}
    assert [row["customer"] for row in told.sample] == ["•••", "•••"]
    assert preview(lake, book, [], expiring, night).eligible == 1
    with pytest.raises(Failed, match="is not kept"):
        preview(lake, book, [], offer, FIRST - ONE_DAY)
