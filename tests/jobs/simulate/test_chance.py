"""Draws are even, independent of each other, and fall by their weights."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.simulate.chance import Chance, normal, one_of

DRAW = Chance(7, ("number",))
ROWS = 20_000


def test_draws_are_even_and_purposes_and_seeds_are_independent(spark: SparkSession) -> None:
    one = F.expr(DRAW.draw("one"))
    row = (
        spark.range(ROWS)
        .withColumnRenamed("id", "number")
        .agg(
            F.avg(one).alias("mean"),
            F.min(one).alias("least"),
            F.max(one).alias("most"),
            F.corr(one, F.expr(DRAW.draw("other"))).alias("purposes"),
            F.corr(one, F.expr(Chance(8, ("number",)).draw("one"))).alias("seeds"),
            F.corr(one, F.expr(DRAW.draw("one"))).alias("itself"),
        )
        .first()
    )
    assert row is not None
    assert row["mean"] == pytest.approx(0.5, abs=0.01)
    assert 0 < row["least"] < 0.001
    assert 0.999 < row["most"] < 1
    assert abs(row["purposes"]) < 0.03
    assert abs(row["seeds"]) < 0.03
    assert row["itself"] == pytest.approx(1)


def test_normal_exponential_and_whole_have_their_moments(spark: SparkSession) -> None:
    spread, whole = F.expr(normal(DRAW.draw("normal"))), F.expr(DRAW.number("whole", 3, 5))
    row = (
        spark.range(ROWS)
        .withColumnRenamed("id", "number")
        .agg(
            F.avg(spread).alias("mean"),
            F.stddev(spread).alias("deviation"),
            F.avg(F.expr(DRAW.wait("exponential"))).alias("waiting"),
            F.sort_array(F.collect_set(whole)).alias("numbers"),
        )
        .first()
    )
    assert row is not None
    assert row["mean"] == pytest.approx(0, abs=0.03)
    assert row["deviation"] == pytest.approx(1, abs=0.03)
    assert row["waiting"] == pytest.approx(1, abs=0.03)
    assert row["numbers"] == [3, 4, 5]


def test_names_are_chosen_by_weight(spark: SparkSession) -> None:
    drawn = spark.range(ROWS).withColumnRenamed("id", "number")
    named = (
        drawn.groupBy(F.expr(DRAW.one_of("name", {"a": 0.7, "never": 0.0, "b": 0.3})).alias("name")).count().collect()
    )
    shares = {row["name"]: row["count"] / ROWS for row in named}
    assert shares == {"a": pytest.approx(0.7, abs=0.015), "b": pytest.approx(0.3, abs=0.015)}


def test_weights_may_differ_from_row_to_row(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [
            (0.6, 0.0, "b"),  # a weighs nothing here
            (0.6, 2.0, "a"),  # a weighs two of three
            (0.7, 2.0, "b"),  # drawn above two thirds
        ],
        "draw double, a double, expected string",
    )
    assert rows.filter(F.expr(one_of("draw", {"a": "a", "b": "1.0"})) != F.col("expected")).collect() == []


def test_a_single_name_is_always_chosen(spark: SparkSession) -> None:
    row = (
        spark.range(1)
        .withColumnRenamed("id", "number")
        .select(F.expr(DRAW.one_of("name", {"upi": 1})).alias("name"))
        .first()
    )
    assert row is not None
    assert row["name"] == "upi"
