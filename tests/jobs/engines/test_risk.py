"""The risk engine: written-out customers, the examples of conf/risk.toml, and what its version is of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import conf
from conf import Risk, RiskSettings, Settings
from jobs.engines.base import Engine
from jobs.engines.risk import RiskEngine
from jobs.errors import DataRefused
from jobs.frames import local_frame
from jobs.rules import Type
from jobs.rules.book import compile_risks
from jobs.rules.columns import facts
from schemas.mart import CUSTOMER_PROFILE
from tests.jobs.rows import NIGHT, Row, table_frame

SETTINGS = conf.load(environ={})
SHIPPED = {risk.name: risk for risk in SETTINGS.risk.risk}
REVERSALS: Row = {"reversed_count": 3, "transacting_count": 30}


def risk(name: str, when: str, points: int = 100) -> Risk:
    return Risk(name=name, about="Made up.", points=points, when=when)


def of(*risks: Risk, bands: Mapping[str, int] | None = None) -> Settings:
    own = RiskSettings(bands=dict(bands or SETTINGS.risk.bands), risk=risks)
    return SETTINGS.model_copy(update={"risk": own})


def profile(spark: SparkSession, *rows: Row) -> DataFrame:
    return table_frame(spark, CUSTOMER_PROFILE, rows, {"as_of_date": NIGHT, "customer_id": "anna"})


def scored(frame: DataFrame, settings: Settings = SETTINGS) -> dict[str, Any]:
    """What is said of each customer."""
    engine: Engine = RiskEngine(settings)
    rows = engine.score({CUSTOMER_PROFILE.name: frame}, NIGHT).collect()
    assert len(rows) == len({row["customer_id"] for row in rows})
    return {row["customer_id"]: (row["score"], row["band"], row["values"], row["reasons"]) for row in rows}


def score_of(spark: SparkSession, row: Row, settings: Settings = SETTINGS) -> Any:
    return scored(profile(spark, row), settings)["anna"]


# ---- written out


def test_who_meets_no_rule_is_scored_too(spark: SparkSession) -> None:
    assert score_of(spark, {}) == (0, "low", "{}", [])


def test_points_band_and_the_facts_of_the_rule_that_is_met(spark: SparkSession) -> None:
    # 300 points are the first of the band medium. Facts of the other rules are not told.
    told = score_of(spark, {**REVERSALS, "failed_count": 4})
    assert told == (300, "medium", '{"reversed_count":3,"transacting_count":30}', ["many_reversals"])


def test_points_add_up_and_reasons_are_in_the_order_of_conf(spark: SparkSession) -> None:
    row = {"reversed_count": 3, "transacting_count": 5, "failed_count": 6}
    score, band, values, reasons = score_of(spark, row)
    assert (score, band, reasons) == (500, "medium", ["many_reversals", "many_failures"])
    assert values == '{"failed_count":6,"reversed_count":3,"transacting_count":5}'  # each fact once, sorted


def test_the_score_ends_at_1000(spark: SparkSession) -> None:
    everything = {
        "first_date": NIGHT,
        "reversed_count": 3,
        "failed_count": 6,
        "transacting_count": 5,
        "transacting_amount_minor": 1000,
        "transfer_count": 5,
        "transfer_amount_minor": 1000,
        "largest_transfer_minor": 600,
        "received_count": 5,
        "received_amount_minor": 1000,
        "foreground_event_count": 50,
        "night_event_count": 26,
    }
    score, band, _, reasons = score_of(spark, everything)
    assert sum(risk.points for risk in SETTINGS.risk.risk) > 1000
    assert (score, band, reasons) == (1000, "high", list(SHIPPED))


def test_days_are_counted_from_the_night_of_the_profile(spark: SparkSession) -> None:
    large = {"transacting_count": 3, "largest_transfer_minor": 50, "transacting_amount_minor": 100}
    young, old = NIGHT - timedelta(days=30), NIGHT - timedelta(days=31)
    found = scored(
        profile(
            spark,
            {**large, "customer_id": "anna", "first_date": young},
            {**large, "customer_id": "bela", "first_date": old},
        )
    )
    assert (found["anna"][3], found["bela"][3]) == (["young_and_large"], [])
    assert json.loads(found["anna"][2])["days_since_first"] == 30


def test_a_fact_that_is_not_there_is_told_as_null_and_a_text_as_json(spark: SparkSession) -> None:
    settings = of(risk("never_active", "days_since_first is null"), risk("a_redmi", "device_model like 'Redmi%'"))
    awkward = 'Redmi "}{" \\'
    score, _, values, reasons = score_of(spark, {"device_model": awkward}, settings)
    assert (score, reasons) == (200, ["never_active", "a_redmi"])
    assert values.startswith('{"days_since_first":null,"device_model":"Redmi')
    assert json.loads(values) == {"days_since_first": None, "device_model": awkward}


@pytest.mark.parametrize(("points", "band"), [(299, "calm"), (300, "odd"), (599, "odd"), (600, "alarming")])
def test_bands_begin_at_their_score_in_whatever_order_conf_names_them(
    spark: SparkSession, points: int, band: str
) -> None:
    settings = of(risk("everybody", "true", points), bands={"alarming": 600, "calm": 0, "odd": 300})
    assert RiskEngine(settings).bands == ("calm", "odd", "alarming")
    assert score_of(spark, {}, settings)[:3] == (points, band, "{}")


# ---- properties


def some_customers(seed: int) -> list[Row]:
    chance = Random(seed)
    names = ("reversed_count", "failed_count", "transacting_count", "foreground_event_count", "night_event_count")
    return [
        {"customer_id": f"c{n}"} | {name: chance.choice((None, 2, 3, 4, 50, 60)) for name in names} for n in range(60)
    ]


def test_neither_order_nor_partitions_nor_other_customers_matter(spark: SparkSession) -> None:
    rows = some_customers(7)
    whole = scored(profile(spark, *rows))
    assert len({told[0] for told in whole.values()}) > 3
    assert scored(profile(spark, *Random(8).sample(rows, len(rows))).repartition(5)) == whole
    half = rows[::2]
    assert scored(profile(spark, *half)) == {str(row["customer_id"]): whole[str(row["customer_id"])] for row in half}


# ---- the examples of conf


def test_every_example_of_conf_meets_its_rule_or_does_not(spark: SparkSession) -> None:
    """A row is a customer of whom nothing but the example is known: counts and sums are 0, the rest is null."""
    faults: list[str] = []
    rules = compile_risks(SETTINGS, faults)
    assert faults == []
    known = facts(zone=SETTINGS.lake.zone)
    names = sorted({name for rule in rules for name in rule.predicate.columns})
    assert {known[name].type for name in names} <= {Type.NUMBER, Type.MONEY}
    nothing = {name: None if known[name].is_nullable else 0 for name in names}
    examples = [
        (rule.name, key, example)
        for rule in rules
        for key in ("matches", "excludes")
        for example in getattr(SHIPPED[rule.name], key)
    ]
    rows = [tuple((nothing | example)[name] for name in names) for _, _, example in examples]
    frame = local_frame(spark, rows, ", ".join(f"{name} bigint" for name in names))
    met = frame.selectExpr(*(f"{rule.predicate.spark} as {rule.name}" for rule in rules)).collect()
    wrong = [case for case, row in zip(examples, met, strict=True) if row[case[0]] is not (case[1] == "matches")]
    assert wrong == []
    assert {(name, key) for name, key, _ in examples} == {
        (name, key) for name in SHIPPED for key in ("matches", "excludes")
    }


# ---- made of settings


def test_the_version_is_of_what_is_decided_and_of_nothing_else() -> None:
    first, second = risk("one", "failed_count > 3"), risk("two", "failed_count > 5")
    version = RiskEngine(of(first, second)).version
    assert len(version) == 12
    assert int(version, 16) >= 0
    same = (first.model_copy(update={"about": "In other words.", "when": " failed_count  >  3 "}), second)
    assert RiskEngine(of(*same)).version == version
    changed = [
        of(second, first),  # the order of the reasons
        of(risk("other", "failed_count > 3"), second),
        of(risk("one", "failed_count >= 3"), second),
        of(risk("one", "failed_count > 3", points=101), second),
        of(first, second, bands={"low": 0, "medium": 301, "high": 600}),
        of(first, second, bands={"low": 0, "middle": 300, "high": 600}),
    ]
    versions = [RiskEngine(settings).version for settings in changed]
    assert len({version, *versions}) == 1 + len(changed)


def test_every_faulty_rule_is_named() -> None:
    # Not by the engine itself when it is made: then no other rule of the lake would be named with them.
    engine = RiskEngine(of(risk("one", "no_such_column > 3"), risk("two", "risk_score > 3"), risk("two", "true")))
    with pytest.raises(DataRefused) as refused:
        engine.score({}, NIGHT)
    told = str(refused.value)
    assert "no_such_column" in told
    assert "risk_score" in told
    assert "the name is taken" in told
