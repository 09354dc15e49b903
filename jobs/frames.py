"""Frame functions that several jobs share; at most five."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.table import Table


def hash_of(columns: Sequence[str]) -> Column:
    """A 64-bit hash of the columns, in which null differs from every value and from a null elsewhere."""
    nulls = F.concat(*(F.when(F.col(name).isNull(), F.lit("1")).otherwise(F.lit("0")) for name in columns))
    return F.xxhash64(*(F.col(name) for name in columns), nulls)


def select_contract(frame: DataFrame, table: Table) -> DataFrame:
    """The frame's columns in the table's order and types: the select that a transform ends in."""
    return frame.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in table.columns))
