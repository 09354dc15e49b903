"""What a table is: declared once as data, from which everything else is derived.

Imports nothing but the standard library, so that Airflow, the documentation and the tests can read the
catalogue without Spark. Types are Spark DDL strings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Privacy = Literal["none", "pseudonym", "personal", "third_party"]
Erasure = Literal["delete", "blank", "keep"]
Kind = Literal["log", "snapshot"]
LAYERS = ("raw", "core", "mart", "ops", "restricted")

PARTITION = "as_of_date"
NAME = re.compile(r"^[a-z][a-z0-9_]*$")
TYPE = re.compile(
    r"^(string|boolean|int|bigint|date|timestamp|binary|double|decimal\(\d+,\d+\)|array<(string|bigint|date)>)$"
)


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what it says, in which unit, and what may stand in it.

    `erasure` is what a request to be forgotten does to it: the row is deleted, the value blanked, or it is
    kept on the legal `basis` named. `provenance` columns tell where a row came from; they stay outside
    digests. `statistics` marks columns that readers filter on, the only ones Delta keeps minima and maxima of.
    """

    name: str
    type: str
    about: str
    unit: str = ""
    nullable: bool = True
    accepted: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    privacy: Privacy = "none"
    erasure: Erasure = "delete"
    basis: str = ""
    provenance: bool = False
    statistics: bool = False

    def required(self) -> Column:
        """The same column where it may not be null."""
        return replace(self, nullable=False)


@dataclass(frozen=True, kw_only=True)
class Table:
    """One Delta table, partitioned by `as_of_date`.

    A *log* holds what each night learned; all its partitions up to D are what was known on D. A *snapshot*
    holds everyone in each partition. `row` completes the sentence "One row is …". `may_be_empty` says that
    a night without rows is ordinary (a quarantine, say) and not a sign of a lost delivery.
    """

    name: str
    row: str
    kind: Kind
    key: tuple[str, ...]
    owner: str
    keep: str
    columns: tuple[Column, ...]
    version: int = 1
    may_be_empty: bool = False

    @property
    def layer(self) -> str:
        return self.name.partition(".")[0]

    @property
    def short_name(self) -> str:
        return self.name.partition(".")[2]

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def business_columns(self) -> tuple[Column, ...]:
        """Columns that say something about the business: what digests and comparisons are over."""
        return tuple(column for column in self.columns if not column.provenance)

    @property
    def statistics_columns(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.statistics)

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def ddl(self, *, nullable: bool = False) -> str:
        """The columns as Spark DDL; with `nullable`, without their NOT NULL."""
        return ", ".join(
            f"`{column.name}` {column.type}" + ("" if column.nullable or nullable else " NOT NULL")
            for column in self.columns
        )


def lint(tables: Sequence[Table]) -> list[str]:
    """Everything in `tables` that breaks a house rule, one sentence each; empty when all is well."""
    names = [table.name for table in tables]
    faults = [f"{name}: declared {names.count(name)} times" for name in sorted(set(names)) if names.count(name) > 1]
    return faults + [f"{table.name}: {fault}" for table in tables for fault in _table_faults(table)]


def _table_faults(table: Table) -> list[str]:
    names = table.column_names
    is_personal = any(column.privacy in ("personal", "third_party", "pseudonym") for column in table.columns)
    rules = {
        f"layer is not one of {', '.join(LAYERS)}": table.layer not in LAYERS,
        "name is not lower_snake": not NAME.match(table.short_name),
        "no sentence about its row": len(table.row) < len("one customer"),
        "no owner": not table.owner,
        "holds data about people and does not say how long it is kept": is_personal and not table.keep,
        "the first column is not as_of_date": not names or names[0] != PARTITION,
        "a column is declared twice": len(set(names)) < len(names),
        "its key names a column it does not have": not set(table.key) <= set(names),
        "no key": not table.key,
        "a key column may be null": any(column.nullable for column in table.columns if column.name in table.key),
    }
    faults = [fault for fault, is_broken in rules.items() if is_broken]
    return faults + [f"{column.name}: {fault}" for column in table.columns for fault in _column_faults(column)]


def _column_faults(column: Column) -> list[str]:
    is_money = column.name.endswith("_minor") or column.unit == "minor units"
    rules = {
        "name is not lower_snake": not NAME.match(column.name),
        "not described": len(column.about.split()) < 2,
        f"type {column.type} is not in use here": not TYPE.match(column.type),
        "binary floating point has no place in a table": column.type == "double",
        "ends in _at and is no timestamp": column.name.endswith("_at") and column.type != "timestamp",
        "ends in _date and is no date": column.name.endswith("_date") and column.type != "date",
        "begins with is_ or has_ and is no boolean": column.name.startswith(("is_", "has_"))
        and column.type != "boolean",
        "money is BIGINT in minor units": is_money and column.type != "bigint",
        "money has a floor": is_money and column.minimum is None,
        "accepted values are for strings": bool(column.accepted) and column.type != "string",
        "kept after an erasure without a legal basis": column.erasure == "keep"
        and column.privacy != "none"
        and not column.basis,
    }
    return [fault for fault, is_broken in rules.items() if is_broken]
