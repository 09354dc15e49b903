"""Who was what on any date: from the nearest snapshot that is kept and the moves since it."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.frames import local_frame, select_contract
from jobs.lake import Lake
from schemas.judgement import CUSTOMER_SEGMENTS, SEGMENT_TRANSITIONS


def known_on(lake: Lake, day: date) -> DataFrame:
    """How every customer was judged on the night of `day`, whether its snapshot is kept or not."""
    nearest = max(lake.ledger.kept_days(CUSTOMER_SEGMENTS.name, date.min, day), default=None)
    snapshot = lake.read_day(CUSTOMER_SEGMENTS.name, nearest) if nearest else None
    if snapshot is not None and nearest == day:
        return snapshot
    since = nearest + timedelta(days=1) if nearest else None
    return transform(snapshot, lake.read(SEGMENT_TRANSITIONS.name, known_on=day, since=since), as_of=day)


def transform(snapshot: DataFrame | None, transitions: DataFrame, *, as_of: date) -> DataFrame:
    """One row is one customer as judged on `as_of`, as in mart.customer_segments of that night.

    `transitions` are all moves after the snapshot up to `as_of`; without one, all there are: the first night that was
    stepped wrote down everybody.
    """
    spark = transitions.sparkSession
    held = snapshot if snapshot is not None else local_frame(spark, [], CUSTOMER_SEGMENTS.ddl(nullable=True))
    moves = transitions.where("kind <> 'score_band'").selectExpr(
        "customer_id", "as_of_date", "kind", "if(kind = 'segment', name, to_value) as value", "move <> 'left' as is_in"
    )
    of_customer = "struct('lifecycle' as kind, lifecycle as value), struct('level' as kind, level as value)"
    of_segments = "transform(segments, segment -> struct('segment' as kind, segment as value))"
    facts = held.selectExpr(
        "customer_id", "as_of_date", f"inline(concat(array({of_customer}), {of_segments}))", "true as is_in"
    ).unionByName(moves)
    # The newest word on each stage and level, and on each segment of a customer.
    newest = facts.groupBy("customer_id", "kind", F.expr("if(kind = 'segment', value, null) as segment")).agg(
        F.expr("max_by(struct(value, is_in), as_of_date) as told")
    )
    told = (
        newest.where("told.is_in")
        .groupBy("customer_id")
        .agg(
            F.expr("max(if(kind = 'lifecycle', told.value, null)) as lifecycle"),
            F.expr("max(if(kind = 'level', told.value, null)) as level"),
            F.expr("array_sort(collect_list(if(kind = 'segment', told.value, null))) as segments"),
        )
    )
    return select_contract(told.withColumn("as_of_date", F.lit(as_of)), CUSTOMER_SEGMENTS)
