"""mart.segment_transitions: who moved into, out of or between stages, levels, segments and score bands, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from pyspark.sql import DataFrame

from expectations.figures import literal
from jobs.frames import select_contract
from jobs.rules import Type
from jobs.rules.book import Key, RuleBook
from schemas.judgement import SEGMENT_TRANSITIONS


@dataclass(frozen=True)
class History:
    """What the nights before know of the rules: `versions` of the night before the first, empty where there is none.

    `edited`: night → the rules, by kind and name, that differ from those of the night before.
    """

    start: date | None
    versions: Mapping[Key, str] = field(default_factory=dict[Key, str])
    edited: Mapping[date, Collection[Key]] = field(default_factory=dict[date, Collection[Key]])


def transform(judged: DataFrame, book: RuleBook, history: History) -> DataFrame:
    """One row is one move of one customer on one night; `judged` is of jobs.segments.

    A stage is entered, a level upgraded or downgraded (entered where there was none before), a segment entered or left.
    """
    moved = judged.withColumnsRenamed({"segments": "own_segments"}).selectExpr("*", f"{_moves(book)} as moves")
    rows = moved.where("size(moves) > 0").selectExpr("*", f"{_shown(book)} as facts", "explode(moves) as moved")
    rows = rows.selectExpr(
        "as_of_date", "customer_id", "facts", "moved.*", "concat(moved.kind, ' ', moved.name) as key"
    )
    versions = {**history.versions, **book.versions}
    told = rows.selectExpr(
        "*",
        f"element_at({_map(versions)}, key) as rule_version",
        f"{_cause(history)} as cause",
        f"{_evidence(book)} as evidence",
    )
    return select_contract(told, SEGMENT_TRANSITIONS)


def of_bands(scores: DataFrame, before: DataFrame | None, *, first: date, new: Collection[str] = ()) -> DataFrame:
    """One row is one customer whose band of one engine is another than before.

    `scores` are of the nights from `first` on, `before` of each engine the newest there is from before them; of `new`
    ones there is none, so that `first` is their start.
    """
    rows = scores.selectExpr("*", "true as is_told")
    if before is not None:
        rows = rows.unionByName(before.selectExpr("*", "false as is_told"))
    before_it = "lag({}) over (partition by customer_id, engine order by as_of_date)"
    rows = rows.selectExpr(
        "*",
        f"{before_it.format('band')} as from_value",
        f"{before_it.format('version')} as old_version",
    )
    is_new = f"engine in ({', '.join(map(literal, sorted(new)))})" if new else "false"
    is_start = f"{is_new} and as_of_date = date'{first}'"
    told = rows.where("is_told and not (from_value <=> band)").selectExpr(
        "as_of_date",
        "customer_id",
        "'score_band' as kind",
        "engine as name",
        "from_value",
        "band as to_value",
        "'entered' as move",
        "version as rule_version",
        f"case when {is_start} then 'start' when old_version <> version then 'rule_edit' else 'customer' end as cause",
        "values as evidence",
    )
    return select_contract(told, SEGMENT_TRANSITIONS)


def _moves(book: RuleBook) -> str:
    levels = f"array({', '.join(literal(rung.name) for rung in book.levels)})"
    nothing = "array()"

    def move(kind: str, name: str, before: str, now: str, what: str) -> str:
        return (
            f"named_struct('kind', '{kind}', 'name', {name}, 'from_value', {before}, 'to_value', {now}, 'move', {what})"
        )

    stage = move("lifecycle", "'lifecycle'", "previous.lifecycle", "lifecycle", "'entered'")
    direction = (
        f"case when coalesce(array_position({levels}, previous.level), 0) = 0 then 'entered' "
        f"when array_position({levels}, level) > array_position({levels}, previous.level) then 'upgraded' "
        "else 'downgraded' end"
    )
    level = move("level", "'level'", "previous.level", "level", direction)
    null = "cast(null as string)"
    entered = move("segment", "segment", null, null, "'entered'")
    left = move("segment", "segment", null, null, "'left'")
    had = "coalesce(previous.segments, cast(array() as array<string>))"
    return (
        f"concat(if(previous.lifecycle <=> lifecycle, {nothing}, array({stage})), "
        f"if(previous.level <=> level, {nothing}, array({level})), "
        f"transform(array_except(own_segments, {had}), segment -> {entered}), "
        f"transform(array_except({had}, own_segments), segment -> {left}))"
    )


def _cause(history: History) -> str:
    start = [f"when as_of_date = date'{history.start}' then 'start'"] if history.start else []
    edits = [
        f"when as_of_date = date'{day}' and key in ({', '.join(literal(_key(key)) for key in sorted(keys))}) "
        "then 'rule_edit'"
        for day, keys in sorted(history.edited.items())
        if keys
    ]
    arms = " ".join((*start, *edits))
    return f"case {arms} else 'customer' end" if arms else "'customer'"


def _shown(book: RuleBook) -> str:
    """Fact → its value as it stands in JSON, of all that any rule reads."""
    shown: list[str] = []
    for name in sorted({name for names in book.evidence.values() for name in names}):
        type_ = book.columns[name].type
        is_plain = type_ in (Type.NUMBER, Type.MONEY, Type.YES_NO)
        # Quoted and escaped as Spark does it: {"v":"…"} without what stands around the value.
        json = (
            f"cast({name} as string)"
            if is_plain
            else f"regexp_extract(to_json(struct({name} as v)), '(?s)^.{{5}}(.*).$', 1)"
        )
        shown += [literal(name), f"if({name} is null, 'null', {json})"]
    return f"map({', '.join(shown)})" if shown else "cast(map() as map<string, string>)"


def _evidence(book: RuleBook) -> str:
    read = {key: names for key, names in book.evidence.items() if names}
    if not read:
        return "cast(null as string)"
    lists = ", ".join(f"{literal(_key(key))}, array({', '.join(map(literal, names))})" for key, names in read.items())
    told = f"transform(element_at(map({lists}), key), fact -> concat('\"', fact, '\":', element_at(facts, fact)))"
    return f"concat('{{', array_join({told}, ','), '}}')"


def _map(values: Mapping[Key, str]) -> str:
    pairs = ", ".join(f"{literal(_key(key))}, {literal(value)}" for key, value in sorted(values.items()))
    return f"map({pairs})"


def _key(key: Key) -> str:
    return " ".join(key)
