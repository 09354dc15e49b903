"""core.<feed>_state: the newest version of each thing, folded from the night before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.frames import select_contract
from schemas.table import PARTITION, Table


def transform(previous: DataFrame | None, versions: DataFrame, table: Table, *, days: Sequence[date]) -> DataFrame:
    """One row is one thing in its newest version known on one of `days`: by updated_at, then row hash.

    `previous` is the state of a day before them, `versions` all that came after it. One shuffle for all days.
    """
    rows = versions.select(*table.column_names)
    if previous is not None:
        rows = rows.unionByName(previous.select(*table.column_names))
    known_on = F.filter(F.array(*(F.lit(day) for day in days)), lambda day: day >= F.col(PARTITION))
    rows = rows.withColumn(PARTITION, F.explode(known_on))
    newest_first = Window.partitionBy(*table.key, PARTITION).orderBy(F.desc("updated_at"), F.desc("row_hash"))
    newest = rows.withColumn("place", F.row_number().over(newest_first)).where("place = 1")
    return select_contract(newest, table)
