"""What customers have consented to, from versions of their consents: the newest counts, and it fails closed."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

OF_NIGHT = ("as_of_date", "customer_id")


def given(asked: DataFrame, versions: DataFrame, *, at: str) -> DataFrame:
    """One row is one customer of one night of `asked`, with what is consented to then: "purpose/channel".

    A night (as_of_date) goes by the versions that were learnt until it; `at` is the moment, as SQL over the night.
    """
    learnt = versions.withColumnRenamed("as_of_date", "learnt")
    newest = (
        asked.join(learnt, "customer_id")
        .where("learnt <= as_of_date")
        .groupBy(*OF_NIGHT, "purpose", "channel")
        .agg(F.expr("max_by(struct(valid_from, valid_to), struct(updated_at, row_hash)) as newest"))
    )
    holds = newest.where(f"newest.valid_from < {at} and coalesce(newest.valid_to >= {at}, true)")
    keys = holds.selectExpr(*OF_NIGHT, "concat(purpose, '/', channel) as key")
    return keys.groupBy(*OF_NIGHT).agg(F.collect_set("key").alias("consented"))
