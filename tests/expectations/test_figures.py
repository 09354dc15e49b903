from __future__ import annotations

from decimal import Decimal

import pytest
from pyspark.sql import functions as F

from expectations import business, derived
from expectations.figures import (
    ROWS,
    Expectation,
    Figure,
    NoRow,
    Suite,
    gather_sql,
    literal,
    nothing_gathered,
    suite_of,
)
from schemas import CATALOGUE

LIMITS = {"payments": Decimal("0.05")}


def all_suites(name: str) -> list[Suite]:
    return [
        derived.suite(CATALOGUE[name], may_be_empty=False),
        *business.suites(name, zone="Asia/Kolkata", currency="INR", close_after=7, limits=LIMITS),
    ]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_day_without_rows_has_figures_of_zero(spark, name):
    """What the caller puts in for a day that the grouped aggregate does not return is what Spark would say."""
    suites = all_suites(name)
    empty = spark.createDataFrame([], CATALOGUE[name].ddl(nullable=True))
    told = empty.agg(*(F.expr(sql) for sql in gather_sql(suites))).collect()[0].asDict()
    assert told == nothing_gathered(suites)


@pytest.mark.parametrize("text", ["it's", "back\\slash", "both\\'", 'double"'])
def test_a_literal_comes_back_as_it_went_in(spark, text):
    assert spark.range(1).select(F.expr(literal(text))).collect()[0][0] == text


def test_two_suites_gather_a_shared_figure_once_and_what_is_filled_in_not_at_all():
    shared = Figure("negative", "count_if(amount < 0)")
    filled_in = Figure("from_elsewhere", None)
    one = Suite("one", "core.t", (shared, filled_in), ())
    two = Suite("two", "core.t", (ROWS, shared), ())
    assert gather_sql([one, two]) == ["count(*) as `rows`", "count_if(amount < 0) as `negative`"]


def test_one_name_for_two_figures_is_refused():
    suites = [Suite(name, "core.t", (Figure("bad", f"count_if({name})"),), ()) for name in ("a", "b")]
    with pytest.raises(ValueError, match="bad means two things"):
        gather_sql(suites)


def test_one_aggregate_is_over_one_table():
    with pytest.raises(ValueError, match="one table"):
        gather_sql([Suite("s", "core.t", (), ()), Suite("s", "core.u", (), ())])


def test_an_expectation_that_could_not_fail_is_refused():
    with pytest.raises(ValueError, match="could not fail"):
        Expectation("anything_goes", "rows", "anything goes")


def test_bounds_and_an_equal_are_two_expectations():
    with pytest.raises(ValueError, match="make two of it"):
        Expectation("both", "rows", "both", minimum=1, equals="other")


def test_an_expectation_of_an_unknown_figure_is_refused():
    with pytest.raises(ValueError, match="has no figure rwos"):
        Suite("s", "core.t", (ROWS,), (Expectation("not_empty", "rwos", "the day has rows", minimum=1),))


def test_two_expectations_of_one_name_are_refused():
    rule = NoRow("early", "event_date > as_of_date", "waits")
    with pytest.raises(ValueError, match="declares early more than once"):
        suite_of("s", "core.t", (rule, rule))


def test_expectations_of_one_day_join_the_suite_and_none_is_skipped():
    suite = Suite("s", "core.t", (ROWS,), ())
    volume = Expectation("volume", "rows", "usual", minimum=1)
    assert suite.expecting(None, volume).expectations == (volume,)
