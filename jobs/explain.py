"""Why a customer is where they are on a date: what is stored, and the values that decide each rule as it is now."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs import rule_rows
from jobs.engines.base import Engine
from jobs.errors import Failed
from jobs.lake import Lake
from jobs.membership import known_on
from jobs.rules.book import RuleBook
from jobs.rules.language import Predicate
from jobs.segments import SCORE_TYPES
from schemas.judgement import CUSTOMER_SEGMENTS, SCORES, SEGMENT_TRANSITIONS
from schemas.mart import CUSTOMER_PROFILE


@dataclass(frozen=True)
class Condition:
    """A condition of a rule; `is_met` is None where the facts of the date are no longer kept."""

    text: str
    is_met: bool | None
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Standing:
    """A stage, level or segment, and whether the customer is in it; `since` is the night that last said so."""

    kind: str
    name: str
    about: str
    is_in: bool
    since: date | None
    cause: str | None
    before: str | None
    conditions: Sequence[Condition]


@dataclass(frozen=True)
class Score:
    """What an engine says, with the reasons it gives."""

    engine: str
    score: int
    band: str
    values: Mapping[str, Any]
    reasons: Sequence[str]


@dataclass(frozen=True)
class Explanation:
    """A customer on a date. `has_facts`: the profile of the date is still kept, so that conditions can be told."""

    customer_id: str
    day: date
    lifecycle: Standing
    level: Standing
    segments: Sequence[Standing]
    scores: Sequence[Score]
    has_facts: bool


def explain(lake: Lake, book: RuleBook, engines: Sequence[Engine], customer: str, day: date) -> Explanation:
    """Everything that is known of why the customer is where they are. Raises Failed for one that is not known."""
    [*judged] = _of(known_on(lake, day), customer).collect()
    if not judged:
        raise Failed(f"{CUSTOMER_SEGMENTS.name} {day} does not know this customer: nothing was told of them by then.")
    stored = judged[0]
    moves = _newest_moves(lake, customer, day)
    has_facts = day in lake.ledger.kept_days(CUSTOMER_PROFILE.name, day, day)
    told = _told(lake, book, engines, customer, day) if has_facts else {}

    def standing(kind: str, name: str, about: str, is_in: bool, predicates: Iterable[Predicate]) -> Standing:
        move = moves.get((kind, name if kind == "segment" else kind))
        return Standing(
            kind=kind,
            name=name,
            about=about,
            is_in=is_in,
            since=move["as_of_date"] if move else None,
            cause=move["cause"] if move else None,
            before=move["from_value"] if move else None,
            conditions=[condition for predicate in predicates for condition in conditions_of(predicate, told)],
        )

    stages = {stage.name: stage for stage in book.lifecycle}
    rungs = {rung.name: rung for rung in book.levels}
    stage, rung = stages.get(stored["lifecycle"]), rungs.get(stored["level"])
    own = set(stored["segments"])
    known = {rule.name: rule for rule in book.segments}
    return Explanation(
        customer_id=customer,
        day=day,
        lifecycle=standing(
            "lifecycle", stored["lifecycle"], stage.about if stage else "", True, [stage.predicate] if stage else []
        ),
        level=standing(
            "level", stored["level"], rung.about if rung else "", True, [rung.enter, rung.stay] if rung else []
        ),
        segments=[
            standing(
                "segment",
                name,
                known[name].about if name in known else "The rule is no longer in conf.",
                name in own,
                [known[name].predicate] if name in known else [],
            )
            for name in sorted({*known, *own})
        ],
        scores=_scores(lake, customer, day),
        has_facts=has_facts,
    )


def _of(frame: DataFrame, customer: str) -> DataFrame:
    return frame.where(F.col("customer_id") == F.lit(customer))


def _newest_moves(lake: Lake, customer: str, day: date) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(kind, name) → the last move of the customer up to the day."""
    rows = _of(lake.read(SEGMENT_TRANSITIONS.name, known_on=day), customer).orderBy("as_of_date").collect()
    return {(row["kind"], row["name"]): row.asDict() for row in rows}


def _scores(lake: Lake, customer: str, day: date) -> list[Score]:
    if not lake.ledger.published(SCORES.name, day, day):
        return []
    rows = _of(lake.read_day(SCORES.name, day), customer).orderBy("engine").collect()
    return [
        Score(row["engine"], row["score"], row["band"], json.loads(row["values"] or "{}"), list(row["reasons"]))
        for row in rows
    ]


def _told(lake: Lake, book: RuleBook, engines: Sequence[Engine], customer: str, day: date) -> dict[str, Any]:
    """The customer's facts by name, and the answer to each condition by its text."""
    return next(iter(answered(rows_of_day(lake, book, engines, day, customer), _predicates(book))), {})


def answered(rows: DataFrame, predicates: Sequence[Predicate]) -> list[dict[str, Any]]:
    """Each row by name, and the answer to each condition under its text."""
    conditions = {predicate.text: predicate.spark for predicate in predicates}
    named = [f"{sql} as `condition {number}`" for number, sql in enumerate(conditions.values())]
    found = [row.asDict() for row in rows.selectExpr("*", *named).collect()]
    return [{**row, **{text: row[f"condition {number}"] for number, text in enumerate(conditions)}} for row in found]


def rows_of_day(
    lake: Lake, book: RuleBook, engines: Sequence[Engine], day: date, customer: str | None = None
) -> DataFrame:
    """One row is one customer as the segments see them on `day`: facts, scores, and the stored stage and level."""

    def of(frame: DataFrame) -> DataFrame:
        return frame if customer is None else _of(frame, customer)

    return rule_rows.transform(
        of(lake.read_day(CUSTOMER_PROFILE.name, day)),
        of(known_on(lake, day)),
        of(lake.read_day(SCORES.name, day)) if lake.ledger.published(SCORES.name, day, day) else None,
        columns=book.columns,
        names={*book.facts_read, *(f"{engine.prefix}_{what}" for engine in engines for what in SCORE_TYPES)},
        engines=engines,
    )


def _predicates(book: RuleBook) -> list[Predicate]:
    whole = [
        *(stage.predicate for stage in book.lifecycle),
        *(predicate for rung in book.levels for predicate in (rung.enter, rung.stay)),
        *(rule.predicate for rule in book.segments),
    ]
    return [part for predicate in whole for part in (predicate.parts or (predicate,))]


def conditions_of(predicate: Predicate, told: Mapping[str, Any]) -> list[Condition]:
    """The parts of a predicate as `told` answers them: facts by name, and answers by the text of the part."""
    return [
        Condition(part.text, told.get(part.text), {name: told.get(name) for name in part.columns} if told else {})
        for part in predicate.parts or (predicate,)
    ]
