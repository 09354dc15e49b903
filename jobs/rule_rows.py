"""What rules see of a customer on a night: facts, scores, stage, level and segments, each by its name."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engines.base import Engine
from jobs.rules import RuleColumn
from jobs.rules.columns import read
from jobs.segments import SCORE_TYPES

OF_NIGHT = ["as_of_date", "customer_id"]


def transform(
    profile: DataFrame,
    judged: DataFrame,
    scores: DataFrame | None,
    *,
    columns: Mapping[str, RuleColumn],
    names: Collection[str],
    engines: Sequence[Engine],
    also: Sequence[str] = (),
) -> DataFrame:
    """One row is one customer on one night, with those of `names` that `columns` make of the profile or of scores.

    `judged` are the mart.customer_segments of the same nights, `scores` None where there are none. `also`: columns of
    the profile as they are.
    """
    facts = {name for name in names if name in columns and columns[name].sql}
    told = profile.selectExpr(*OF_NIGHT, *(name for name in also if name not in facts), *read(columns, facts))
    rows = told.join(judged.select(*OF_NIGHT, "lifecycle", "level", "segments"), OF_NIGHT, "left")
    for engine in engines:
        own = [what for what in SCORE_TYPES if f"{engine.prefix}_{what}" in names]
        if scores is None:
            nothing = (f"cast(null as {SCORE_TYPES[what]}) as {engine.prefix}_{what}" for what in own)
            rows = rows.selectExpr("*", *nothing)
        elif own:
            of_engine = scores.where(F.col("engine") == F.lit(engine.name))
            named = (f"{what} as {engine.prefix}_{what}" for what in own)
            rows = rows.join(of_engine.selectExpr(*OF_NIGHT, *named), OF_NIGHT, "left")
    return rows
