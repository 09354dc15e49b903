"""Delivered files as relations: the source's columns in the types of its raw table, and where each row stood."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from conf import Source
from tests.oracle.expressions import quoted

ENCODINGS = {"utf-8": "utf-8", "us-ascii": "utf-8", "iso-8859-1": "latin-1", "utf-16": "utf-16"}


def read(database: duckdb.DuckDBPyConnection, source: Source, files: Sequence[Path], into: str) -> None:
    """Makes the temp table `into`: one row per delivered row, in the order of the files.

    Beside the columns: `path`, `position` (in Parquet), and `is_unparsable`, whose columns are null.
    """
    rows = {"csv": _csv, "jsonl": _json_lines, "parquet": _parquet}[source.files.format]
    database.execute("drop table if exists reject_errors; drop table if exists reject_scans")
    database.execute(f"create or replace temp table {into} as {rows(database, source, [str(file) for file in files])}")
    if source.files.format == "csv" and source.files.delimiter != "whitespace":
        _add_rejected(database, into)


def _csv(_: duckdb.DuckDBPyConnection, source: Source, files: list[str]) -> str:
    if source.files.delimiter == "whitespace":
        return _in_columns_of_blanks(source, files)
    asked = source.files
    names = (
        "all_varchar = true"
        if asked.header
        else "auto_detect = false, columns = {"
        + ", ".join(f"{quoted(name)}: 'varchar'" for name in source.columns)
        + "}"
    )
    return f"""
        select {", ".join(f'"{name}"' for name in source.columns)},
            filename as path, null::bigint as position, false as is_unparsable
        from read_csv({files}, header = {asked.header}, skip = 0, {names}, delim = {quoted(asked.delimiter)},
            quote = {quoted(asked.quote)}, escape = {quoted(asked.quote)}, nullstr = {quoted(asked.null)},
            encoding = '{ENCODINGS[asked.encoding]}', filename = true, store_rejects = true)
    """


def _add_rejected(database: duckdb.DuckDBPyConnection, into: str) -> None:
    """Lines with too many or too few columns: DuckDB sets them aside."""
    database.execute(
        f"""
        insert into {into} by name
        select distinct on (file_id, line) file_path as path, true as is_unparsable
        from reject_errors join reject_scans using (scan_id, file_id)
        """
    )


def _in_columns_of_blanks(source: Source, files: list[str]) -> str:
    parts = ", ".join(
        f"nullif(parts[{place}], {quoted(source.files.null)}) as {_name(name)}"
        for place, name in enumerate(source.columns, start=1)
    )
    return f"""
        select {parts}, path, null::bigint as position, parts is null as is_unparsable
        from (
            select path, case when len(parts) = {len(source.columns)} then parts end as parts
            from (
                select filename as path, regexp_split_to_array(trim(line, E' \\t'), '[ \\t]+') as parts
                from {_lines(files, skip=int(source.files.header))} where trim(line, E' \\t') <> ''
            )
        )
    """


def _lines(files: list[str], *, skip: int) -> str:
    return (
        f"read_csv({files}, columns = {{'line': 'varchar'}}, auto_detect = false, header = false, skip = {skip}, "
        "delim = E'\\x01', quote = '', escape = '', filename = true)"
    )


def _json_lines(_: duckdb.DuckDBPyConnection, source: Source, files: list[str]) -> str:
    # Each line is parsed once for all paths; one that is no JSON comes as null.
    paths = [quoted("$" + "".join(f'."{key}"' for key in source.path(name))) for name in source.columns]
    parts = ", ".join(f"parts[{place}] as {_name(name)}" for place, name in enumerate(source.columns, start=1))
    return f"""
        select {parts}, path, null::bigint as position, parts is null as is_unparsable
        from (
            select json_extract_string(json, [{", ".join(paths)}]) as parts, filename as path
            from read_ndjson_objects({files}, ignore_errors = true, filename = true)
        )
    """


def _parquet(database: duckdb.DuckDBPyConnection, source: Source, files: list[str]) -> str:
    described = database.execute(f"describe select * from read_parquet({files})").fetchall()
    types = {name: type_ for name, type_, *_ in described}
    columns = ", ".join(f"{_told(source, name, types.get(name, ''))} as {_name(name)}" for name in source.columns)
    return f"""
        select {columns}, filename as path, file_row_number as position, false as is_unparsable
        from read_parquet({files}, filename = true, file_row_number = true)
    """


def _told(source: Source, name: str, stored: str) -> str:
    """A column of a Parquet file as raw keeps it."""
    kind = source.columns[name].kind
    if kind == "timestamp_ns":
        return f'epoch_ns("{name}")'
    if kind == "timestamp" and stored == "TIMESTAMP":
        return f"timezone('{source.files.zone}', \"{name}\")"
    return f'"{name}"'


def _name(name: str) -> str:
    return f'"{name}"'
