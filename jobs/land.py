"""Landing: the files of deliveries as rows of raw.<source>, as they were delivered, with where they came from.

Schemas are declared, never inferred. Text is kept as text: a value of the wrong type is a matter for conform,
which refuses the row and keeps the value.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from conf import ColumnType, Source
from jobs.deliveries import Part
from jobs.errors import DataRefused
from jobs.frames import java_class, local_frame, select_contract
from jobs.tokens import TokenMaker, tokenise, withheld

CORRUPT = "clm: line that does not parse"
# Stands before the name of each column as it was delivered, whatever that is: no file can name one of ours.
GIVEN = "given:"
LONGEST_FIELD = 1_000_000
FILE_LIST = "file_path string, file string, delivery_id string, night date, delivered_date date"
ARROW_TYPES = {
    "string": ("string", "large_string"),
    "boolean": ("bool",),
    "int": ("int8", "int16", "int32"),
    "bigint": ("int8", "int16", "int32", "int64"),
    "double": ("double", "float"),
    "date": ("date32[day]",),
    "timestamp_ns": ("timestamp[ns]",),
}


@dataclass(frozen=True)
class Layout:
    """The columns of one group of files in the order they stand in, and those that nobody declared."""

    columns: tuple[str, ...]
    undeclared: tuple[str, ...]
    # Parquet timestamps without a zone are local times.
    local_times: tuple[str, ...] = ()


def read(spark: SparkSession, source: Source, parts: Sequence[Part], maker: TokenMaker | None = None) -> DataFrame:
    """What was delivered, with tokens of `maker` in the personal columns: nothing after this sees what stood there."""
    return tokenise(delivered(spark, source, parts), source, maker)


def delivered(spark: SparkSession, source: Source, parts: Sequence[Part]) -> DataFrame:
    """All rows of the parts' files: the source's columns, and delivery_id, file, position, night, …

    `night` is the night that takes the delivery; of a dump it is still to be found (`jobs.dump.dated`).
    Raises DataRefused where a file lacks a column or holds it with another type.
    """
    files = _files(parts)
    by_layout: dict[Layout, list[Path]] = defaultdict(list)
    for layout, path in _layouts(spark, source, list(files)):
        by_layout[layout].append(path)
    frames = [_read_files(spark, source, layout, paths) for layout, paths in sorted(by_layout.items(), key=str)]
    rows = _empty(spark, source)
    for frame in frames:
        rows = rows.unionByName(frame)
    listed = [
        (_uri(spark, path), name, part.delivery.delivery_id, part.night, part.manifest.date)
        for path, (part, name) in files.items()
    ]
    # The list of files is small; without it no row knows its delivery.
    provenance = F.broadcast(local_frame(spark, listed, FILE_LIST))
    return rows.join(provenance, "file_path", "inner").drop("file_path")


def _files(parts: Sequence[Part]) -> dict[Path, tuple[Part, str]]:
    """Each file once with the part it belongs to; the parts of a dump share its files."""
    return {
        part.folder / file.name: (part, f"{part.delivery.folder}/{file.name}")
        for part in reversed(parts)
        for file in part.manifest.files
    }


def _uri(spark: SparkSession, path: Path) -> str:
    """The path as Spark spells it in _metadata.file_path; another spelling would lose its rows in the join."""
    spelt = java_class(spark, "org.apache.hadoop.fs.Path")(str(path)).toUri()
    return f"file:{spelt.toString()}"


def _empty(spark: SparkSession, source: Source) -> DataFrame:
    types = {
        **source.raw_types(),
        "undeclared": "string",
        "is_unparsable": "boolean",
        "position": "bigint",
        "file_path": "string",
    }
    return local_frame(spark, [], ", ".join(f"`{name}` {type_}" for name, type_ in types.items()))


# ---- what a file holds


def _layouts(spark: SparkSession, source: Source, paths: Sequence[Path]) -> list[tuple[Layout, Path]]:
    match source.files.format:
        case "parquet":
            return [(_parquet_layout(source, path), path) for path in paths]
        case "csv" if source.files.header and source.files.delimiter != "whitespace":
            return [
                (_declared_first(source, path, _header(source, path)), path) for path in paths if path.stat().st_size
            ]
        case "jsonl":
            keys = _json_keys(spark, paths)
            return [
                (_json_layout(source, path, found), path)
                for path in paths
                if (found := keys.get(_uri(spark, path), set()))
            ]
        case _:
            return [(Layout(tuple(source.columns), ()), path) for path in paths]


def _refuse_columns(source: Source, path: Path, found: Collection[str]) -> None:
    missing = [name for name in source.asked_names if name not in found]
    if missing:
        new = sorted(name for name in found if name not in source.delivered_names)
        told = ", ".join(withheld(name) for name in new)
        renamed = f" It has {told} that nobody declared: was it renamed?" if new else ""
        if len(missing) == len(source.asked_names):
            # Then its first line may well be a row, whose values are nobody's to read here.
            renamed = " It has none of the columns declared: does it begin with their names?"
        raise DataRefused(
            f"{path}: the column {missing[0]} is missing.{renamed} "
            f"Ask {source.owner} for the file, or change [columns] in {source.location}."
        )
    by_letters: dict[str, str] = {}
    for name in sorted(found):
        other = by_letters.setdefault(name.casefold(), name)
        if other != name:
            raise DataRefused(
                f"{path}: the columns {withheld(other)} and {withheld(name)} differ only in capital letters. "
                f"Ask {source.owner} to deliver it with one of them."
            )


def _declared_first(source: Source, path: Path, found: Sequence[str]) -> Layout:
    if len(set(found)) < len(found):
        raise DataRefused(f"{path}: a column stands twice in its header. Ask {source.owner} to deliver it again.")
    _refuse_columns(source, path, found)
    return Layout(tuple(found), tuple(name for name in found if name not in source.columns))


def _json_layout(source: Source, path: Path, found: set[str]) -> Layout:
    _refuse_columns(source, path, found)
    return Layout(source.delivered_names, tuple(sorted(found - set(source.delivered_names))))


def _header(source: Source, path: Path) -> list[str]:
    # Unpacks .gz and .zst by the file's name, as Spark does.
    with io.TextIOWrapper(pa.input_stream(str(path)), encoding=_encoding(source), newline="") as lines:
        try:
            quoting = csv.QUOTE_MINIMAL if source.files.quote else csv.QUOTE_NONE
            quote = source.files.quote or None
            return next(csv.reader(lines, delimiter=source.files.delimiter, quotechar=quote, quoting=quoting), [])
        except (OSError, UnicodeError) as error:
            raise DataRefused(f"{path}: cannot be read ({error}). Ask {source.owner} to deliver it again.") from None


def _encoding(source: Source) -> str:
    # A byte-order mark is no part of the first column's name.
    return "utf-8-sig" if source.files.encoding == "utf-8" else source.files.encoding


def _json_keys(spark: SparkSession, paths: Sequence[Path]) -> dict[str, set[str]]:
    if not paths:
        return {}
    lines = spark.read.text([str(path) for path in paths]).select(
        F.col("_metadata.file_path").alias("file_path"), "value"
    )
    keys = lines.select("file_path", F.explode(F.json_object_keys("value")).alias("key"))
    found = keys.groupBy("file_path").agg(F.collect_set("key").alias("keys")).collect()
    return {row["file_path"]: set(row["keys"]) for row in found}


def _parquet_layout(source: Source, path: Path) -> Layout:
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowInvalid, OSError):
        raise DataRefused(f"{path}: not a Parquet file. Ask {source.owner} to deliver it again.") from None
    _refuse_columns(source, path, schema.names)
    for name, type_ in source.columns.items():
        found = str(schema.field(name).type)
        if not _agrees(type_, schema.field(name).type):
            raise DataRefused(
                f"{path}: the column {name} is {found}, {source.location} says {type_}. "
                f"Ask {source.owner} for the file as agreed, or change [columns]."
            )
    local = [
        name
        for name, type_ in source.columns.items()
        if type_.kind == "timestamp" and schema.field(name).type.tz is None
    ]
    undeclared = [name for name in schema.names if name not in source.columns and _is_plain(schema.field(name).type)]
    return Layout(tuple(source.columns), tuple(undeclared), tuple(local))


def _agrees(declared: ColumnType, found: pa.DataType) -> bool:
    if declared.pattern:
        return str(found) in ARROW_TYPES["string"]
    if declared.kind == "decimal":
        return pa.types.is_decimal(found) and (found.precision, found.scale) == (declared.precision, declared.scale)
    if declared.kind == "timestamp":
        return pa.types.is_timestamp(found) and found.unit in ("us", "ms")
    return str(found) in ARROW_TYPES[declared.kind]


def _is_plain(type_: pa.DataType) -> bool:
    return not pa.types.is_nested(type_) and str(type_) != "timestamp[ns]"


# ---- reading


def _read_files(spark: SparkSession, source: Source, layout: Layout, paths: Sequence[Path]) -> DataFrame:
    names = [str(path) for path in paths]
    match source.files.format:
        case "parquet":
            rows = _read_parquet(spark, source, layout, names)
        case "jsonl":
            held = (*layout.columns, *layout.undeclared)
            schema = ", ".join(f"{_quoted(name)} string" for name in (*held, CORRUPT))
            rows = spark.read.schema(schema).option("columnNameOfCorruptRecord", CORRUPT).json(names)
            values = {name: F.col(_quoted(name)) for name in held}
            rows = _given(rows, values, is_unparsable=F.col(_quoted(CORRUPT)).isNotNull())
        case _ if source.files.delimiter == "whitespace":
            rows = _read_blanks(spark, layout, names)
        case _:
            rows = _read_csv(spark, source, layout, names)
    columns = [_delivered(source, name).alias(name) for name in source.columns]
    undeclared = _undeclared(source, layout).alias("undeclared")
    return rows.select(*columns, undeclared, "is_unparsable", "position", "file_path")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _given(
    rows: DataFrame, values: Mapping[str, Column], *, is_unparsable: Column, position: Column | None = None
) -> DataFrame:
    """What a reader found: each column as it was delivered, and what is known of its row."""
    return rows.select(
        *(value.alias(GIVEN + name) for name, value in values.items()),
        is_unparsable.alias("is_unparsable"),
        (F.lit(None) if position is None else position).cast("bigint").alias("position"),
        # Even where the file has a column of this name.
        rows.metadataColumn("_metadata")["file_path"].alias("file_path"),
    )


def _delivered(source: Source, name: str) -> Column:
    top, *deeper = source.path(name)
    given = F.col(_quoted(GIVEN + top))
    return F.get_json_object(given, ".".join(("$", *deeper))) if deeper else given


def _undeclared(source: Source, layout: Layout) -> Column:
    if not layout.undeclared:
        return F.lit(None).cast("string")
    values = [(name, F.col(_quoted(GIVEN + name))) for name in sorted(layout.undeclared)]
    if source.personal:
        # Where people are named, a new column may name them too: it is reported, and kept once it is declared.
        values = [(withheld(name), F.when(value.isNotNull(), "withheld")) for name, value in values]
    return F.nullif(F.to_json(F.struct(*(value.alias(name) for name, value in values))), F.lit("{}"))


def _read_csv(spark: SparkSession, source: Source, layout: Layout, names: list[str]) -> DataFrame:
    files = source.files
    options: dict[str, str] = {
        "header": str(files.header).lower(),
        "sep": files.delimiter,
        "quote": files.quote or "\u0000",
        # RFC 4180: a quote within quotes is doubled.
        "escape": files.quote or "\u0000",
        "encoding": files.encoding,
        "multiLine": "true",
        "maxCharsPerColumn": str(LONGEST_FIELD),
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": CORRUPT,
    }
    # By place: whatever the header calls them.
    schema = ", ".join(f"{_quoted(name)} string" for name in (*map(_cell, range(len(layout.columns))), CORRUPT))
    rows = spark.read.schema(schema).options(**options).csv(names)
    is_unparsable = F.col(_quoted(CORRUPT)).isNotNull()
    values = {
        name: F.when(~is_unparsable, F.nullif(F.col(_cell(place)), F.lit(files.null)))
        for place, name in enumerate(layout.columns)
    }
    return _given(rows, values, is_unparsable=is_unparsable)


def _cell(place: int) -> str:
    return f"cell_{place}"


def _read_blanks(spark: SparkSession, layout: Layout, names: list[str]) -> DataFrame:
    rows = spark.read.text(names)
    line = F.trim(F.translate("value", "\t", " "))
    cells = F.split(line, " +")
    is_parsable = F.size(cells) == len(layout.columns)
    values = {name: F.when(is_parsable, cells[i]) for i, name in enumerate(layout.columns)}
    return _given(rows.where(line != ""), values, is_unparsable=~is_parsable)


def _read_parquet(spark: SparkSession, source: Source, layout: Layout, names: list[str]) -> DataFrame:
    types = source.raw_types()
    schema = [f"`{name}` {'timestamp_ntz' if name in layout.local_times else types[name]}" for name in layout.columns]
    schema += [f"{_quoted(name)} {_spark_type(names[0], name)}" for name in layout.undeclared]
    rows = spark.read.schema(", ".join(schema)).parquet(*names)
    values = {name: F.col(_quoted(name)) for name in (*layout.columns, *layout.undeclared)} | {
        name: F.to_utc_timestamp(F.col(f"`{name}`").cast("timestamp"), source.files.zone) for name in layout.local_times
    }
    position = rows.metadataColumn("_metadata")["row_index"]
    return _given(rows, values, is_unparsable=F.lit(False), position=position)


def _spark_type(path: str, name: str) -> str:
    type_ = pq.read_schema(path).field(name).type
    if pa.types.is_decimal(type_):
        return f"decimal({type_.precision},{type_.scale})"
    if pa.types.is_timestamp(type_):
        return "timestamp" if type_.tz else "timestamp_ntz"
    named = {
        name: kind for kind in ("bigint", "int", "string", "boolean", "double", "date") for name in ARROW_TYPES[kind]
    }
    return named.get(str(type_), "string") if str(type_) != "float" else "float"


# ---- the contract


def transform(rows: DataFrame, source: Source) -> DataFrame:
    """raw.<source>: one row as delivered, in the partition of its `night`."""
    occurrence = F.lit(None).cast("int")
    if not source.has_key:
        identical = Window.partitionBy("delivery_id", *(F.col(f"`{name}`") for name in source.columns)).orderBy(
            F.lit(1)
        )
        occurrence = F.row_number().over(identical)
    return contract(rows.withColumns({"occurrence": occurrence, "known_from_date": F.lit(None).cast("date")}), source)


def contract(rows: DataFrame, source: Source) -> DataFrame:
    """The columns of raw.<source>, with row ids: numbers that tell the rows of this landing apart."""
    numbered = rows.withColumns({"as_of_date": F.col("night"), "row_id": F.monotonically_increasing_id()})
    return select_contract(numbered, source.raw_table())
