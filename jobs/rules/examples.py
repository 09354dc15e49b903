"""The examples that stand beside every rule, run as tests by the engine that will judge the customers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession

from conf import Settings, Written
from jobs.errors import DataRefused
from jobs.frames import local_frame
from jobs.rules.book import RuleBook, compile_risks
from jobs.rules.columns import SEGMENTS
from jobs.rules.language import Predicate, RuleColumn, Type
from jobs.segments import ladder, stage_of

SPARK_TYPES = {
    Type.NUMBER: "bigint",
    Type.MONEY: "bigint",
    Type.TEXT: "string",
    Type.YES_NO: "boolean",
    Type.DATE: "date",
    Type.TEXTS: "array<string>",
}


def failures(spark: SparkSession, settings: Settings, book: RuleBook) -> list[str]:
    """Every example that its rule does not answer as it should, one sentence each.

    What an example does not name is 0 where it is a count, and missing else.
    """
    expressions: dict[str, str] = {"stage": stage_of(book), "rung": ladder(book)}
    predicates: dict[str, Predicate] = {f"segment {rule.name}": rule.predicate for rule in book.segments}
    faults: list[str] = []
    predicates |= {f"trigger {rule.name}": rule.predicate for rule in book.triggers}
    predicates |= {f"risk {rule.name}": rule.predicate for rule in compile_risks(settings, faults)}
    if faults:
        raise DataRefused("\n".join(faults))
    asked = list(_asked(settings, book))
    if not asked:
        return []
    columns = {**book.columns_of_triggers, SEGMENTS.name: SEGMENTS}
    rows = [_row(number, example, columns) for number, (_, example, _, _) in enumerate(asked)]
    ddl = ", ".join(f"{name} {_type(column)}" for name, column in columns.items())
    told = local_frame(spark, rows, f"example int, {ddl}").selectExpr(
        "example",
        *(f"{sql} as `{name}`" for name, sql in expressions.items()),
        *(f"{predicate.spark} as `{name}`" for name, predicate in predicates.items()),
    )
    answers = {row["example"]: row.asDict() for row in told.collect()}
    return [
        f"{where}: {_said(example)} should {'' if expected else 'not '}be met, and is{' not' if expected else ''}."
        for number, (where, example, key, expected) in enumerate(asked)
        if _answer(answers[number], key) is not expected
    ]


def _asked(settings: Settings, book: RuleBook) -> Iterator[tuple[str, Mapping[str, Any], tuple[str, Any], bool]]:
    """Of each example: where it stands, its row, which answer it is about, and whether it should be met."""
    enabled = {rule.name for rule in book.segments}
    acting = {rule.name for rule in book.triggers}
    groups: list[tuple[Sequence[Written], str | None]] = [
        (settings.levels.lifecycle, "stage"),
        (settings.levels.level, "rung"),
        ([segment for segment in settings.segments if segment.name in enabled], None),
    ]
    for rules, column in groups:
        for rule in rules:
            key = (column, rule.name) if column else (f"segment {rule.name}", True)
            yield from _of(rule, key)
    for trigger in settings.triggers:
        if trigger.name in acting:
            yield from _of(trigger, (f"trigger {trigger.name}", True))
    for risk in settings.risk.risk:
        yield from _of(risk, (f"risk {risk.name}", True))


def _of(rule: Written, key: tuple[str, Any]) -> Iterator[tuple[str, Mapping[str, Any], tuple[str, Any], bool]]:
    for name, expected in (("matches", True), ("excludes", False)):
        for number, example in enumerate(getattr(rule, name), start=1):
            yield f"{rule.location}: {rule.name}: {name} {number}", example, key, expected


def _answer(told: Mapping[str, Any], key: tuple[str, Any]) -> bool:
    column, value = key
    return bool(told[column] == value)


def _row(number: int, example: Mapping[str, Any], columns: Mapping[str, RuleColumn]) -> tuple[Any, ...]:
    return (number, *(example.get(name, _default(column)) for name, column in columns.items()))


def _default(column: RuleColumn) -> int | None:
    return 0 if not column.is_nullable and column.type in (Type.NUMBER, Type.MONEY) else None


def _type(column: RuleColumn) -> str:
    return "double" if column.is_fraction else SPARK_TYPES[column.type]


def _said(example: Mapping[str, Any]) -> str:
    return "{ " + ", ".join(f"{name} = {value!r}" for name, value in example.items()) + " }" if example else "{}"
