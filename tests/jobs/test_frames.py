"""The hash that digests, row hashes and keys are made of: what it is does not change, or all digests would."""

from __future__ import annotations

from itertools import product

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs.frames import FLAGS, hash_of


def as_declared(columns: list[str]) -> str:
    """Design §11: xxhash64 of the columns, and of a string of their null flags."""
    nulls = ", ".join(f"if({name} is null, '1', '0')" for name in columns)
    return f"xxhash64({', '.join(columns)}, concat({nulls}))"


@pytest.mark.parametrize("columns", [1, 2, 3, FLAGS - 1, FLAGS, FLAGS + 1, 2 * FLAGS, 2 * FLAGS + 5])
def test_it_is_the_hash_of_the_columns_and_of_their_null_flags(spark: SparkSession, columns: int) -> None:
    names = [f"c{number}" for number in range(columns)]
    cells = [f"if(id % {number + 2} = 0, null, id * {number + 1}) as {name}" for number, name in enumerate(names)]
    rows = spark.range(200).selectExpr(*cells)
    assert rows.where(~hash_of(names).eqNullSafe(F.expr(as_declared(names)))).count() == 0


def test_a_null_is_no_value_and_no_null_elsewhere(spark: SparkSession) -> None:
    rows = spark.createDataFrame(list(product(("a", "", None), repeat=2)), "x string, y string")
    assert rows.select(hash_of(["x", "y"]).alias("hash")).distinct().count() == 9
