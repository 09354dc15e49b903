"""mart.segment_status: how many are in each stage, level and segment, came and went; and which rules failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.frames import local_frame, select_contract
from jobs.rules.book import Key, RuleBook
from schemas.judgement import SEGMENT_STATUS

KEY = ["as_of_date", "kind", "name"]


def transform(
    segments: DataFrame,
    transitions: DataFrame,
    book: RuleBook,
    *,
    days: Sequence[date],
    failed: Mapping[Key, str],
) -> DataFrame:
    """One row is one stage, level or segment on one of `days`; nobody in it is 0, a rule that `failed` has null.

    `segments` and `transitions` are of the same days; `failed`: rule, by kind and name → why.
    """
    held = "struct('lifecycle' as kind, lifecycle as name), struct('level' as kind, level as name)"
    members = segments.selectExpr(
        "as_of_date", f"inline(concat(array({held}), transform(segments, s -> struct('segment' as kind, s as name))))"
    )
    came, went = "if(move = 'left', null, coalesce(to_value, name))", "if(move = 'left', name, from_value)"
    moves = transitions.where("kind <> 'score_band'").selectExpr(
        "as_of_date", "kind", f"inline(array(struct({came} as name, 1 as came), struct({went} as name, 0 as came)))"
    )
    counted = members.groupBy(*KEY).agg(F.count(F.lit(1)).alias("members"))
    moved = moves.groupBy(*KEY).agg(F.sum("came").alias("entered"), F.sum(F.expr("1 - came")).alias("left"))
    rules = local_frame(
        segments.sparkSession,
        [
            (day, kind, name, version, failed.get((kind, name if kind == "segment" else kind)))
            for day in days
            for kind, name, version in _rules(book, day)
        ],
        "as_of_date date, kind string, name string, rule_version string, why string",
    )
    told = (
        rules.join(counted, KEY, "left")
        .join(moved, KEY, "left")
        .selectExpr(
            *KEY,
            "rule_version",
            *(f"if(why is null, coalesce({name}, 0), null) as {name}" for name in ("members", "entered", "left")),
            "if(why is null, 'ok', 'failed') as state",
            "why",
        )
    )
    return select_contract(told, SEGMENT_STATUS)


def _rules(book: RuleBook, day: date) -> list[tuple[str, str, str]]:
    versions = book.versions
    stages = [("lifecycle", stage.name, versions["lifecycle", "lifecycle"]) for stage in book.lifecycle]
    levels = [("level", rung.name, versions["level", "level"]) for rung in book.levels]
    own = [
        ("segment", rule.name, rule.version)
        for rule in book.segments
        if rule.effective_from is None or rule.effective_from <= day
    ]
    return [*stages, *levels, *own]
