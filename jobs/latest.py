"""core.transactions_latest: where each transaction stands; computed when it is read."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.frames import select_contract
from schemas.core import TRANSACTIONS_LATEST

# A later word of the same moment is the one further on in a payment's life.
RANKED = ("pending", "failed", "success", "reversed")


def transform(transactions: DataFrame, known_on: date) -> DataFrame:
    """One row is one transaction: its posting with the greatest (updated_at, rank of its status)."""
    rank = F.array_position(F.array(*(F.lit(status) for status in RANKED)), F.col("status"))
    newest_first = Window.partitionBy("transaction_id").orderBy(F.desc("updated_at"), rank.desc())
    newest = transactions.withColumn("place", F.row_number().over(newest_first)).where("place = 1")
    return select_contract(newest.withColumn("as_of_date", F.lit(known_on)), TRANSACTIONS_LATEST)
