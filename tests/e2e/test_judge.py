"""The stage judge over a small lake: nights and ranges agree, rules are edited, engines fail, and people ask why."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from conf import Settings
from jobs import night_judge, night_score, pipeline
from jobs.engines.base import engines, score_columns
from jobs.errors import Busy, DataRefused, Failed, Usage
from jobs.explain import explain
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.membership import known_on
from jobs.preview import preview
from jobs.progress import Progress
from jobs.rules.book import compile_book
from jobs.runner import backfill, opened, run_night
from tests.conftest import Place
from tests.jobs.rows import cells
from tests.jobs.sources import CUSTOMERS, PAYMENT_COLUMNS, payments
from tests.segment_text import segment

# Longer than snapshots are kept, and no month end among them.
FIRST, LAST = date(2026, 1, 5), date(2026, 1, 14)
HEADER = "payment,customer,paid,rupees,product"
PRODUCTS = payments(
    name="payments",
    columns=PAYMENT_COLUMNS + 'product = "string"\n',
    changed_map="product = \"product\"\ncategory = \"case product when 'bill_payment' then 'electricity' end\"\n"
    "rail = \"'upi'\"",
)
REGISTERED = "2026-01-05T10:00:00+05:30"
RULES = segment("recharged", "recharge_count >= 1") + segment("calm", "risk_band = 'low'")
BASE = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n[engines]\nrun = ["customer_score", "risk"]\n'
REVIEWED = f'[[backfill]]\nfrom = {FIRST}\nto = {LAST}\nreason = "looked at again"\nasked_by = "a test"\n'


def days(first: date = FIRST, last: date = LAST) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def deliver(place: Place) -> None:
    """anna recharges, then pays a bill, then sends; ben recharges once; cleo registers and comes on the last day."""
    for number, day in enumerate(days()):
        lines = [HEADER]
        told = [("anna", {0: "recharge", 1: "recharge", 4: "bill_payment", 7: "p2p_transfer"}.get(number))]
        told += [("ben", "recharge" if number == 2 else None), ("cleo", "recharge" if day == LAST else None)]
        for customer, product in told:
            if product:
                lines.append(f"{customer}-{number},{customer},{day}T10:00:00+05:30,6000,{product}")
        place.deliver("payments", day, lines if len(lines) > 1 else [])
        registered = (
            [{"customer": "cleo", "registered": REGISTERED, "changed": REGISTERED, "language": "en"}]
            if day == FIRST
            else []
        )
        place.deliver("customers", day, [json.dumps(row) for row in registered], name="part-0001.jsonl.gz")


def lake_of(root: Path, rules: str = RULES) -> tuple[Place, Settings]:
    root.mkdir()
    place = Place(root)
    place.configure(PRODUCTS, CUSTOMERS, base=BASE, backfills=REVIEWED)
    deliver(place)
    (root / "conf" / "segments").mkdir()
    (root / "conf" / "segments" / "mine.toml").write_text(rules)
    return place, place.settings()


def reader(spark: SparkSession, settings: Settings) -> Lake:
    return Lake(spark, settings, Ledger.open(settings.ledger_url))


def digests(settings: Settings, first: date = FIRST, last: date = LAST) -> dict[str, tuple[int, str]]:
    ledger = Ledger.open(settings.ledger_url)
    return {
        f"{table.name} {day}": (each.rows, each.digest)
        for table in pipeline.tables(settings)
        if table.name != "ops.quality"
        for day, each in ledger.published(table.name, first, last).items()
    }


def levels(frame: DataFrame) -> dict[str, str]:
    return {row["customer_id"]: row["level"] for row in frame.collect()}


@pytest.fixture(scope="module")
def stepped(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A lake that was stepped from its first day on, in one range."""
    place, settings = lake_of(tmp_path_factory.mktemp("judge") / "stepped")
    backfill(settings, FIRST, LAST, reason="first load", step_from=FIRST, progress=Progress())
    return place


@pytest.mark.slow  # tests/jobs/test_segments.py has the same of the transforms alone
def test_a_range_is_the_nights_one_by_one(spark: SparkSession, stepped: Place, tmp_path: Path) -> None:
    _, settings = lake_of(tmp_path / "nights")
    middle = LAST - timedelta(days=3)
    backfill(settings, FIRST, middle, reason="first load", step_from=FIRST, progress=Progress())
    for night in days(middle + timedelta(days=1)):
        run_night(settings, night, progress=Progress())
    own, ranged = digests(settings), digests(stepped.settings())
    # A range keeps profiles of nights that are no longer kept where nights followed.
    assert {key: own[key] for key in own.keys() & ranged.keys()} == {
        key: ranged[key] for key in own.keys() & ranged.keys()
    }
    assert {key for key in own if key.startswith(("mart.segment_transitions", "mart.segment_status"))} == {
        key for key in ranged if key.startswith(("mart.segment_transitions", "mart.segment_status"))
    }
    # And a night twice is the night once.
    run_night(settings, LAST, progress=Progress())
    assert digests(settings) == own


def test_who_was_what_on_any_night(spark: SparkSession, stepped: Place) -> None:
    lake = reader(spark, stepped.settings())
    assert levels(known_on(lake, FIRST)) == {"anna": "recharge", "cleo": "visitor"}
    assert levels(known_on(lake, FIRST + timedelta(days=4))) == {
        "anna": "postpaid",
        "ben": "recharge",
        "cleo": "visitor",
    }
    assert levels(known_on(lake, LAST)) == {"anna": "sender", "ben": "recharge", "cleo": "recharge"}


@pytest.mark.slow  # tests/jobs/test_segments.py has the same of the transforms alone
def test_a_night_whose_snapshot_is_gone_is_told_from_the_moves(
    spark: SparkSession, stepped: Place, tmp_path: Path
) -> None:
    place = Place(tmp_path / "copy")
    shutil.copytree(stepped.root, place.root)
    expected = {day: cells(known_on(reader(spark, place.settings()), day)) for day in days()}
    run_night(place.settings(), LAST, progress=Progress())
    lake = reader(spark, place.settings())
    kept = lake.ledger.kept_days("mart.customer_segments")
    assert kept == days(LAST - timedelta(days=6))
    assert {day: cells(known_on(lake, day)) for day in days()} == expected
    # An old night can be made again all the same, from what the moves tell of the night before it.
    middle = FIRST + timedelta(days=2)
    run_night(place.settings(), middle, progress=Progress())
    assert cells(known_on(lake, middle)) == expected[middle]


def test_the_moves_say_why(spark: SparkSession, stepped: Place) -> None:
    moves = reader(spark, stepped.settings()).read("mart.segment_transitions", known_on=LAST)
    columns = ("as_of_date", "from_value", "to_value", "move", "cause")
    assert cells(moves.where("customer_id = 'anna' and kind = 'level'"), *columns) == [
        ("2026-01-05", None, "recharge", "entered", "start"),
        ("2026-01-09", "recharge", "postpaid", "upgraded", "customer"),
        ("2026-01-12", "postpaid", "sender", "upgraded", "customer"),
    ]
    scored = cells(moves.where("customer_id = 'ben' and kind = 'score_band' and name = 'risk'"), "to_value", "cause")
    assert scored == [("low", "customer")]


def test_what_the_engines_learnt_is_used_from_the_next_night_on(spark: SparkSession, stepped: Place) -> None:
    lake = reader(spark, stepped.settings())
    # Nobody was known before the first night: customer_score learns from it, for the second.
    models = lake.read("mart.engine_models", known_on=LAST)
    assert cells(models.select("as_of_date", "engine", "fitted_through").distinct()) == [
        ("2026-01-06", "customer_score", "2026-01-05")
    ]
    scored = lake.read_days("mart.scores", days())
    assert [row[0] for row in cells(scored.where(f"as_of_date = date'{FIRST}'").select("engine").distinct())] == [
        "risk"
    ]
    assert len(cells(scored.where(f"as_of_date = date'{LAST}'").select("engine").distinct())) == 2


def test_a_night_that_learnt_may_be_told_to_learn_again(spark: SparkSession, copy: Place) -> None:
    settings = copy.settings()
    through = LAST - timedelta(days=7)  # The first night that is judged, by default the seventh from the end.
    with opened(settings, "fit", through, through, None, Progress()) as night:
        engine = next(engine for engine in night.engines if engine.name == "customer_score")
        assert night_score.fit(night, engine)
    models = reader(spark, settings).read("mart.engine_models", known_on=LAST)
    assert cells(models.select("as_of_date", "fitted_through").distinct()) == [
        ("2026-01-07", "2026-01-06"),
        ("2026-01-07", "2026-01-07"),
    ]


def test_the_rules_that_were_used_are_kept(spark: SparkSession, stepped: Place) -> None:
    kept = reader(spark, stepped.settings()).read("mart.rule_versions", known_on=LAST)
    told = {row["name"]: row for row in kept.collect()}
    assert set(told) == {"calm", "level", "lifecycle", "recharged"}
    assert told["recharged"]["text"] == "recharge_count >= 1"
    assert told["recharged"]["first_date"] == FIRST


# ---- edits and failures, each on a copy of the same lake that stops a night before the last


@pytest.fixture(scope="module")
def before_last(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, settings = lake_of(tmp_path_factory.mktemp("judge") / "before")
    backfill(settings, FIRST, LAST - timedelta(days=1), reason="first load", progress=Progress())
    return place.root


@pytest.fixture
def copy(before_last: Path, tmp_path: Path) -> Place:
    shutil.copytree(before_last, tmp_path / "copy")
    return Place(tmp_path / "copy")


def test_levels_hardly_depend_on_where_the_steps_begin(spark: SparkSession, stepped: Place, copy: Place) -> None:
    assert Ledger.open(copy.settings().ledger_url).days("mart.customer_segments") == (
        LAST - timedelta(days=7),
        LAST - timedelta(days=1),
    )
    day = LAST - timedelta(days=1)
    assert levels(known_on(reader(spark, copy.settings()), day)) == levels(
        known_on(reader(spark, stepped.settings()), day)
    )


def test_an_edited_rule_moves_its_members_the_same_night(spark: SparkSession, copy: Place) -> None:
    rules = segment("recharged", "recharge_count >= 2") + segment("new", "true")
    # What is met by everybody excludes nobody; that the example is wrong only `clm rules check` says.
    (copy.root / "conf" / "segments" / "mine.toml").write_text(rules)
    run_night(copy.settings(), LAST, progress=Progress())
    moves = reader(spark, copy.settings()).read_day("mart.segment_transitions", LAST).where("kind = 'segment'")
    assert cells(moves, "customer_id", "name", "move", "cause") == [
        ("anna", "calm", "left", "rule_edit"),
        ("anna", "new", "entered", "rule_edit"),
        ("ben", "calm", "left", "rule_edit"),
        ("ben", "new", "entered", "rule_edit"),
        ("ben", "recharged", "left", "rule_edit"),
        ("cleo", "calm", "left", "rule_edit"),
        ("cleo", "new", "entered", "rule_edit"),
    ]


def test_of_many_customers_the_same_moves_are_told(
    spark: SparkSession, copy: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There only those are judged once more who are not what they were."""
    rules = segment("recharged", "recharge_count >= 2") + segment("new", "days_since_active < 2")
    (copy.root / "conf" / "segments" / "mine.toml").write_text(rules)
    run_night(copy.settings(), LAST, progress=Progress())
    of_few = digests(copy.settings(), LAST)
    assert of_few[f"mart.segment_transitions {LAST}"][0] > 0
    monkeypatch.setattr(night_judge, "MANY_CUSTOMERS", 0)
    for sent_to_all in (0, 10):
        monkeypatch.setattr(night_judge, "SENT_TO_ALL", sent_to_all)
        run_night(copy.settings(), LAST, stage="judge", progress=Progress())
        assert digests(copy.settings(), LAST) == of_few


class Broken:
    """An engine that answers by chance."""

    name, version, prefix, bands, reads = "risk", "2", "risk", ("low", "high"), ("mart.customer_profile",)

    def __init__(self, settings: Settings) -> None: ...

    def fit(self, frames: Any, through: date) -> None:
        return None

    def score(self, frames: Any, as_of: date) -> DataFrame:
        return frames["mart.customer_profile"].selectExpr(
            "customer_id",
            "cast(rand() * 1000 as bigint) as score",
            "'low' as band",
            "'{}' as values",
            "cast(array() as array<string>) as reasons",
        )


class Raising(Broken):
    """An engine that fails for every row."""

    def score(self, frames: Any, as_of: date) -> DataFrame:
        rows = super().score(frames, as_of)
        return rows.selectExpr("customer_id", "1 div (score - score) as score", "band", "values", "reasons")


class Misspelt(Broken):
    """An engine that cannot even begin."""

    def score(self, frames: Any, as_of: date) -> DataFrame:
        return frames["mart.custmer_profile"]


@pytest.mark.parametrize(
    "broken", [Broken, *(pytest.param(each, marks=pytest.mark.slow) for each in (Raising, Misspelt))]
)
def test_an_engine_that_breaks_its_word_stops_no_night(
    spark: SparkSession, copy: Place, monkeypatch: pytest.MonkeyPatch, broken: type
) -> None:
    settings = copy.settings()
    others = [each for each in engines(settings) if each.name != "risk"]
    monkeypatch.setattr("jobs.runner.engines", lambda settings: [*others, broken(settings)])
    run_night(settings, LAST, progress=Progress())
    lake = reader(spark, settings)
    assert cells(lake.read_day("mart.scores", LAST).select("engine").distinct()) == [("customer_score",)]
    # Its segment keeps the members of the night before, and says so.
    [told] = lake.read_day("mart.segment_status", LAST).where("name = 'calm'").collect()
    assert (told["state"], told["members"]) == ("failed", None)
    assert "risk" in told["why"]
    members = known_on(lake, LAST).where("array_contains(segments, 'calm')")
    assert cells(members, "customer_id") == [("anna",), ("ben",), ("cleo",)]
    if broken is not Broken:
        return
    # The next night that goes well takes it up again.
    monkeypatch.undo()
    run_night(settings, LAST, progress=Progress())
    [again] = lake.read_day("mart.segment_status", LAST).where("name = 'calm'").collect()
    assert (again["state"], again["members"]) == ("ok", 3)


def test_a_faulty_rule_stops_everything_before_it_begins(copy: Place) -> None:
    (copy.root / "conf" / "segments" / "bad.toml").write_text(segment("bad", "rand() > 0"))
    with pytest.raises(DataRefused, match=r"bad\.toml:2: bad: when has the function rand\(\)"):
        run_night(copy.settings(), LAST, progress=Progress())
    runs = Ledger.open(copy.settings().ledger_url).runs(LAST)
    assert runs == []


def test_a_first_step_may_not_leave_a_hole(copy: Place) -> None:
    with pytest.raises(Usage, match="is not one of the nights"):
        backfill(copy.settings(), FIRST, LAST, reason="again", step_from=FIRST - timedelta(days=1), progress=Progress())
    with pytest.raises(Usage, match="Levels are known since 2026-01-07"):
        backfill(copy.settings(), FIRST, LAST, reason="again", step_from=LAST, progress=Progress())


def test_nights_before_the_first_that_was_judged_have_no_levels(copy: Place) -> None:
    ledger = Ledger.open(copy.settings().ledger_url)
    before = ledger.days("mart.customer_segments")
    run_night(copy.settings(), FIRST, progress=Progress())
    assert ledger.days("mart.customer_segments") == before
    with pytest.raises(Usage, match="nights before it have none"):
        backfill(copy.settings(), FIRST, FIRST, reason="again", step_from=FIRST, progress=Progress())


def test_a_night_is_not_judged_without_its_profile(copy: Place) -> None:
    for stage in ("land", "conform"):
        run_night(copy.settings(), LAST, stage=stage, progress=Progress())
    with pytest.raises(Busy, match="run `clm run --date 2026-01-14 --stage know` first"):
        run_night(copy.settings(), LAST, stage="judge", progress=Progress())


# ---- people ask


def test_why_a_customer_is_where_she_is(spark: SparkSession, stepped: Place) -> None:
    settings = stepped.settings()
    found = engines(settings)
    book = compile_book(settings, score_columns(found))
    told = explain(reader(spark, settings), book, found, "anna", LAST)
    assert (told.level.name, told.level.since, told.level.before) == ("sender", date(2026, 1, 12), "postpaid")
    assert [(each.text, each.is_met, dict(each.values)) for each in told.level.conditions] == [
        ("transfer_count >= 1", True, {"transfer_count": 1}),
        ("days_since_active < 150", True, {"days_since_active": 2}),
    ]
    assert {each.name: each.is_in for each in told.segments} == {"calm": True, "recharged": True}
    assert [score.engine for score in told.scores] == ["customer_score", "risk"]
    with pytest.raises(Failed, match="does not know this customer"):
        explain(reader(spark, settings), book, found, "nobody", LAST)


def test_whom_a_segment_would_have(spark: SparkSession, stepped: Place) -> None:
    settings = stepped.settings()
    found = engines(settings)
    book = compile_book(settings, score_columns(found))
    rule = next(rule for rule in book.segments if rule.name == "recharged")
    told = preview(reader(spark, settings), book, found, rule, LAST)
    assert (told.customers, told.members, told.entering, told.leaving) == (3, 3, 1, 0)
    assert told.levels == {"recharge": 2, "sender": 1}
    assert told.overlap == {"calm": 3}
    assert {member["customer"] for member in told.sample} == {"•••"}
    early = preview(reader(spark, settings), book, found, rule, FIRST)
    assert (early.members, early.entering) == (1, None)
