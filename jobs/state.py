"""core.<feed>_state: the newest version of each thing, folded from the night before."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.frames import select_contract
from schemas.feeds import Feed
from schemas.table import Table


def transform(previous: DataFrame | None, versions: DataFrame, feed: Feed, table: Table, *, as_of: object) -> DataFrame:
    """One row is one thing in its newest version known on `as_of`: by updated_at, then row hash.

    `previous` is the state of an earlier day, `versions` all that came after it.
    """
    kept = [column.name for column in table.columns if column.name != "as_of_date"]
    rows = versions.select(*kept)
    if previous is not None:
        rows = rows.unionByName(previous.select(*kept))
    newest_first = Window.partitionBy(*feed.key).orderBy(F.col("updated_at").desc(), F.col("row_hash").desc())
    newest = rows.withColumn("place", F.row_number().over(newest_first)).where("place = 1")
    return select_contract(newest.withColumn("as_of_date", F.lit(as_of)), table)
