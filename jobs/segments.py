"""mart.customer_segments: lifecycle, level and segments of every customer, night by night.

Several nights are judged at once: of one customer all nights stand together, so that a level is decided by the level
of the night before, and a range of nights costs one shuffle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.engines.base import Engine
from jobs.frames import select_contract
from jobs.rules import columns
from jobs.rules.book import Key, Rule, RuleBook
from schemas.judgement import CUSTOMER_SEGMENTS

SCORE_TYPES = {"score": "bigint", "band": "string", "reasons": "array<string>"}
OF_CUSTOMER = "partition by customer_id order by as_of_date"


def judged(
    profile: DataFrame,
    scores: DataFrame | None,
    before: DataFrame | None,
    book: RuleBook,
    *,
    engines: Sequence[Engine] = (),
    failed: Collection[Key] = (),
) -> DataFrame:
    """One row is one customer on one night: the facts that rules read, and what follows from them.

    `profile` and `scores` are of the nights to judge, `before` the segments of the night before the first of them;
    None where there is none. Rules that `failed`, by kind and name, decide as the night before. Beside the columns of
    mart.customer_segments: the facts by name, and `previous`, the same three of the night before, null where there is
    none. One shuffle, by customer.
    """
    read = book.facts_read
    of_scores = {name for name in read if not book.columns[name].sql}
    told = profile.selectExpr(
        "customer_id", "as_of_date", "true as is_told", *columns.read(book.columns, read - of_scores)
    )
    rows = told
    if scores is not None and of_scores:
        rows = rows.unionByName(_told_by(scores, engines, of_scores), allowMissingColumns=True)
    if before is not None:
        held = "lifecycle as held_lifecycle", "level as held_level", "segments as held_segments"
        rows = rows.unionByName(before.selectExpr("customer_id", "as_of_date", *held), allowMissingColumns=True)
    missing = of_scores - set(rows.columns)
    rows = rows.repartition("customer_id").selectExpr(
        "*",
        *(f"max({name}) over (partition by customer_id, as_of_date) as told_{name}" for name in of_scores - missing),
        *(f"cast(null as {SCORE_TYPES[name.rpartition('_')[2]]}) as told_{name}" for name in missing),
        *([] if before is not None else _nothing_held()),
    )
    rows = rows.where("is_told or held_level is not null")
    rows = rows.drop(*of_scores).withColumnsRenamed({f"told_{name}": name for name in of_scores})
    for step in _steps(book, failed):
        rows = rows.selectExpr("*", *(f"{sql} as {name}" for name, sql in step.items()))
    return rows.where("is_told")


def transform(judged: DataFrame) -> DataFrame:
    """One row is one customer on one night, with the stage, the level and the segments."""
    return select_contract(judged, CUSTOMER_SEGMENTS)


def moved(told: DataFrame, before: DataFrame, *, nights: int) -> DataFrame:
    """One row is one customer who is not on each of the nights what she was the night before; `told` of so many nights.

    By a hash of 64 bits of all three. `told` and `before` are of mart.customer_segments.
    """
    rows = told.unionByName(before).selectExpr("customer_id", "xxhash64(lifecycle, level, segments) as what")
    found = rows.groupBy("customer_id").agg(
        F.expr("min(what) <> max(what)").alias("differs"), F.count("*").alias("nights")
    )
    return found.where(f"differs or nights <= {nights}").select("customer_id")


def stage_of(book: RuleBook) -> str:
    """The stage of a row of facts, as SQL: the first that is met."""
    stages = " ".join(f"when {stage.predicate.spark} then '{stage.name}'" for stage in book.lifecycle)
    return f"case {stages} end"


def ladder(book: RuleBook) -> str:
    """The level of a row of facts that has no yesterday, as SQL: the highest that is earned and may stay."""
    return f"element_at({_names(book)}, {_highest(f'({_earned(book)})')} + 1)"


def _names(book: RuleBook) -> str:
    names = ", ".join(f"'{rung.name}'" for rung in book.levels)
    return f"array({names})"


def _earned(book: RuleBook) -> str:
    """A bit for each level that is earned and may stay."""
    met = (f"{rung.enter.spark} and {rung.stay.spark}" for rung in book.levels)
    return " | ".join(f"if({both}, {1 << rank}, 0)" for rank, both in enumerate(met))


def _highest(bits: str) -> str:
    """The position of the highest bit; one is always set."""
    return f"cast(length(bin({bits})) - 1 as int)"


def _told_by(scores: DataFrame, engines: Sequence[Engine], wanted: set[str]) -> DataFrame:
    """One row is what one engine says of one customer, in the columns that rules read of it."""
    told = [
        f"if(engine = '{engine.name}', {what}, null) as {engine.prefix}_{what}"
        for engine in engines
        for what in SCORE_TYPES
        if f"{engine.prefix}_{what}" in wanted
    ]
    return scores.selectExpr("customer_id", "as_of_date", *told)


def _nothing_held() -> tuple[str, ...]:
    return (
        "cast(null as string) as held_lifecycle",
        "cast(null as string) as held_level",
        "cast(null as array<string>) as held_segments",
    )


def _steps(book: RuleBook, failed: Collection[Key]) -> tuple[Mapping[str, str], ...]:
    """Each step's new columns, as SQL; those of the night before the first pass through."""
    names = _names(book)
    kept = " | ".join(f"if({rung.stay.spark}, {1 << rank}, 0)" for rank, rung in enumerate(book.levels))
    # The highest level that is earned tonight, or was held and may stay. The lowest is everyone's.
    decided = _highest("(night.earned | (night.kept & shiftleft(1, rank)))")
    holds = f"aggregate(nights, 0, (rank, night) -> coalesce(night.held_rank, {decided}))"
    segments = ", ".join(f"if({_is_member(rule, failed)}, '{rule.name}', null)" for rule in book.segments)
    held = "struct(held_lifecycle as lifecycle, held_level as level, held_segments as segments)"
    whole = f"over ({OF_CUSTOMER} rows between unbounded preceding and unbounded following)"

    def decided_by(rule: str, sql: str) -> str:
        """What the rule says; where it failed what was said the night before, of newcomers still what it says."""
        return f"coalesce(carried.{rule}, {sql})" if (rule, rule) in failed else sql

    return (
        {"carried": f"first(if(held_level is null, null, {held}), true) {whole}" if failed else "null"},
        {
            "lifecycle": f"coalesce(held_lifecycle, {decided_by('lifecycle', stage_of(book))})",
            "earned": _earned(book),
            "kept": kept,
            # A level that there is no more is held by nobody.
            "held_rank": f"if(held_level is null, null, greatest(array_position({names}, held_level) - 1, 0))",
        },
        {
            "nights": f"collect_list(struct(earned, kept, cast(held_rank as int) as held_rank)) over ({OF_CUSTOMER} "
            "rows between unbounded preceding and current row)",
        },
        {"level": f"coalesce(held_level, {decided_by('level', f'element_at({names}, {holds} + 1)')})"},
        {"segments": f"coalesce(held_segments, cast(array_compact(array({segments})) as array<string>))"},
        {"previous": f"lag(struct(lifecycle, level, segments)) over ({OF_CUSTOMER})"},
    )


def _is_member(rule: Rule, failed: Collection[Key]) -> str:
    if ("segment", rule.name) in failed:
        return f"array_contains(carried.segments, '{rule.name}')"
    since = f"as_of_date >= date'{rule.effective_from}' and " if rule.effective_from else ""
    return since + rule.predicate.spark
