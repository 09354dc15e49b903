"""Tiny frames: a row names only what a test is about, as text that Spark casts; the rest are defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import conf
from conf import Source
from jobs import conform, mapping
from jobs.expressions import check_mapping
from jobs.frames import local_frame
from schemas.feeds import FEEDS, Feed
from schemas.table import Table

PLAN = conf.load(environ={}).tracking
ZONE = "Asia/Kolkata"
CURRENCY = "INR"
NIGHT = date(2026, 1, 31)  # a Saturday
LONG_AGO = date(2020, 1, 1)  # the first night of a lake that is not young

Row = Mapping[str, Any]

# A good payment, in the lake's own names: 500.00 paid at half past three in the afternoon, Indian time.
PAYMENT: Row = {
    "transaction_id": "t1",
    "customer_id": "anna",
    "occurred_at": "2026-01-31 10:00",
    "product": "recharge",
    "rail": "upi",
    "direction": "debit",
    "status": "success",
    "amount_minor": 50000,
    "currency": CURRENCY,
}
CUSTOMER: Row = {"customer_id": "anna", "registered_at": "2026-01-31 10:00"}
EVENT: Row = {"event_id": "e1", "customer_id": "anna", "occurred_at": "2026-01-31 10:00", "action": "screen"}
DEVICE: Row = {"device_id": "d1", "customer_id": "anna", "updated_at": "2026-01-31 10:00"}
BILL: Row = {
    "bill_id": "b1",
    "customer_id": "anna",
    "updated_at": "2026-01-31 10:00",
    "issued_at": "2026-01-31 10:00",
    "due_date": "2026-02-14",
    "amount_minor": 50000,
    "currency": CURRENCY,
    "status": "issued",
}
CONSENT: Row = {
    "customer_id": "anna",
    "purpose": "promotional",
    "channel": "sms",
    "updated_at": "2026-01-31 10:00",
    "valid_from": "2026-01-31 10:00",
}
CONTACT: Row = {"customer_id": "anna", "contact_token": "k1_ab", "updated_at": "2026-01-31 10:00"}
FEEDBACK: Row = {"trigger_id": "t1", "outcome": "sent", "occurred_at": "2026-01-31 10:00"}
DEFAULTS = {
    "transactions": PAYMENT,
    "app_events": EVENT,
    "devices": DEVICE,
    "contacts": CONTACT,
    "customers": CUSTOMER,
    "consents": CONSENT,
    "bills": BILL,
    "campaign_feedback": FEEDBACK,
}

FILLED_IN = {
    "string": "x",
    "boolean": "false",
    "int": "0",
    "bigint": "0",
    "date": str(NIGHT),
    "timestamp": "2026-01-31 10:00",
}


def table_frame(spark: SparkSession, table: Table, rows: Sequence[Row], defaults: Row | None = None) -> DataFrame:
    """Rows of `table`: what a row does not name is its default, else null, or filler where it may not be null."""
    filler: dict[str, Any] = {column.name: FILLED_IN[column.type] for column in table.columns if not column.nullable}
    filler |= defaults or {}
    unknown = {name for row in (filler, *rows) for name in row} - set(table.column_names)
    assert not unknown, f"{table.name} has no {unknown}"

    def cell(row: Row, name: str) -> str | None:
        value = row.get(name, filler.get(name))
        return None if value is None else str(value)

    texts = [tuple(cell(row, name) for name in table.column_names) for row in rows]
    frame = local_frame(spark, texts, ", ".join(f"`{name}` string" for name in table.column_names))
    return frame.select(*(F.col(column.name).cast(column.type).alias(column.name) for column in table.columns))


def source_of(name: str = "app", feed: str = "transactions", **changes: Any) -> Source:
    """A source of UTC text files that already speaks the feed's language, but for `changes`."""
    types = {column.name: column.type for column in FEEDS[feed].columns}
    return Source.model_validate(
        {
            "name": name,
            "feed": feed,
            "owner": "tests",
            "about": "Made up.",
            "files": {"path": name + "/{date}/*.csv", "format": "csv", "manifest": "given", "zone": "UTC"},
            "columns": types,
            "map": {column: column for column in types},
            "location": f"conf/sources/{name}.toml",
            **changes,
        }
    )


def raw_frame(spark: SparkSession, source: Source, rows: Sequence[Row], defaults: Row | None = None) -> DataFrame:
    """raw.<source>: row_id counts from 0, in the delivery and night that a row names or else NIGHT's."""
    placed = [
        {"row_id": number, "delivery_id": f"{source.name}-{row.get('as_of_date', NIGHT)}", **row}
        for number, row in enumerate(rows)
    ]
    return table_frame(spark, source.raw_table(), placed, {"file": "part-0001.csv", **(defaults or {})})


def records_of(
    spark: SparkSession,
    source: Source,
    rows: Sequence[Row],
    *,
    first_night: date = LONG_AGO,
    repairs: Collection[date] = (),
    defaults: Row | None = None,
    with_rows: bool = False,
) -> DataFrame:
    """The records that conform makes of raw rows, with the night each is due."""
    raw = raw_frame(spark, source, rows, DEFAULTS[source.feed] if defaults is None else defaults)
    checked = check_mapping(spark, source)
    made = mapping.records(raw, source, checked, zone=ZONE, currency=CURRENCY, with_rows=with_rows)
    return conform.due(made, source, first_night=first_night, repairs=repairs)


def cells(frame: DataFrame, *columns: str) -> list[tuple[str | None, ...]]:
    """The rows as texts, sorted with nulls first; times in UTC, whatever zone the machine is in."""
    texts = frame.select(*(F.col(name).cast("string").alias(name) for name in columns or frame.columns)).collect()
    return sorted((tuple(row) for row in texts), key=lambda row: [(cell is not None, cell or "") for cell in row])


def conform_nights(
    records: DataFrame,
    feed: Feed,
    first: date,
    last: date,
    earlier: DataFrame | None = None,
    *,
    contested_first: bool = False,
) -> tuple[DataFrame, DataFrame]:
    """core.<feed> and the verdicts of the nights first … last, as the stage conform wires the transforms.

    `earlier`: all postings of the nights before, or of a states feed the state of the night before. `contested_first`:
    as it is done for many rows.
    """
    landed = records.where(F.col("landed_date") <= F.lit(last))
    prospects = conform.prospects(landed, feed, first=first, last=last).persist()
    known = None
    if earlier is not None:
        keys = conform.late_keys(prospects, feed).select(*feed.key).distinct()
        known = conform.known(earlier, keys, feed)
    contested = conform.contested(prospects, known, feed) if contested_first else None
    verdicts = conform.verdicts(prospects, known, feed, contested).localCheckpoint()
    prospects.unpersist()
    has_implied = not verdicts.where(F.col("outcome") == conform.IMPLIED).isEmpty()
    posted = conform.transform(landed, verdicts, feed, first=first, has_implied=has_implied)
    return posted.localCheckpoint(), verdicts
