"""Intervals: the published examples, nobody in a group, and how a half is rounded."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from pyspark.sql import Row, SparkSession

from jobs.frames import local_frame
from jobs.intervals import compared, three_rows

NAMES = ("zero", "one", "difference")
# r of n in group 0 and in group 1.
Groups = tuple[tuple[int, int], tuple[int, int]]


def rows(spark: SparkSession, examples: Iterable[Groups]) -> dict[tuple[Groups, str], Row]:
    """The row of each example and name."""
    counts = local_frame(spark, ((*zero, *one) for zero, one in examples), "r0 bigint, n0 bigint, r1 bigint, n1 bigint")
    told = three_rows(compared(counts), NAMES).collect()
    return {(((row["r0"], row["n0"]), (row["r1"], row["n1"])), row["grp"]): row for row in told}


def four(value: Decimal) -> str:
    return str(value.quantize(Decimal("0.0001")))


# Newcombe (1998), Statistics in Medicine 17:857-872, the score method.
WILSON = {
    (81, 263): ("0.2553", "0.3662"),
    (15, 148): ("0.0624", "0.1605"),
    (0, 20): ("0.0000", "0.1611"),
    (1, 29): ("0.0061", "0.1718"),
}


def test_a_group_has_its_wilson_interval(spark: SparkSession) -> None:
    other = (1, 2)
    told = rows(spark, [pair for group in WILSON for pair in ((group, other), (other, group))])
    for (r, n), ends in WILSON.items():
        for row in (told[((r, n), other), "zero"], told[(other, (r, n)), "one"]):
            assert (row["r"], row["n"], four(row["low"]), four(row["high"])) == (r, n, *ends)


# Newcombe (1998), Statistics in Medicine 17:873-890, method 10: group 0, group 1, interval of 1 less 0.
NEWCOMBE = {
    ((48, 80), (56, 70)): ("0.0524", "0.3339"),
    ((3, 10), (9, 10)): ("0.1705", "0.8090"),
    ((2, 7), (6, 7)): ("0.0582", "0.8062"),
    ((0, 29), (5, 56)): ("-0.0381", "0.1926"),
    ((0, 20), (0, 10)): ("-0.1611", "0.2775"),
    ((0, 10), (0, 10)): ("-0.2775", "0.2775"),
    ((0, 20), (10, 10)): ("0.6791", "1.0000"),
    ((0, 10), (10, 10)): ("0.6075", "1.0000"),
}


def test_a_difference_has_newcombes_interval(spark: SparkSession) -> None:
    told = rows(spark, NEWCOMBE)
    for groups, ends in NEWCOMBE.items():
        row = told[groups, "difference"]
        assert (four(row["low"]), four(row["high"])) == ends
        assert (row["n"], row["r"]) == (groups[0][1] + groups[1][1], None)


def test_without_customers_in_a_group_it_has_no_rate_and_there_is_no_difference(spark: SparkSession) -> None:
    nobody, somebody = (0, 0), (1, 2)
    told = rows(spark, [(nobody, somebody), (somebody, nobody), (nobody, nobody)])
    with_rate = {key for key, row in told.items() if (row["rate"], row["low"], row["high"]) != (None, None, None)}
    assert with_rate == {((nobody, somebody), "one"), ((somebody, nobody), "zero")}


def test_a_half_is_rounded_up(spark: SparkSession) -> None:
    examples = {
        ((1, 128), (1, 2)): ("0.007813", "0.492188"),  # 0.0078125 and 0.4921875
        ((25, 128), (3, 10)): ("0.195313", "0.104688"),  # 0.1046875, of which doubles have 0.10468749999999999
        ((13, 128), (1, 10)): ("0.101563", "-0.001563"),  # -0.0015625: a half goes away from 0
    }
    told = rows(spark, examples)
    for groups, (rate, difference) in examples.items():
        assert str(told[groups, "zero"]["rate"]) == rate
        assert str(told[groups, "difference"]["rate"]) == difference
