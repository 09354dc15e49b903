"""revocations_v1: which consents were withdrawn since the last night."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.lists import REVOCATIONS_V1


def transform(landed: DataFrame, *, at: str) -> DataFrame:
    """One row is one customer, purpose and channel that `landed` versions of consents took back; `at`: now, as SQL."""
    newest = landed.groupBy("customer_id", "purpose", "channel").agg(
        F.expr("max_by(struct(valid_from, valid_to, updated_at), struct(updated_at, row_hash)) as newest")
    )
    told = newest.where(f"newest.valid_to < {at}").selectExpr("*", "newest.updated_at as withdrawn_at")
    return told.selectExpr(*(f"cast({column.name} as {column.type}) as {column.name}" for column in REVOCATIONS_V1))
