"""All rules checked together: every faulty one is named, by file and line, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

import conf
from conf import LevelSettings, Segment, Settings
from jobs.engines.base import engines, score_columns
from jobs.errors import DataRefused
from jobs.rules.book import RuleBook, compile_book
from jobs.rules.examples import failures

SHIPPED = conf.load(environ={})
SCORES = score_columns(engines(SHIPPED))


def settings_of(*rules: dict[str, Any], levels: LevelSettings | None = None) -> Settings:
    common = {"about": "Made up.", "owner": "tests", "matches": ({},), "excludes": ({},)}
    segments = tuple(Segment.model_validate({"name": f"rule_{n}", **common, **rule}) for n, rule in enumerate(rules))
    for number, segment in enumerate(segments):
        segment.at(f"own/segments/mine.toml:{10 * number + 1}")
    return SHIPPED.model_copy(update={"segments": segments, "triggers": (), "levels": levels or SHIPPED.levels})


def book_of(*rules: dict[str, Any]) -> RuleBook:
    return compile_book(settings_of(*rules), SCORES)


# What may not stand in a rule, and how it is refused by name.
BAD = {
    "recharge_count > (select max(1) from range(9))": "the function max()",
    "recharge_count in (select 1)": "a subquery",
    "exists (select 1)": "the function exists()",
    "reflect('java.lang.System', 'exit', 0) is null": "the function reflect()",
    "java_method('java.lang.System', 'exit', 0) is null": "the function java_method()",
    "text.`/etc/hostname` is null": "the path text.`/etc/hostname`",
    "`/etc/hostname` = 'x'": "in backticks",
    "rand() < 0.5": "the function rand()",
    "uuid() = 'x'": "the function uuid()",
    "current_date > date '2026-01-01'": "CURRENT_DATE",
    "first_product rlike 'a.*b'": "a regular expression",
    "regexp_like(first_product, 'a')": "the function regexp_like()",
    "recharge_count > 1 -- more": "a comment",
    "recharge_count /* paid */ > 1": "a comment",
    "recharge_cuont > 1": "there is no such column; did you mean recharge_count?",
    "recharge_count": "is a number and should be a condition",
    "recharge_count + 1": "is a number and should be a condition",
    "level": "is a text and should be a condition",
    "recharge_count > 'many'": "a number meets a text",
    "recharge_amount_minor > 5000": "write money as inr(5000)",
    "recharge_amount_minor > inr(recharge_count)": "inr() without one amount",
    "days_since_first = date '2026-01-01'": "a number meets a date",
    "in_segment('sender')": "no rule refers to a rule of its own layer",
    "array_contains(segments, 'sender')": "segments, which is decided in this layer",
    "level = 'premum'": "did you mean premium?",
    "not (days_since_upi < 90)": "says nothing of rows without days_since_upi",
    "days_since_upi <> 5": "says nothing of rows without days_since_upi",
    "first_product not in ('recharge')": "says nothing of rows without first_product",
    "transform(risk_reasons, x -> x) is null": "the function transform()",
    "sum(recharge_count) over () > 1": "the function sum()",
    "recharge_count > 1; drop table x": "should be one condition",
    "recharge_count > 1 and": "is not a condition",
    "case when recharge_count > 1 then 1 else 'x' end = 1": "a number meets a text",
    "first_product = null": "null is asked for by is null",
    "recharge_count > 99999999999999999999": "numbers of at most 15 digits",
    "first_product like 'a' escape '!'": "not in the language",
    "recharge_count between symmetric 9 and 1": "symmetric",
    "recharge_count in ()": "at least one value",
    "first_product = '${env:HOME}'": "a backslash, ${ or a character that does not show",
    "first_product = '\u202eabc'": "a character that does not show",
    "date '2026-W05-6' is null": "write it as date '2026-01-31'",
    "abs(" * 14 + "recharge_count" + ")" * 14 + " = 1" + " + 1" * 99: "is nested too deeply",
    "recharge_count" + " + 1" * 60 + " = 1": "is nested too deeply",
    "not " * 190 + "true": "is nested too deeply",
    "- " * 100 + "recharge_count = 1": "is nested too deeply",
    "(" * 60 + "true" + ")" * 60: "is nested too deeply",
    "case coalesce(recharge_count, 1) when 1 then true else false end": "after case stands a column",
    "cast(recharge_count as string) = '1'": "the function cast()",
    "recharge_count::string = '1'": "not in the language",
    "recharge_count in (" + "1," * 250 + "1)": "more than 400 words",
    "true or " + "'" + "x" * 2000 + "' = 'x'": "longer than 2000 characters",
}


def test_every_bad_rule_is_named_in_one_go() -> None:
    with pytest.raises(DataRefused) as refused:
        compile_book(settings_of(*({"when": when} for when in BAD)), SCORES)
    said = str(refused.value).splitlines()
    assert len(said) == len(BAD)
    for number, (line, expected) in enumerate(zip(said, BAD.values(), strict=True)):
        assert line.startswith(f"own/segments/mine.toml:{10 * number + 1}: rule_{number}: when ")
        assert expected in line
    assert refused.value.exit_code == 3


def test_a_name_that_is_used_twice_is_refused_with_both_places() -> None:
    with pytest.raises(DataRefused) as refused:
        book_of({"name": "lively", "when": "true"}, {"name": "lively", "when": "rand() > 0"})
    assert "own/segments/mine.toml:11: segment lively: the name is taken in own/segments/mine.toml:1" in str(
        refused.value
    )
    # And the other fault of the same rule as well.
    assert "the function rand()" in str(refused.value)


def test_a_rule_needs_examples_both_ways() -> None:
    with pytest.raises(DataRefused) as refused:
        book_of({"when": "true", "matches": (), "excludes": ()})
    assert "matches is empty" in str(refused.value)
    assert "excludes is empty" in str(refused.value)


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"recharge_cuont": 1}, "there is no column recharge_cuont; did you mean recharge_count?"),
        ({"recharge_count": "one"}, "recharge_count is a number, not 'one'"),
        ({"recharge_count": 1.5}, "recharge_count is a number, not 1.5"),
        ({"recharge_count": True}, "recharge_count is a number, not True"),
        ({"level": 3}, "level is a text, not 3"),
        ({"level": "sendr"}, "level is never 'sendr'; did you mean sender?"),
        ({"recharge_count": 10**30}, "recharge_count is a number of at most 18 digits"),
    ],
)
def test_examples_are_of_the_columns_and_their_types(example: dict[str, Any], said: str) -> None:
    with pytest.raises(DataRefused) as refused:
        book_of({"when": "true", "matches": ({}, example)})
    assert f"rule_0: matches 2: {said}" in str(refused.value)


# ---- levels


def levels_of(**changes: Any) -> LevelSettings:
    """The shipped ladder with the recharge level changed."""
    rungs = [rung.model_dump() for rung in SHIPPED.levels.level]
    rungs[1] |= changes
    stages = [stage.model_dump() for stage in SHIPPED.levels.lifecycle]
    return LevelSettings.model_validate({"lifecycle": tuple(stages), "level": tuple(rungs)})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"enter": "recharge_days_28 > 0"}, "recharge: enter reads recharge_days_28, which may fall again"),
        ({"enter": "recharge_count < 3"}, "recharge: enter may be left again"),
        ({"enter": "recharge_count % 2 = 1"}, "recharge: enter may be left again"),
        ({"enter": "recharge_count >= transfer_count"}, "recharge: enter may be left again"),
        ({"enter": "level = 'sender'"}, "recharge: enter reads level, which is decided in this layer"),
        ({"stay": "lifecycle <> 'churned'"}, "recharge: stay reads lifecycle, which is decided in this layer"),
        ({"name": "premium"}, "level premium: the name is taken"),
    ],
)
def test_what_a_level_may_not_do(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataRefused) as refused:
        compile_book(settings_of(levels=levels_of(**changes)), SCORES)
    assert said in str(refused.value)


def test_the_lowest_level_and_the_last_stage_take_whoever_is_left() -> None:
    own = LevelSettings.model_validate(
        {
            "lifecycle": ({"name": "lively", "about": "x", "when": "active_days > 0"},),
            "level": ({"name": "low", "about": "x", "enter": "active_days > 0", "stay": "true"},),
        }
    )
    with pytest.raises(DataRefused) as refused:
        compile_book(settings_of(levels=own), SCORES)
    assert "lively: the last stage takes whoever is left" in str(refused.value)
    assert "low: the lowest level holds whoever is left" in str(refused.value)


# ---- versions


def test_a_version_is_of_what_the_rule_says_not_of_how_it_is_written() -> None:
    first = book_of({"name": "a", "when": "recharge_count>=1 AND level='sender'"}).versions["segment", "a"]
    again = book_of({"name": "a", "when": "recharge_count >= 1\n  and level = 'sender'"}).versions["segment", "a"]
    other = book_of({"name": "a", "when": "recharge_count >= 2 and level = 'sender'"}).versions["segment", "a"]
    assert first == again != other
    assert len(first) == 12


# ---- examples


def test_the_shipped_rules_answer_their_examples(spark: SparkSession) -> None:
    assert failures(spark, SHIPPED, compile_book(SHIPPED, SCORES)) == []


def test_an_example_that_is_answered_otherwise_is_named(spark: SparkSession) -> None:
    settings = settings_of(
        {"when": "recharge_count >= 3", "matches": ({"recharge_count": 3}, {"recharge_count": 2})},
        {"when": "level = 'premium'", "matches": ({"level": "premium"},), "excludes": ({"level": "premium"},)},
        levels=levels_of(matches=({"transfer_count": 1, "days_since_active": 3},)),
    )
    told = failures(spark, settings, compile_book(settings, SCORES))
    assert [line.split(": ", 1)[1] for line in told] == [
        "recharge: matches 1: { transfer_count = 1, days_since_active = 3 } should be met, and is not.",
        "rule_0: matches 2: { recharge_count = 2 } should be met, and is not.",
        "rule_1: excludes 1: { level = 'premium' } should not be met, and is.",
    ]


def test_bad_rules_take_no_time() -> None:
    with pytest.raises(DataRefused):
        book_of({"when": "abs(" * 20 + "recharge_count" + ")" * 20 + " = 1 and rand() > 0"})
    book = book_of({"when": "abs(" * 10 + "recharge_count" + ")" * 10 + " = 1"})
    assert len(book.segments[0].predicate.spark) < 2000


def test_a_bad_risk_and_a_bad_segment_are_named_together() -> None:
    risks = SHIPPED.risk.model_copy(
        update={"risk": (SHIPPED.risk.risk[0].model_copy(update={"when": "rand() > 0"}), *SHIPPED.risk.risk[1:])}
    )
    settings = settings_of({"when": "uuid() = 'x'"}).model_copy(update={"risk": risks})
    with pytest.raises(DataRefused) as refused:
        compile_book(settings, score_columns(engines(settings)))
    assert "rand()" in str(refused.value)
    assert "uuid()" in str(refused.value)


def test_a_text_is_never_replaced_by_what_the_environment_holds(spark: SparkSession) -> None:
    # The check refuses such a text; and were it let through, Spark would take it as it stands.
    [row] = spark.sql("select '${env:PATH}' as told").collect()
    assert row["told"] == "${env:PATH}"
