"""What must hold between the parts of a source's file.

Works on the file as read, not on a `Source`, so that one wrong value does not hide the other faults.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from conf.errors import hint
from conf.source import CSV_OPTIONS
from conf.toml import KeyPath
from schemas.feeds import FEEDS, Feed
from schemas.raw import PROVENANCE
from schemas.table import PARTITION

# A row's reasons are bits of one BIGINT: so many are the feed's, and each column that is cast adds one.
MAX_REASONS = 63
FEED_REASONS = 26

RESERVED = frozenset({PARTITION, *(column.name for column in PROVENANCE)})
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PATH = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*(\.[A-Za-z_$][A-Za-z0-9_$-]*)*")

Found = Iterator[tuple[KeyPath, str]]


def source_faults(data: Mapping[str, Any]) -> Found:
    """Where the file is wrong, as the path of a key, and why."""
    columns = _table(data, "columns")
    if "location" in data:
        yield ("location",), "unknown key"
    yield from _map_faults(data)
    yield from _column_faults(data, columns)
    yield from _path_faults(data, columns)
    yield from _personal_faults(data, columns)
    group_by = data.get("group_by", ())
    for name in group_by if isinstance(group_by, tuple) else ():
        if name not in columns:
            yield ("group_by",), f"{name!r} is not in [columns]{hint(str(name), columns)}"
    files = _table(data, "files")
    for option in CSV_OPTIONS:
        if option in files and files.get("format") in ("jsonl", "parquet"):
            yield ("files", option), f"is for csv, and format is {files['format']}"


def _map_faults(data: Mapping[str, Any]) -> Found:
    name = data.get("feed")
    feed: Feed | None = FEEDS.get(name) if isinstance(name, str) else None
    if isinstance(name, str) and feed is None:
        yield ("feed",), f"{name!r} is no feed{hint(name, FEEDS)}"
    if feed is None or not isinstance(data.get("map"), Mapping):
        return
    mapped = _table(data, "map")
    for column in mapped:
        if column not in feed.column_names:
            yield ("map", column), f"is not a column of feed {feed.name}{hint(column, feed.column_names)}"
    for column in feed.required:
        if column not in mapped:
            yield ("map", column), f"is missing; a row of feed {feed.name} must have it"
    if feed.either and not any(column in mapped for column in feed.either):
        yield ("map", feed.either[0]), f"is missing; a row of feed {feed.name} must have it or {feed.either[1]}"


def _column_faults(data: Mapping[str, Any], columns: Mapping[str, Any]) -> Found:
    if "columns" in data and isinstance(data["columns"], Mapping) and not columns:
        yield ("columns",), "should name at least one column"
    times = Counter(name.casefold() for name in columns)
    for name, declaration in columns.items():
        if not IDENTIFIER.fullmatch(name):
            yield ("columns", name), "should be letters, digits and _, beginning with a letter or _"
        if times[name.casefold()] > 1:
            yield ("columns", name), "is declared twice; Spark does not tell upper from lower case"
        if name.casefold() in RESERVED:
            yield ("columns", name), "is a name the lake uses for where a row came from; call it something else"
        if declaration == "timestamp_ns" and _table(data, "files").get("format") in ("csv", "jsonl"):
            yield ("columns", name), "timestamp_ns is for parquet; text has timestamp, with a pattern if need be"
    cast = sum(declaration != "string" for declaration in columns.values())
    if FEED_REASONS + cast > MAX_REASONS:
        room = MAX_REASONS - FEED_REASONS
        yield ("columns",), f"{cast} columns are not string, and there is room for {room}; declare the rest string"


def _path_faults(data: Mapping[str, Any], columns: Mapping[str, Any]) -> Found:
    paths = _table(data, "paths")
    if paths and _table(data, "files").get("format") in ("csv", "parquet"):
        yield ("paths",), f"is for jsonl, and format is {_table(data, 'files')['format']}"
    for column, path in paths.items():
        if column not in columns:
            yield ("paths", column), f"is not in [columns]{hint(column, columns)}"
        if isinstance(path, str) and not PATH.fullmatch(path):
            yield ("paths", column), f"{path!r} should be names with dots between them, such as context.device.id"


def _personal_faults(data: Mapping[str, Any], columns: Mapping[str, Any]) -> Found:
    personal = _table(data, "personal")
    for column in personal:
        if column not in columns:
            yield ("personal", column), f"is not in [columns]{hint(column, columns)}"
        elif columns[column] != "string":
            message = f"{column} is {columns[column]} in [columns], and tokens are made from text: declare it string"
            yield ("personal", column), message


def _table(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}
