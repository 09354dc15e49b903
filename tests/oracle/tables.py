"""Tables as Parquet: a folder for each table, a file for each night. What others wrote may be laid beneath."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from urllib.parse import unquote

import duckdb

from conf import Settings
from schemas import CATALOGUE
from schemas.table import Column, Table

Files = Mapping[date, Sequence[str]]

DECIMAL = re.compile(r"decimal\(\d+,\d+\)")
TYPES = {
    "string": "varchar",
    "boolean": "boolean",
    "int": "integer",
    "bigint": "bigint",
    "double": "double",
    "date": "date",
    # An instant; the session's zone is UTC.
    "timestamp": "timestamptz",
    "binary": "blob",
}


def connect() -> duckdb.DuckDBPyConnection:
    """A database in memory whose clock is UTC; it has the cores that the lake has."""
    database = duckdb.connect()
    database.execute(f"set threads = {len(os.sched_getaffinity(0))}")
    database.execute("set TimeZone = 'UTC'")
    return database


def type_of(column: Column) -> str:
    """The type in DuckDB of a column of the catalogue."""
    if column.type.startswith("array<"):
        return TYPES[column.type.removeprefix("array<").removesuffix(">")] + "[]"
    return column.type if DECIMAL.fullmatch(column.type) else TYPES[column.type]


def table_of(settings: Settings, name: str) -> Table:
    """The declaration of a table, of a source's raw table too."""
    layer, _, short = name.partition(".")
    return settings.source(short).raw_table() if layer == "raw" else CATALOGUE[name]


def delta_files(database: duckdb.DuckDBPyConnection, table: Path) -> Files:
    """The data files of a Delta table's newest version, by night; what its log says and nothing else.

    Raises FileNotFoundError where the log does not begin with its first version: then a checkpoint would be needed.
    """
    log = table / "_delta_log"
    if not log.exists():
        return {}
    if not (log / f"{0:020}.json").exists():
        raise FileNotFoundError(f"{log} has lost its first entries")
    actions = database.execute(
        f"""
        select coalesce("add"."path", "remove"."path") as path, arg_max("add" is not null, filename) as is_there
        from read_json(
            '{log}/*.json', format = 'newline_delimited', filename = true,
            columns = {{"add": 'struct("path" varchar)', "remove": 'struct("path" varchar)'}}
        )
        where "add" is not null or "remove" is not null
        group by all having is_there order by path
        """
    ).fetchall()
    files: dict[date, list[str]] = {}
    for path, _ in actions:
        day = date.fromisoformat(path.partition("/")[0].removeprefix("as_of_date="))
        files.setdefault(day, []).append(str(table / unquote(path)))
    return files


class Tables:
    """The tables of the oracle: read as relations (SQL in brackets), written a night at a time.

    `beneath` is a lake of Delta tables: it answers for the nights of a table that were not written here, up to
    `beneath_until`.
    """

    def __init__(
        self,
        database: duckdb.DuckDBPyConnection,
        settings: Settings,
        root: Path,
        *,
        beneath: Path | None = None,
        beneath_until: date = date.max,
    ) -> None:
        self.database = database
        self.settings = settings
        self.root = root
        self.beneath = beneath
        self.beneath_until = beneath_until
        self.written: set[tuple[str, date]] = set()
        self._files: dict[str, dict[date, Sequence[str]]] = {}

    def files(self, name: str) -> dict[date, Sequence[str]]:
        """The files of a table, by night. What was written here wins."""
        if name not in self._files:
            layer, short = name.split(".")
            told = delta_files(self.database, self.beneath / layer / short) if self.beneath else {}
            found = {day: files for day, files in told.items() if day <= self.beneath_until}
            for folder in (self.root / layer / short).glob("as_of_date=*"):
                day = date.fromisoformat(folder.name.removeprefix("as_of_date="))
                found[day] = [str(folder / "rows.parquet")]
            self._files[name] = found
        return self._files[name]

    def days(self, name: str) -> list[date]:
        """The nights that the table holds, in order."""
        return sorted(self.files(name))

    def read(self, name: str, *, since: date | None = None, until: date | None = None) -> str:
        """A log: all rows of the nights since … until, both included, with all columns of the catalogue."""
        days = [day for day in self.days(name) if (since or day) <= day <= (until or day)]
        paths = [path for day in days for path in self.files(name)[day]]
        if not paths:
            return self._empty(name)
        # Spark writes instants as INT96, which DuckDB takes for times without a zone.
        instants = [column.name for column in table_of(self.settings, name).columns if column.type == "timestamp"]
        replaced = ", ".join(f'cast("{column}" as timestamptz) as "{column}"' for column in instants)
        return (
            f"(select *{f' replace ({replaced})' if replaced else ''} from read_parquet({paths}, "
            "hive_partitioning = true, union_by_name = true, hive_types = {'as_of_date': 'date'}))"
        )

    def on(self, name: str, day: date) -> str:
        """A snapshot: the rows of one night, none where it has none."""
        return self.read(name, since=day, until=day)

    def own(self, name: str, day: date) -> str:
        """What was written here of one night, whatever lies beneath."""
        return self.on(name, day) if (name, day) in self.written else self._empty(name)

    def write(self, name: str, day: date, query: str) -> None:
        """The night's rows of a table, in the columns and types of the catalogue; `as_of_date` is the night."""
        layer, short = name.split(".")
        folder = self.root / layer / short / f"as_of_date={day}"
        folder.mkdir(parents=True, exist_ok=True)
        columns = ", ".join(
            f'cast("{column.name}" as {type_of(column)}) as "{column.name}"'
            for column in table_of(self.settings, name).columns
            if column.name != "as_of_date"
        )
        path = folder / "rows.parquet"
        self.database.execute(f"copy (select {columns} from ({query})) to '{path}' (format parquet, compression zstd)")
        self.files(name)[day] = [str(path)]
        self.written.add((name, day))

    def _empty(self, name: str) -> str:
        columns = ", ".join(
            f'cast(null as {type_of(column)}) as "{column.name}"' for column in table_of(self.settings, name).columns
        )
        return f"(select {columns} where false)"
