"""From raw rows to records: what each text becomes, what is wrong with a row, and which day it belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from conf import Source
from jobs import land, mapping
from jobs.expressions import check_mapping
from jobs.frames import local_frame
from jobs.mapping import reasons, reasons_of
from schemas.feeds import FEEDS
from tests.jobs.rows import CURRENCY, PAYMENT, ZONE, Row, raw_frame, records_of, source_of


def found(
    records: DataFrame, source: Source, *columns: str, by: str = "transaction_id"
) -> dict[str, tuple[object, ...]]:
    """By key: the columns as text, and then the reasons the record carries."""
    names = reasons(source, source.feed_spec)
    told = records.select(
        by, *(F.col(name).cast("string").alias(f"_{name}") for name in columns), reasons_of(F.col("bits"), names)
    )
    return {row[0]: (*row[1:-1], set(row[-1])) for row in told.collect()}


# ---- types

FILES = {"path": "app/{date}/*", "format": "csv", "manifest": "given", "zone": "America/New_York"}
# A payment that is good whatever stands in the columns, so that only types are judged.
CONSTANT = {
    **{name: f"'{PAYMENT[name]}'" for name in ("customer_id", "product", "direction", "status", "currency")},
    "occurred_at": "timestamp '2026-01-31 10:00:00'",
    "amount_minor": "1",
}
TIME_TYPES = {
    "moment": "timestamp",
    "moment_by_pattern": "timestamp dd/MM/yyyy HH:mm:ss",
    "moment_with_offset": "timestamp yyyy-MM-dd'T'HH:mm:ssXXX",
    "day": "date",
    "day_by_pattern": "date yyyyMMdd",
}
OTHER_TYPES = {
    "whole": "int",
    "long": "bigint",
    "price": "decimal(14,2)",
    "rate": "double",
    "flag": "boolean",
    "words": "string",
}
TEXTS: list[tuple[str, str, str | None]] = [
    ("moment", "2026-01-31 12:30:00", "2026-01-31 17:30:00"),  # no offset: the source's zone, five hours behind UTC
    ("moment", "2026-07-31T12:30:00", "2026-07-31 16:30:00"),  # in summer four
    ("moment", "2026-01-31 12:30:00.123456", "2026-01-31 17:30:00.123456"),
    ("moment", "2026-01-31", "2026-01-31 05:00:00"),  # a date is its midnight in the source's zone
    ("moment", "  2026-01-31 12:30:00 ", "2026-01-31 17:30:00"),  # trimmed
    ("moment", "2026-01-31T12:30:00Z", "2026-01-31 12:30:00"),
    ("moment", "2026-01-31T12:30:00+05:30", "2026-01-31 07:00:00"),
    ("moment", "2026-01-31T12:30:00+0530", "2026-01-31 07:00:00"),
    ("moment", "2026-01-31 12:30:00-02:00", "2026-01-31 14:30:00"),
    ("moment", "2026-01-31 12:30:00+00", "2026-01-31 12:30:00"),  # as PostgreSQL writes UTC
    ("moment", "2026-01-31 12:30:00 UTC", "2026-01-31 12:30:00"),
    ("moment", "2026-01-31 12:30:00 Asia/Kolkata", "2026-01-31 07:00:00"),
    ("moment", "2026-03-08 02:30:00", "2026-03-08 07:30:00"),  # an hour that spring skips is read as the next
    ("moment", "2026-11-01 01:30:00", "2026-11-01 05:30:00"),  # an hour that autumn repeats, as the first
    ("moment", "12:30", None),  # a bare time would get its date from the clock
    ("moment", "2026", None),  # a bare year would become its first of January
    ("moment", "2026-02-30 12:00:00", None),
    ("moment", "31/01/2026 12:30:00", None),
    ("moment", "now", None),
    ("moment_by_pattern", "31/01/2026 12:30:00", "2026-01-31 17:30:00"),
    ("moment_by_pattern", "2026-01-31 12:30:00", None),
    ("moment_by_pattern", "31/02/2026 12:30:00", None),
    ("moment_with_offset", "2026-01-31T12:30:00+05:30", "2026-01-31 07:00:00"),
    ("moment_with_offset", "2026-01-31T12:30:00", None),  # the pattern asks for the offset
    ("day", "2026-01-31", "2026-01-31"),
    ("day", " 2026-01-31 ", "2026-01-31"),
    ("day", "2026-01-31 12:00:00", None),  # a time is more than was declared
    ("day", "2026-01", None),
    ("day_by_pattern", "20260131", "2026-01-31"),
    ("day_by_pattern", "2026-01-31", None),
    ("whole", " 42 ", "42"),
    ("whole", "-1", "-1"),
    ("whole", "2147483648", None),  # one more than an int holds
    ("whole", "4.5", None),
    ("long", "2147483648", "2147483648"),
    ("long", "9223372036854775808", None),
    ("price", "12.5", "12.50"),
    ("price", "-0.01", "-0.01"),
    ("price", " 7 ", "7.00"),
    ("price", "12.500", "12.50"),  # zeros are no more digits
    ("price", "12.505", None),  # rounding would change what was said
    ("price", "1000000000000.00", None),  # thirteen digits before the point, and twelve are declared
    ("price", "1,000.00", None),
    ("price", "NaN", None),
    ("rate", "0.5", "0.5"),
    ("rate", "1e3", "1000.0"),
    ("rate", "NaN", None),
    ("rate", "Infinity", None),
    ("rate", "-inf", None),
    ("rate", "1e999", None),
    ("flag", "true", "true"),
    ("flag", " FALSE ", "false"),
    ("flag", "1", "true"),
    ("flag", "maybe", None),
    ("words", " as it is ", " as it is "),  # text is never changed
]


# Feed columns that take any text, to read a source column out of.
FREE = ("category", "counterparty_token", "merchant_id", "biller_id", "device_id", "original_transaction_id")


def _read(
    spark: SparkSession, types: Mapping[str, str], cells: Sequence[tuple[str, str]], **files: str
) -> dict[tuple[str, str], tuple[object, ...]]:
    """By cell: its column as read, as text, and the reasons of a row in which nothing else stands."""
    feed_column = dict(zip(types, FREE, strict=False))
    source = source_of(
        files={**FILES, **files},
        columns={"case_no": "string", **types},
        map={
            **CONSTANT,
            "transaction_id": "case_no",
            **{feed_column[name]: f"cast({name} as string)" for name in types},
        },
    )
    rows: list[Row] = [{"case_no": str(number), column: text} for number, (column, text) in enumerate(cells)]
    told = found(records_of(spark, source, rows, defaults={}), source, *feed_column.values())
    place = {name: number for number, name in enumerate(types)}
    return {
        (column, text): (told[str(number)][place[column]], told[str(number)][-1])
        for number, (column, text) in enumerate(cells)
    }


@pytest.fixture(scope="module")
def texts_read(spark: SparkSession) -> dict[tuple[str, str], tuple[object, ...]]:
    read: dict[tuple[str, str], tuple[object, ...]] = {}
    for types in (TIME_TYPES, OTHER_TYPES):
        read |= _read(spark, types, [(column, text) for column, text, _ in TEXTS if column in types])
    return read


@pytest.mark.parametrize(("column", "text", "read"), TEXTS)
def test_a_text_is_read_as_its_type_or_refused(
    texts_read: dict[tuple[str, str], tuple[object, ...]], column: str, text: str, read: str | None
) -> None:
    refused = {f"{column}_invalid"} if read is None else set()
    assert texts_read[column, text] == (read, refused)


PARQUET_CELLS: list[tuple[str, str, str | None]] = [
    ("nanos", "1769862600123456789", "2026-01-31 17:30:00.123456"),  # 12:30 in New York, which nanoseconds do not say
    ("micros", "2026-01-31 12:30:00", "2026-01-31 12:30:00"),  # Parquet says the instant
    ("rate", "0.5", "0.5"),
    ("rate", "NaN", None),
    ("rate", "-Infinity", None),
    ("price", "12.5", "12.50"),
    ("text_day", "20260131", "2026-01-31"),  # a pattern is of text, in Parquet too
    ("text_day", "31.01.2026", None),
]


def test_parquet_keeps_its_own_types(spark: SparkSession) -> None:
    types = {
        "nanos": "timestamp_ns",
        "micros": "timestamp",
        "rate": "double",
        "price": "decimal(14,2)",
        "text_day": "date yyyyMMdd",
    }
    read = _read(spark, types, [(column, text) for column, text, _ in PARQUET_CELLS], format="parquet")
    for column, text, value in PARQUET_CELLS:
        assert read[column, text] == (value, set() if value else {f"{column}_invalid"})


def test_a_date_mapped_to_a_timestamp_is_midnight_in_the_zone_of_the_source(spark: SparkSession) -> None:
    source = source_of(
        files=FILES,
        columns={"case_no": "string", "day": "date yyyyMMdd"},
        map={**CONSTANT, "transaction_id": "case_no", "occurred_at": "day"},
    )
    raw = raw_frame(spark, source, [{"case_no": "1", "day": "20260130"}])
    records = mapping.records(raw, source, check_mapping(spark, source), zone="America/New_York", currency=CURRENCY)
    # Midnight in UTC would be the evening of the 29th.
    assert found(records, source, "occurred_at", "event_date") == {"1": ("2026-01-30 05:00:00", "2026-01-30", set())}


# ---- reasons

_TYPES = {column.name: column.type for column in FEEDS["transactions"].columns if column.name != "amount_minor"}
# Amounts come as rupees, the rest in the feed's own names.
RUPEES: dict[str, Any] = {
    "columns": {**_TYPES, "rupees": "decimal(14,2)", "in_floats": "double"},
    "map": {**{name: name for name in _TYPES}, "amount_minor": "cast(rupees * 100 as bigint)"},
}
GOOD: Row = {**{name: value for name, value in PAYMENT.items() if name != "amount_minor"}, "rupees": "500.00"}

ROWS: list[tuple[str, Row, set[str]]] = [
    ("nothing is wrong", {}, set()),
    ("no customer", {"customer_id": None}, {"customer_id_missing"}),
    ("no key", {"transaction_id": None}, {"transaction_id_missing"}),
    ("no time", {"occurred_at": None}, {"occurred_at_missing"}),
    ("no product", {"product": None}, {"product_missing"}),
    ("no direction", {"direction": None}, {"direction_missing"}),
    ("no status", {"status": None}, {"status_missing"}),
    ("no currency", {"currency": None}, {"currency_missing"}),
    ("no amount", {"rupees": None}, {"amount_minor_missing"}),
    ("the rail need not be there", {"rail": None}, set()),
    ("an unknown product", {"product": "lottery"}, {"product_invalid"}),
    ("an unknown rail", {"rail": "cash"}, {"rail_invalid"}),
    ("an unknown direction", {"direction": "sideways"}, {"direction_invalid"}),
    ("an unknown status", {"status": "MAYBE"}, {"status_invalid"}),
    ("the currency of another lake", {"currency": "USD"}, {"currency_invalid"}),
    ("a time that does not cast is invalid and not missing too", {"occurred_at": "noon"}, {"occurred_at_invalid"}),
    ("what stands in for it does not hide that", {"updated_at": "noon"}, {"updated_at_invalid"}),
    ("an amount that does not cast", {"rupees": "many"}, {"rupees_invalid"}),
    ("a column that is not mapped is judged as well", {"in_floats": "many"}, {"in_floats_invalid"}),
    ("nothing paid", {"rupees": "0.00"}, {"amount_zero"}),
    ("less than nothing paid", {"rupees": "-0.01"}, {"amount_negative"}),
    ("more decimals than the currency has", {"rupees": "5.005"}, {"amount_fraction"}),
    ("less than a paisa is a fraction and not zero", {"rupees": "0.001"}, {"amount_fraction"}),
    ("the last moment of tomorrow, Indian time, is early", {"occurred_at": "2026-02-01 18:29:59"}, set()),
    ("more than a day past the night", {"occurred_at": "2026-02-01 18:30:00"}, {"in_the_future"}),
    (
        "a reversal more than a day past the night",
        {"status": "reversed", "updated_at": "2026-02-01 18:30:00"},
        {"in_the_future"},
    ),
    ("touched by a clock that is days ahead", {"updated_at": "2026-02-05 10:00"}, {"in_the_future"}),
    ("the last second before 1970", {"occurred_at": "1969-12-31 23:59:59"}, {"before_1970"}),
    ("the first second of 1970", {"occurred_at": "1970-01-01 00:00:00"}, set()),
    ("touched before 1970", {"updated_at": "1969-12-31 23:59:59"}, {"before_1970"}),
    ("a line that does not split says nothing else", {**dict.fromkeys(GOOD), "is_unparsable": "true"}, {"unparsable"}),
    (
        "every reason that applies",
        {"customer_id": None, "rupees": "0", "status": "MAYBE", "currency": "USD", "occurred_at": "2036-01-01 10:00"},
        {"customer_id_missing", "amount_zero", "status_invalid", "currency_invalid", "in_the_future"},
    ),
    (
        "an unreadable value hides no other fault",
        {"rupees": "many", "occurred_at": "noon", "customer_id": None, "updated_at": "1969-01-01 10:00"},
        {"rupees_invalid", "occurred_at_invalid", "customer_id_missing", "before_1970"},
    ),
]


@pytest.fixture(scope="module")
def judged(spark: SparkSession) -> dict[str, tuple[object, ...]]:
    source = source_of(**RUPEES)
    rows: list[Row] = [{**row, "merchant_id": name} for name, row, _ in ROWS]
    return found(records_of(spark, source, rows, defaults=GOOD), source, by="merchant_id")


@pytest.mark.parametrize(("name", "expected"), [(name, expected) for name, _, expected in ROWS])
def test_a_row_carries_every_reason_that_applies(
    judged: dict[str, tuple[object, ...]], name: str, expected: set[str]
) -> None:
    assert judged[name] == (expected,)


def test_zero_amounts_may_be_accepted(spark: SparkSession) -> None:
    source = source_of(**RUPEES, limits={"zero_amounts": "accept"})
    rows: list[Row] = [{"transaction_id": "zero", "rupees": "0.00"}, {"transaction_id": "less", "rupees": "-1"}]
    assert found(records_of(spark, source, rows, defaults=GOOD), source, "amount_minor") == {
        "zero": ("0", set()),
        "less": ("-100", {"amount_negative"}),
    }


def test_fractions_that_floating_point_brings_are_refused_unless_the_mapping_rounds(spark: SparkSession) -> None:
    cases: list[tuple[str, dict[str, set[str]]]] = [
        ("cast(in_floats * 100 as bigint)", {"exact": set(), "third": {"amount_fraction"}}),
        ("cast(round(in_floats * 100) as bigint)", {"exact": set(), "third": set()}),
        ("cast(in_floats as bigint) + cast(in_floats as bigint)", {"exact": set(), "third": set()}),  # no one cast
    ]
    for amount, expected in cases:
        source = source_of(columns=RUPEES["columns"], map={**RUPEES["map"], "amount_minor": amount})
        rows: list[Row] = [
            {"transaction_id": "exact", "in_floats": "2.5"},
            {"transaction_id": "third", "in_floats": "1.333"},
        ]
        told = found(records_of(spark, source, rows, defaults=GOOD), source)
        assert told == {key: (carried,) for key, carried in expected.items()}, amount


def test_what_a_mapping_cannot_compute_is_missing_from_its_row_and_the_others_go_on(spark: SparkSession) -> None:
    columns = {**RUPEES["columns"], "text": "string", "paise": "bigint"}
    rows: list[Row] = [
        {"transaction_id": "good", "text": "3", "paise": "12"},
        {"transaction_id": "no number", "text": "three", "paise": "12"},
        {"transaction_id": "by zero", "text": "0", "paise": "12"},
        {"transaction_id": "too big", "text": "0.1", "paise": str(2**62)},
    ]
    expected = {
        "cast(paise / cast(text as decimal(4,1)) as bigint)": ("4", None, None, None),
        "paise * cast(text as int)": ("36", None, "0", None),
        "paise * 4": ("48", "48", "48", None),
        "cast(text as bigint)": ("3", None, "0", None),
    }
    for amount, values in expected.items():
        source = source_of(columns=columns, map={**RUPEES["map"], "amount_minor": amount})
        told = found(records_of(spark, source, rows, defaults=GOOD), source, "amount_minor")
        for row, value in zip(rows, values, strict=True):
            amount_told, carried = told[str(row["transaction_id"])]
            assert amount_told == value, (amount, row)
            assert ("amount_minor_missing" in str(carried)) == (value is None), (amount, row)


# ---- grouped sources

INVOICES: dict[str, Any] = {
    "group_by": ("invoice",),
    "columns": {"invoice": "string", "buyer": "string", "at": "timestamp", "price": "decimal(14,2)", "units": "int"},
    "map": {
        "transaction_id": "invoice",
        "customer_id": "max(buyer)",
        "occurred_at": "min(at)",
        "updated_at": "max(at)",
        "product": "'marketplace_order'",
        "direction": "'debit'",
        "status": "'success'",
        "amount_minor": "cast(100 * sum(price * units) as bigint)",
        "currency": "'INR'",
    },
}
LINE: Row = {"invoice": "A", "buyer": "anna", "at": "2026-01-31 10:00", "price": "1.50", "units": "2"}


def test_lines_of_one_invoice_are_one_record_and_share_its_fate(spark: SparkSession) -> None:
    source = source_of(**INVOICES)
    rows: list[Row] = [
        {"invoice": "A"},
        {"invoice": "A", "price": "0.25", "at": "2026-01-31 10:05", "buyer": None},
        {"invoice": "B"},
        {"invoice": "B", "units": "two"},
        {"invoice": "B", "at": "noon"},
        {"invoice": "C"},
        {"invoice": "C", "delivery_id": "second"},
    ]
    records = records_of(spark, source, rows, defaults=LINE)
    assert found(
        records.where("transaction_id <> 'C'"), source, "source_rows", "amount_minor", "occurred_at", "updated_at"
    ) == {
        "A": ("2", "350", "2026-01-31 10:00:00", "2026-01-31 10:05:00", set()),  # 2 × 1.50 + 2 × 0.25
        # Two lines are faulty, each in its own way: the record carries both, and so do all its three lines.
        "B": ("3", "600", "2026-01-31 10:00:00", "2026-01-31 10:00:00", {"units_invalid", "at_invalid"}),
    }
    assert records.where("transaction_id = 'C'").count() == 2  # a group does not reach over deliveries


# ---- sources without ids


def test_identical_rows_are_different_facts_and_a_second_delivery_of_them_is_not(spark: SparkSession) -> None:
    columns = {name: type_ for name, type_ in _TYPES.items() if name != "transaction_id"}
    feed_map = {**{name: name for name in columns}, "amount_minor": "500"}
    source = source_of(columns=columns, map=feed_map)
    cells = {name: str(PAYMENT[name]) for name in columns if name in PAYMENT}
    lines = [cells, cells, {**cells, "occurred_at": "2026-01-31 11:00"}, {**cells, "rail": None}]
    names = (*columns, "delivery_id")
    rows = [[{**line, "delivery_id": each}.get(name) for name in names] for each in ("d1", "d2") for line in lines]
    delivered = local_frame(spark, rows, ", ".join(f"`{name}` string" for name in names)).withColumns(
        {
            "night": F.lit("2026-01-31").cast("date"),
            "file": F.lit("part.csv"),
            "position": F.lit(None),
            "is_unparsable": F.lit(False),
            "delivered_date": F.lit(None).cast("date"),
            "undeclared": F.lit(None),
        }
    )
    raw = land.transform(delivered, source)
    records = mapping.records(raw, source, check_mapping(spark, source), zone=ZONE, currency=CURRENCY)
    keys: dict[str, set[str]] = {"d1": set(), "d2": set()}
    for row in records.select("delivery_id", "transaction_id").collect():
        keys[row["delivery_id"]].add(row["transaction_id"])
    assert len(keys["d1"]) == len(lines)
    assert keys["d1"] == keys["d2"]


# ---- days

PAYMENT_DAYS: list[tuple[str, Row, str, str]] = [
    ("the last second of the day", {"occurred_at": "2026-01-31 18:29:59"}, "2026-01-31", "2026-01-31"),
    ("India's midnight is 18:30 in UTC", {"occurred_at": "2026-01-31 18:30:00"}, "2026-02-01", "2026-02-01"),
    ("five past midnight", {"occurred_at": "2026-01-31 18:35:00"}, "2026-02-01", "2026-02-01"),
    (
        "a success is dated by when she paid, however late it was told",
        {"occurred_at": "2026-01-20 10:00", "updated_at": "2026-01-31 10:00"},
        "2026-01-20",
        "2026-01-20",
    ),
    (
        "so is a failure",
        {"occurred_at": "2026-01-20 10:00", "updated_at": "2026-01-31 10:00", "status": "failed"},
        "2026-01-20",
        "2026-01-20",
    ),
    (
        "a reversal by when it was made, and it is looked for from the payment on",
        {"occurred_at": "2026-01-20 10:00", "updated_at": "2026-01-31 18:35", "status": "reversed"},
        "2026-02-01",
        "2026-01-20",
    ),
    (
        "a reversal that does not say when",
        {"occurred_at": "2026-01-20 10:00", "status": "reversed"},
        "2026-01-20",
        "2026-01-20",
    ),
]


def test_what_day_a_payment_belongs_to(spark: SparkSession) -> None:
    source = source_of()
    rows: list[Row] = [{**row, "transaction_id": name} for name, row, _, _ in PAYMENT_DAYS]
    told = found(records_of(spark, source, rows), source, "event_date", "learned_date")
    assert told == {name: (event, learned, set()) for name, _, event, learned in PAYMENT_DAYS}


def test_what_day_a_version_belongs_to(spark: SparkSession) -> None:
    source = source_of(feed="customers")
    rows: list[Row] = [
        {"customer_id": "registered", "registered_at": "2026-01-20 10:00"},
        {"customer_id": "changed", "registered_at": "2026-01-20 10:00", "updated_at": "2026-01-30 18:30"},
    ]
    told = found(records_of(spark, source, rows), source, "event_date", "updated_at", by="customer_id")
    assert told == {
        "registered": ("2026-01-20", "2026-01-20 10:00:00", set()),  # registered_at stands in for updated_at
        "changed": ("2026-01-31", "2026-01-30 18:30:00", set()),
    }
