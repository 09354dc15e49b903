"""Files become rows as they were delivered, each with where it came from; what is not as agreed is refused by name."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from conf import Source
from jobs import land, taking
from jobs.errors import DataRefused
from jobs.ledger import Ledger
from jobs.tokens import TokenMaker
from tests.conftest import Place, packed
from tests.jobs.sources import payments

MON, TUE = date(2026, 1, 26), date(2026, 1, 27)
COLUMNS = 'k = "string"\nv = "string"\n'
MAPPED = 'transaction_id = "k"\ncustomer_id = "v"\noccurred_at = "cast(null as timestamp)"\namount_minor = "1"\n'


def source(
    place: Place,
    *,
    kind: str = "csv",
    name: str = "*.csv",
    columns: str = COLUMNS,
    files: str = "",
    folder: str = "{date}",
    personal: str = "",
) -> Source:
    text = payments(
        path=f"payments/{folder}/{name}",
        top="required = false",
        files=f'format = "{kind}"\nmanifest = "computed"\n{files}',
        columns=columns,
        changed_map=MAPPED,
        limits=f"[personal]\n{personal}\n" if personal else "",
    )
    return place.configure(text).sources[0]


def put(place: Place, name: str, content: bytes, folder: str = "2026-01-26") -> Path:
    file = place.landing / "payments" / folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def read(spark: SparkSession, place: Place, source: Source) -> DataFrame:
    ledger = Ledger.open(place.settings().ledger_url)
    parts = taking.take(source, place.landing, ledger, [TUE])
    return land.read(spark, source, parts)


def cells(rows: DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    return sorted((tuple(row) for row in rows.select(*columns).collect()), key=str)


# ---- csv


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_csv_as_rfc_4180_has_it(spark: SparkSession, place: Place, name: str) -> None:
    text = (
        b"k,v\n"
        b"plain,1\n"
        b'newline,"two\nlines"\n'
        b'quotes,"say ""hi"", twice"\n'
        b'backslash,"a\\"\n'
        b"blanks,  kept  \n"
        b"empty,\n"
        b"number,0012.50\n"
    )
    put(place, name, packed(name, text))
    rows = read(spark, place, source(place, name="*.csv*"))
    assert dict(cells(rows, "k", "v")) == {
        "plain": "1",
        "newline": "two\nlines",
        "quotes": 'say "hi", twice',
        "backslash": "a\\",
        "blanks": "  kept  ",
        "empty": None,  # `null` is "" unless the source says otherwise.
        "number": "0012.50",
    }
    assert cells(rows.where("is_unparsable"), "k") == []


def test_every_row_says_where_it_came_from(spark: SparkSession, place: Place) -> None:
    put(place, "a.csv", b"k,v\n1,a\n")
    put(place, "b.csv", b"v,k\nb,2\n")  # Other order of columns, same names.
    put(place, "c.csv", b"k,v\n3,c\n", folder="2026-01-27")
    rows = land.transform(read(spark, place, source(place)), source(place))
    (first,) = {row[0] for row in cells(rows.where("k in ('1', '2')"), "delivery_id")}
    assert first.startswith("payments-2026-01-26-")
    assert cells(rows, "k", "v", "file", "as_of_date") == [
        ("1", "a", "payments/2026-01-26/a.csv", TUE),
        ("2", "b", "payments/2026-01-26/b.csv", TUE),
        ("3", "c", "payments/2026-01-27/c.csv", TUE),
    ]
    assert len({row["row_id"] for row in rows.collect()}) == 3


def test_lines_that_do_not_split_are_kept_as_such(spark: SparkSession, place: Place) -> None:
    put(place, "a.csv", b"k,v\n1,a\n2,b,c\n3\n")
    rows = read(spark, place, source(place))
    assert cells(rows, "k", "v", "is_unparsable") == [("1", "a", False), (None, None, True), (None, None, True)]


def test_the_options_of_a_csv(spark: SparkSession, place: Place) -> None:
    put(place, "a.csv", "\n".join(["1;'x;y'", "2;NULL", "3;é"]).encode("iso-8859-1"))
    files = 'header = false\ndelimiter = ";"\nquote = "\'"\nencoding = "iso-8859-1"\nnull = "NULL"\n'
    assert cells(read(spark, place, source(place, files=files)), "k", "v") == [("1", "x;y"), ("2", None), ("3", "é")]


def test_a_byte_order_mark_is_no_part_of_the_first_column(spark: SparkSession, place: Place) -> None:
    put(place, "a.csv", "\ufeffk,v\n1,a\n".encode())
    assert cells(read(spark, place, source(place)), "k", "v") == [("1", "a")]


def test_runs_of_blanks_and_tabs(spark: SparkSession, place: Place) -> None:
    put(place, "a.csv", b" 00001  a  \n\n00002\t \tb\n00003 c d\n")
    rows = read(spark, place, source(place, files='header = false\ndelimiter = "whitespace"\n'))
    assert cells(rows, "k", "v", "is_unparsable") == [("00001", "a", False), ("00002", "b", False), (None, None, True)]


def test_a_header_alone_is_no_row(spark: SparkSession, place: Place) -> None:
    put(place, "a.csv", b"k,v\n")
    assert cells(read(spark, place, source(place)), "k") == []


# ---- json lines


def test_json_lines_are_read_by_path_and_what_no_path_names_is_left(spark: SparkSession, place: Place) -> None:
    put(
        place,
        "a.jsonl",
        b'{"k": "1", "v": "a", "context": {"device": {"id": "d1", "ip": "10.0.0.1"}, "active": false}}\n'
        b'{"k": "2", "v": "b", "context": {"active": "yes"}, "other": 1}\n'
        b'{"k": "3", "v": "c"}\n',  # a column that [paths] names may be absent
    )
    place.configure(
        payments(
            path="payments/{date}/*.jsonl",
            top="required = false",
            files='format = "jsonl"\nmanifest = "computed"\n',
            columns=COLUMNS + 'device = "string"\nis_active = "string"\n',
            changed_map=MAPPED,
            limits='[paths]\ndevice = "context.device.id"\nis_active = "context.active"\n',
        )
    )
    (own,) = place.settings().sources
    rows = read(spark, place, own)
    assert cells(rows, "k", "device", "is_active", "undeclared") == [
        ("1", "d1", "false", None),
        ("2", None, "yes", '{"other":"1"}'),
        ("3", None, None, None),
    ]
    assert "10.0.0.1" not in str(rows.collect())


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst"])
def test_json_lines_keep_the_digits_of_their_numbers(spark: SparkSession, place: Place, name: str) -> None:
    lines = [
        b'{"k": "number", "v": 12345678901234567.8900}',
        b'{"v": 1e3, "k": "exponent"}',
        b'{"k": "text", "v": "007"}',
        b'{"k": "boolean", "v": true}',
        b'{"k": "null", "v": null}',
        b'{"k": "missing"}',
        b'{"k": "object", "v": {"a": 1.50}}',
        b'{"k": "broken", "v": ',
    ]
    put(place, name, packed(name, b"\n".join(lines)))
    rows = read(spark, place, source(place, kind="jsonl", name="*.jsonl.*"))
    assert dict(cells(rows.where("not is_unparsable"), "k", "v")) == {
        "number": "12345678901234567.8900",
        "exponent": "1e3",
        "text": "007",
        "boolean": "true",
        "null": None,
        "missing": None,
        "object": '{"a": 1.50}',
    }
    assert cells(rows.where("is_unparsable"), "k", "v") == [(None, None)]


# ---- parquet


def write_parquet(place: Place, columns: Mapping[str, pa.Array], name: str = "a.parquet") -> None:
    file = put(place, name, b"")
    pq.write_table(pa.table(dict(columns)), file)


def parquet_source(place: Place, columns: str) -> Source:
    return source(place, kind="parquet", name="*.parquet", columns=COLUMNS + columns)


def keys(*rows: str) -> dict[str, pa.Array]:
    return {"k": pa.array(rows), "v": pa.array(rows)}


def test_parquet_keeps_its_types_and_the_place_of_each_row(spark: SparkSession, place: Place) -> None:
    local = datetime.fromisoformat("2026-01-26T10:00:00")
    instant = datetime(2026, 1, 26, 4, 30, tzinfo=UTC)
    write_parquet(
        place,
        keys("1", "2")
        | {
            "nanoseconds": pa.array([1_769_421_600_000_000_001, None], pa.timestamp("ns")),
            "local": pa.array([local, None], pa.timestamp("us")),
            "instant": pa.array([instant, None], pa.timestamp("us", tz="UTC")),
            "amount": pa.array([Decimal("12.50"), None], pa.decimal128(14, 2)),
            "small": pa.array([7, None], pa.int32()),
        },
    )
    columns = (
        'nanoseconds = "timestamp_ns"\nlocal = "timestamp"\ninstant = "timestamp"\n'
        'amount = "decimal(14,2)"\nsmall = "bigint"\n'
    )
    rows = read(spark, place, parquet_source(place, columns))
    assert dict(rows.dtypes)["nanoseconds"] == "bigint"
    first, second = rows.orderBy("k").select("nanoseconds", "local", "instant", "amount", "small", "position").collect()
    # 10:00 in the source's zone, Asia/Kolkata, is 04:30 UTC; the session shows UTC.
    naive = instant.replace(tzinfo=None)
    assert tuple(first) == (1_769_421_600_000_000_001, naive, naive, Decimal("12.50"), 7, 0)
    assert tuple(second) == (None, None, None, None, None, 1)


@pytest.mark.parametrize(
    ("declared", "delivered", "found"),
    [
        ("int", pa.array([1], pa.int64()), "int64"),
        ("string", pa.array([1], pa.int64()), "int64"),
        ("decimal(14,2)", pa.array([Decimal("1.0")], pa.decimal128(14, 1)), r"decimal128\(14, 1\)"),
        ("timestamp", pa.array([1], pa.timestamp("ns")), r"timestamp\[ns\]"),
        ("date", pa.array(["2026-01-26"]), "string"),
    ],
)
def test_a_retyped_parquet_column_is_refused_by_name(
    spark: SparkSession, place: Place, declared: str, delivered: pa.Array, found: str
) -> None:
    write_parquet(place, keys("1") | {"x": delivered})
    with pytest.raises(DataRefused, match=rf"a\.parquet: the column x is {found}, .*payments\.toml says "):
        read(spark, place, parquet_source(place, f'x = "{declared}"\n'))


def test_what_is_no_parquet_file_is_refused(spark: SparkSession, place: Place) -> None:
    put(place, "a.parquet", b"PAR")
    with pytest.raises(DataRefused, match=r"a\.parquet: not a Parquet file"):
        read(spark, place, parquet_source(place, ""))


# ---- columns that came and went


def write(place: Place, kind: str, columns: Sequence[str]) -> Source:
    """One file with one row, whose values are the names of its columns."""
    match kind:
        case "csv":
            put(place, "a.csv", f"{','.join(columns)}\n{','.join(columns)}\n".encode())
        case "jsonl":
            put(place, "a.jsonl", ("{" + ", ".join(f'"{name}": "{name}"' for name in columns) + "}\n").encode())
        case _:
            write_parquet(place, {name: pa.array([name]) for name in columns})
    return source(place, kind=kind, name=f"*.{kind}")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_columns_that_are_missing_or_renamed_are_refused_by_name(spark: SparkSession, place: Place, kind: str) -> None:
    with pytest.raises(DataRefused, match=r"the column v is missing\. Ask payments-team"):
        read(spark, place, write(place, kind, ["k"]))
    with pytest.raises(DataRefused, match=r"the column v is missing\. It has w that nobody declared: was it renamed\?"):
        read(spark, place, write(place, kind, ["k", "w"]))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_new_column_is_kept_as_undeclared(spark: SparkSession, place: Place, kind: str) -> None:
    rows = read(spark, place, write(place, kind, ["z", "k", "a", "v"]))
    assert cells(rows, "k", "v", "undeclared") == [("k", "v", '{"a":"a","z":"z"}')]


ODD = ["position", "file_path", "file", "night", "row_id", "is_unparsable", "a`b", "a.b", "_metadata", "_unparsable"]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_new_column_may_be_called_as_it_likes(spark: SparkSession, place: Place, kind: str) -> None:
    """And is taken for none of the lake's own, which go by such names."""
    read_in = land.transform(read(spark, place, declared := write(place, kind, ["k", *ODD, "v"])), declared)
    [row] = read_in.select("k", "v", "undeclared", "is_unparsable", "position", "file").collect()
    assert json.loads(row["undeclared"]) == {name: name for name in ODD}
    position = 0 if kind == "parquet" else None
    assert tuple(row)[:2] + tuple(row)[3:] == ("k", "v", False, position, f"payments/2026-01-26/a.{kind}")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_columns_that_differ_only_in_capital_letters_are_refused_by_name(
    spark: SparkSession, place: Place, kind: str
) -> None:
    with pytest.raises(
        DataRefused, match=r"a\.\w+: the columns V and v differ only in capital letters\. Ask payments-"
    ):
        read(spark, place, write(place, kind, ["k", "v", "V"]))


def test_where_people_are_named_neither_a_new_value_nor_its_name_is_kept(spark: SparkSession, place: Place) -> None:
    put(place, "a.jsonl", b'{"k": "1", "v": "98765 43210", "position": "9876512345", "9876543210": "Mum"}\n')
    named = source(place, kind="jsonl", name="*.jsonl", personal='v = "phone"')
    parts = taking.take(named, place.landing, Ledger.open(place.settings().ledger_url), [TUE])
    [row] = land.read(spark, named, parts, TokenMaker("1", bytes(32), "IN")).collect()
    assert json.loads(row["undeclared"]) == {"position": "withheld", "withheld": "withheld"}
    assert "98765" not in str(row.asDict())


def test_a_column_that_stands_twice_is_refused(spark: SparkSession, place: Place) -> None:
    with pytest.raises(DataRefused, match="a column stands twice"):
        read(spark, place, write(place, "csv", ["k", "v", "v"]))


# ---- packed files


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_an_archive_put_together_of_several_is_read_whole(spark: SparkSession, place: Place, kind: str) -> None:
    name = f"a.csv.{kind}"
    put(place, name, packed(name, b"1,a\n2,b\n") + packed(name, b"3,c\n"))
    rows = read(spark, place, source(place, name="*.csv.*", files="header = false\n"))
    assert cells(rows, "k", "v", "file") == [(k, v, f"payments/2026-01-26/{name}") for k, v in ("1a", "2b", "3c")]


def test_blanks_in_zstd(spark: SparkSession, place: Place) -> None:
    put(place, "a.txt.zst", packed("a.txt.zst", b" 1   a\n\t2 b \n"))
    files = 'header = false\ndelimiter = "whitespace"\n'
    assert cells(read(spark, place, source(place, name="*.zst", files=files)), "k", "v") == [("1", "a"), ("2", "b")]


# ---- files that arrived broken


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_zero_byte_archive_holds_no_row(spark: SparkSession, place: Place, kind: str) -> None:
    """So that the count of rows differs from the manifest's, which refuses the delivery."""
    settings = place.configure(payments(path=f"payments/{{date}}/*.{kind}", columns=COLUMNS, changed_map=MAPPED))
    nothing = {"name": f"a.csv.{kind}", "bytes": 0, "sha256": hashlib.sha256(b"").hexdigest(), "rows": 1}
    (place.deliver("payments", TUE, [], changes={"files": [nothing]}) / f"a.csv.{kind}").write_bytes(b"")
    assert cells(read(spark, place, settings.sources[0]), "k") == []


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_truncated_archive_is_refused(spark: SparkSession, place: Place, kind: str) -> None:
    whole = packed(f"a.csv.{kind}", b"k,v\n1,a\n")
    put(place, f"a.csv.{kind}", whole[: len(whole) // 2])
    with pytest.raises(DataRefused, match=rf"a\.csv\.{kind}: cannot be read"):
        read(spark, place, source(place, name="*.csv.*"))


def test_a_gz_that_is_truncated_further_in_stops_the_job(spark: SparkSession, place: Place) -> None:
    """The header can be read, so only Spark comes to where it ends; it must not take what it got for the whole."""
    rows = "".join(f"{i},{i * 7919 % 104729}\n" for i in range(40_000))
    whole = gzip.compress(b"k,v\n" + rows.encode())
    put(place, "a.csv.gz", whole[: len(whole) // 2])
    with pytest.raises(Exception, match="FAILED_READ_FILE"):  # Spark's or py4j's, whichever tells first.
        read(spark, place, source(place, name="*.csv.gz")).count()


# ---- paths


@pytest.mark.parametrize("landing", ["the landing", "läden", "a+b,c=(d)&e@f", "100%20"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_rows_are_found_below_any_landing_folder(spark: SparkSession, tmp_path: Path, landing: str, kind: str) -> None:
    place = Place(tmp_path / landing)
    assert cells(read(spark, place, write(place, kind, ["k", "v"])), "k", "file") == [
        ("k", f"payments/2026-01-26/a.{kind}")
    ]


def test_folders_named_as_hive_does_are_read(spark: SparkSession, place: Place) -> None:
    put(place, "part=1.csv", b"k,v\n1,a\n", folder="date=2026-01-26")
    rows = read(spark, place, source(place, folder="date={date}"))
    assert cells(rows, "k", "v", "file") == [("1", "a", "payments/date=2026-01-26/part=1.csv")]


# ---- the contract


def test_identical_rows_of_a_source_without_ids_are_numbered(spark: SparkSession, place: Place) -> None:
    put(place, "a.csv", b"k,v\n1,a\n1,a\n2,a\n")
    put(place, "b.csv", b"k,v\n1,a\n", folder="2026-01-27")
    without_ids = place.configure(
        payments(
            path="payments/{date}/*.csv",
            top="required = false",
            files='format = "csv"\nmanifest = "computed"\n',
            columns=COLUMNS,
            changed_map=MAPPED + 'transaction_id = ""\n',
        )
    ).sources[0]
    rows = land.transform(read(spark, place, without_ids), without_ids)
    # Numbered within a delivery: the row of the other delivery is the first of its own.
    numbered = cells(rows, "k", "file", "occurrence")
    assert sorted((k, file.rpartition("/")[2], occurrence) for k, file, occurrence in numbered) == [
        ("1", "a.csv", 1),
        ("1", "a.csv", 2),
        ("1", "b.csv", 1),
        ("2", "a.csv", 1),
    ]
