"""Frame functions that several jobs share; at most five."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from schemas.table import Table


def hash_of(columns: Sequence[str]) -> Column:
    """A 64-bit hash of the columns, in which null differs from every value and from a null elsewhere."""
    nulls = F.concat(*(F.when(F.col(name).isNull(), F.lit("1")).otherwise(F.lit("0")) for name in columns))
    return F.xxhash64(*(F.col(name) for name in columns), nulls)


def select_contract(frame: DataFrame, table: Table) -> DataFrame:
    """The frame's columns in the table's order and types: the select that a transform ends in."""
    return frame.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in table.columns))


def local_frame(spark: SparkSession, rows: Iterable[Sequence[Any]], ddl: str) -> DataFrame:
    """A small frame of rows that are at hand, in the columns of `ddl`.

    By way of Arrow it is a local relation; from plain lists Spark would start Python workers.
    """
    schema = StructType.fromDDL(ddl)
    assert isinstance(schema, StructType)
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrow = to_arrow_schema(schema, timezone="UTC")
    table = pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, arrow, strict=True)], schema=arrow
    )
    return spark.createDataFrame(table, schema)  # pyright: ignore[reportCallIssue, reportArgumentType]
