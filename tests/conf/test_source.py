from __future__ import annotations

from pathlib import Path

import pytest

import conf
from conf.source import ColumnType, Source

CDNOW = """\
name  = "cdnow"
feed  = "transactions"
owner = "growth"
about = "CDNOW purchases, 1997-01 to 1998-06: one purchase a line."
late_days = 0

[files]
path      = "cdnow/CDNOW_master.txt"
format    = "csv"
header    = false
delimiter = "whitespace"
manifest  = "computed"
zone      = "America/New_York"

[columns]
customer = "string"
day      = "date yyyyMMdd"
units    = "int"
dollars  = "decimal(10,2)"

[map]
customer_id  = "customer"
occurred_at  = "day"
product      = "'marketplace_order'"
direction    = "'debit'"
status       = "'success'"
amount_minor = "cast(dollars * 100 as bigint)"
currency     = "'USD'"

[limits]
zero_amounts = "accept"
"""

RECHARGES = """\
name  = "recharges"                   # also the raw table: raw.recharges
feed  = "transactions"
owner = "recharge-team"
about = "Mobile and DTH recharges, one delivery per day."
required  = true                      # false: the night goes on without it
late_days = 7
cadence   = "daily"

[files]
path     = "recharges/{date}/*.csv.gz"
format   = "csv"
manifest = "given"
zone     = "Asia/Kolkata"

[columns]
order_no = "string"
user_id = "string"
created = "timestamp"
changed = "timestamp"
rupees = "decimal(14,2)"
state = "string"
operator = "string"

[map]
transaction_id = "order_no"
customer_id = "user_id"
occurred_at = "created"
updated_at = "changed"
product = "'recharge'"
category = "'mobile'"
direction = "'debit'"
status = "case state when 'OK' then 'success' when 'FAIL' then 'failed' else 'pending' end"
amount_minor = "cast(rupees * 100 as bigint)"
currency = "'INR'"
biller_id = "operator"

[limits]
max_quarantined = 0.01
zero_amounts = "quarantine"
"""

INVOICES = """\
name = "invoices"
feed = "transactions"
owner = "growth"
about = "One invoice is many rows."
late_days = 0
group_by = ["InvoiceNo"]

[files]
path = "invoices/*.parquet"
format = "parquet"
manifest = "computed"

[columns]
InvoiceNo = "string"
InvoiceDate = "timestamp_ns"
Day = "date dd/MM/yyyy"
UnitPrice = "double"

[map]
transaction_id = "InvoiceNo"
customer_id = "'c'"
occurred_at = "min(InvoiceDate)"
product = "'marketplace_order'"
direction = "'debit'"
status = "'success'"
amount_minor = "cast(round(100 * sum(UnitPrice)) as bigint)"
currency = "'INR'"
"""


def load(folder: Path, text: str) -> Source:
    (folder / "sources").mkdir()
    (folder / "sources" / "one.toml").write_text(text, encoding="utf-8")
    (folder / "base.toml").write_text("[conf]\npackaged = { sources = false }\n", encoding="utf-8")
    (source,) = conf.load(environ={"CLM_CONF": str(folder)}).sources
    return source


def test_a_dump_without_header_or_ids(tmp_path: Path) -> None:
    source = load(tmp_path, CDNOW)
    assert source.is_dump
    assert not source.has_key  # the log has no ids: the lake makes transaction_id
    assert source.late_days == 0
    assert (source.files.header, source.files.delimiter, source.files.zone) == (False, "whitespace", "America/New_York")
    assert list(source.columns) == ["customer", "day", "units", "dollars"]  # the order of the file
    assert source.columns["day"] == ColumnType("date", pattern="yyyyMMdd")
    assert source.limits.zero_amounts == "accept"
    assert source.limits.max_quarantined == 0.01


def test_daily_deliveries_with_ids(tmp_path: Path) -> None:
    source = load(tmp_path, RECHARGES)
    assert not source.is_dump
    assert source.has_key
    assert source.feed_spec.name == "transactions"
    assert source.location == str(tmp_path / "sources" / "one.toml")
    assert source.files.model_dump() == {
        "path": "recharges/{date}/*.csv.gz",
        "format": "csv",
        "manifest": "given",
        "zone": "Asia/Kolkata",
        "header": True,
        "delimiter": ",",
        "quote": '"',
        "encoding": "utf-8",
        "null": "",
    }


def test_text_is_kept_as_delivered(tmp_path: Path) -> None:
    source = load(tmp_path, RECHARGES)
    assert set(source.raw_types().values()) == {"string"}
    assert source.raw_table().name == "raw.recharges"
    assert source.raw_table().column("rupees").type == "string"


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    source = load(tmp_path, INVOICES)
    assert source.raw_types() == {
        "InvoiceNo": "string",
        "InvoiceDate": "bigint",  # Spark refuses nanoseconds unless it reads them as numbers
        "Day": "string",  # a pattern is of text
        "UnitPrice": "double",
    }
    assert source.group_by == ("InvoiceNo",)


def test_what_a_file_leaves_out(tmp_path: Path) -> None:
    source = load(tmp_path, INVOICES)
    assert source.files.zone == "Asia/Kolkata"  # the lake's
    assert source.required
    assert source.cadence == "daily"
    assert source.limits.zero_amounts == "quarantine"


@pytest.mark.parametrize(("feed", "late_days"), [("transactions", 7), ("customers", 3)])
def test_late_days_by_feed(tmp_path: Path, feed: str, late_days: int) -> None:
    text = INVOICES.replace("late_days = 0\n", "")
    if feed == "customers":
        text = text.replace('"transactions"', '"customers"').partition("[map]")[0]
        text += '[map]\ncustomer_id = "\'c\'"\nregistered_at = "min(InvoiceDate)"\n'
    source = load(tmp_path, text)
    assert source.late_days == late_days
    assert source.has_key == (feed == "transactions" or not source.feed_spec.identifier)


@pytest.mark.parametrize(
    ("declaration", "spark_type", "pattern"),
    [
        ("string", "string", None),
        ("boolean", "boolean", None),
        ("int", "int", None),
        ("bigint", "bigint", None),
        ("double", "double", None),
        ("decimal(14,2)", "decimal(14,2)", None),
        ("date", "date", None),
        ("date yyyyMMdd", "date", "yyyyMMdd"),
        ("timestamp", "timestamp", None),
        ("timestamp dd/MM/yyyy HH:mm:ss", "timestamp", "dd/MM/yyyy HH:mm:ss"),
        ("timestamp yyyy-MM-dd'T'HH:mm:ss", "timestamp", "yyyy-MM-dd'T'HH:mm:ss"),
        ("timestamp_ns", "timestamp", None),
    ],
)
def test_types(declaration: str, spark_type: str, pattern: str | None) -> None:
    column = ColumnType.parse(declaration)
    assert column.spark_type == spark_type
    assert column.pattern == pattern
    assert str(column) == declaration


@pytest.mark.parametrize(
    "declaration",
    [
        "strng",
        "",
        "String",
        "int yyyy",  # a pattern is for dates and times
        "timestamp_ns yyyy",
        "decimal",
        "decimal(39,2)",
        "decimal(0,0)",
        "decimal(4,5)",
        "date YYYY-MM-dd",  # Y is no year in Spark
        "timestamp yyyy-MM-dd'T",
    ],
)
def test_what_is_no_type(declaration: str) -> None:
    with pytest.raises(ValueError, match=r"is no type|at most 38|does not know|not closed"):
        ColumnType.parse(declaration)
