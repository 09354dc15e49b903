"""Rows of a table for people and for other programs: masked, sorted by key, as text, CSV or JSON Lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.table import Table as Grid
from rich.text import Text

from jobs import csv_text
from jobs.cli.options import console
from jobs.errors import Usage
from schemas.table import PARTITION, Column, Table

MASK = "•••"


def is_masked(column: Column) -> bool:
    return column.privacy in ("personal", "third_party")


def masked_columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if is_masked(column))


def open_columns(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if not is_masked(column))


def transform(rows: DataFrame, table: Table, *, where: str | None, limit: int | None) -> DataFrame:
    """The rows that meet `where`, sorted by key, with personal values replaced by a mask; null stays null."""
    try:
        chosen = rows.where(where) if where else rows
    except AnalysisException as error:
        raise Usage(f"--where: it is no condition over these types ([{error.getCondition()}]).") from None
    ordered = chosen.orderBy(PARTITION, *(key for key in table.key if key != PARTITION))
    shown = ordered if limit is None else ordered.limit(limit)
    return shown.select(*(_shown(column).alias(column.name) for column in table.columns))


def _shown(column: Column) -> SparkColumn:
    value = F.col(column.name)
    if is_masked(column):
        return F.when(value.isNotNull(), F.lit(MASK))
    if column.type == "timestamp":
        # Here, where the session's zone is UTC: Python would turn it into the machine's own.
        return F.concat(F.replace(value.cast("string"), F.lit(" "), F.lit("T")), F.lit("Z"))
    return value


def _values(rows: DataFrame) -> Iterator[dict[str, Any]]:
    for row in rows.toLocalIterator(prefetchPartitions=True):
        yield row.asDict()


def write_json(rows: DataFrame) -> None:
    for row in _values(rows):
        print(json.dumps({name: csv_text.plain(value) for name, value in row.items()}, ensure_ascii=False))


def write_csv(rows: DataFrame) -> None:
    """RFC 4180 with `\\n`; null is empty; text that a spreadsheet would take for a formula is prefixed with '."""
    sys.stdout.write(csv_text.line(rows.columns))
    for row in _values(rows):
        sys.stdout.write(csv_text.line(row.values()))


def _shown_as(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return json.dumps(csv_text.plain(value), ensure_ascii=False)
        case _:
            return csv_text.plain(value)


def print_rows(rows: DataFrame, *, title: str, limit: int) -> None:
    """A table where it fits the terminal, else one block for each row; columns without a value are left out."""
    shown = [{name: _shown_as(value) for name, value in row.items()} for row in _values(rows)]
    filled = [name for name in rows.columns if any(row[name] != "" for row in shown)]
    screen = console()
    first = "the first " if len(shown) == limit else ""
    screen.print(f"{title}: {first}{len(shown)} rows", style="bold", markup=False)
    if not shown:
        return
    widths = [max(len(name), *(len(str(row[name])) for row in shown)) + 2 for name in filled]
    if sum(widths) <= screen.width:
        grid = Grid(*filled, box=None, pad_edge=False, header_style="bold")
        for row in shown:
            grid.add_row(*(_text(row[name]) for name in filled))
        screen.print(grid)
    else:
        for row in shown:
            screen.print()
            block = Grid.grid(padding=(0, 2))
            for name in filled:
                if row[name] != "":
                    block.add_row(_text(name), _text(row[name]))
            screen.print(block)
    if empty := len(rows.columns) - len(filled):
        screen.print(f"{empty} columns hold no value in these rows and are left out; --csv and --json have them.")


def _text(value: Any) -> Text:
    return Text(str(value))
