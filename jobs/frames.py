"""Frame functions that several jobs share; at most five.

Wide expressions are given as SQL: one call into the JVM in place of one for each column and operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from schemas.table import Table

# So many columns have their null flags in one number.
FLAGS = 60


def hash_of(columns: Sequence[str]) -> Column:
    """A 64-bit hash of the columns, in which null differs from every value and from a null elsewhere."""
    quoted = [f"`{name}`" for name in columns]
    # A digit for each column, written as a number in twos: a text for each would cost more than all the hashing.
    words = [quoted[start : start + FLAGS] for start in range(0, len(quoted), FLAGS)]
    nulls = ", ".join(_null_flags(word) for word in words)
    return F.expr(f"xxhash64({', '.join(quoted)}, {f'concat({nulls})' if len(words) > 1 else nulls})")


def _null_flags(columns: Sequence[str]) -> str:
    """A text with 1 for each column that is null and 0 for each other, as SQL. A leading 1 is cut off again."""
    bits = [f"if({name} is null, {1 << place}L, 0L)" for place, name in enumerate(reversed(columns))]
    return f"substr(bin({1 << len(columns)}L + {' + '.join(bits)}), 2)"


def select_contract(frame: DataFrame, table: Table) -> DataFrame:
    """The frame's columns in the table's order and types: the select that a transform ends in."""
    return frame.selectExpr(*(f"cast(`{column.name}` as {column.type}) as `{column.name}`" for column in table.columns))


def java_class(spark: SparkSession, name: str) -> Any:
    """A class of the JVM by its whole name: asked for part by part, Java looks through all its jars for each part."""
    return getattr(spark._jvm, name)


def local_frame(spark: SparkSession, rows: Iterable[Sequence[Any]], columns_of: str | StructType) -> DataFrame:
    """A small frame of rows that are at hand, in these columns: DDL or a schema.

    By way of Arrow it is a local relation; from plain lists Spark would start Python workers.
    """
    schema = StructType.fromDDL(columns_of) if isinstance(columns_of, str) else columns_of
    assert isinstance(schema, StructType)
    columns = list(zip(*rows, strict=True)) or [()] * len(schema)
    arrow = to_arrow_schema(schema, timezone="UTC")
    table = pa.Table.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, arrow, strict=True)], schema=arrow
    )
    return spark.createDataFrame(table, schema)  # pyright: ignore[reportCallIssue, reportArgumentType]
