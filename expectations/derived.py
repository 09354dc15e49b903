"""What a Table implies: everything here follows from its declaration in schemas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from expectations.figures import DUPLICATE_KEYS, ROWS, SCHEMA_DIFFERENCES, Expectation, NoRow, Suite, literal
from schemas.columns import EVENT_DATE
from schemas.table import PARTITION, Column, Table


def suite(table: Table, *, may_be_empty: bool) -> Suite:
    """The suite "derived" of `table`; `may_be_empty`: no rows are ordinary, or announced, on this day.

    The caller fills in `schema_differences` and, over `suite.key`, `duplicate_keys`: rows less distinct keys.
    """
    rules = tuple(rule for column in table.columns for rule in _rules(column))
    expectations = [
        Expectation("schema_as_declared", SCHEMA_DIFFERENCES.name, "the schema is the declared one", maximum=0),
        Expectation("key_unique", DUPLICATE_KEYS.name, f"({', '.join(table.key)}) occurs once a day", maximum=0),
        *(rule.expectation for rule in rules),
    ]
    if not may_be_empty:
        expectations.insert(0, Expectation("not_empty", ROWS.name, "the day has rows", minimum=1))
    return Suite(
        name="derived",
        table=table.name,
        figures=(ROWS, SCHEMA_DIFFERENCES, DUPLICATE_KEYS, *(rule.figure for rule in rules)),
        expectations=tuple(expectations),
        key=tuple(name for name in table.key if name != PARTITION),
    )


def schema_differences(table: Table, fields: Sequence[tuple[str, str]]) -> list[str]:
    """What sets a frame's `fields` (name, Spark type, as of `DataFrame.dtypes`) apart from `table`, by name."""
    declared = {column.name: column.type for column in table.columns}
    found = dict(fields)
    missing = [f"{name} is missing" for name in declared if name not in found]
    unknown = [f"{name} is not declared" for name in found if name not in declared]
    retyped = [
        f"{name} is {found[name]}, declared {type_}"
        for name, type_ in declared.items()
        if found.get(name, type_) != type_
    ]
    return missing + unknown + retyped


def _rules(column: Column) -> Iterator[NoRow]:
    name, quoted = column.name, f"`{column.name}`"
    if not column.nullable:
        yield NoRow(f"{name}_null", f"{quoted} is null", f"{name} is never null")
    if column.accepted:
        accepted = ", ".join(literal(value) for value in column.accepted)
        yield NoRow(
            f"{name}_not_accepted",
            f"{quoted} not in ({accepted})",
            f"{name} is one of its {len(column.accepted)} values",
        )
    if column.minimum is not None:
        yield NoRow(f"{name}_too_small", f"{quoted} < {column.minimum}", f"{name} is at least {column.minimum}")
    if column.maximum is not None:
        yield NoRow(f"{name}_too_large", f"{quoted} > {column.maximum}", f"{name} is at most {column.maximum}")
    if column.type.startswith("array<"):
        yield NoRow(f"{name}_null_element", f"exists({quoted}, x -> x is null)", f"{name} holds no null")
    # Other dates may look ahead (a due date) or be as delivered (raw); this one column means the same everywhere.
    if column == EVENT_DATE:
        yield NoRow(
            f"{name}_out_of_range",
            f"{quoted} < date'1970-01-01' or {quoted} > date_add({PARTITION}, 1)",
            f"{name} lies between 1970 and the day after the night",
        )
