"""What each feed asks of its rows, and how its postings and versions are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs.mapping import reasons, reasons_of
from schemas.feeds import FEEDS
from tests.jobs.rows import NIGHT, Row, cells, conform_nights, records_of, source_of

CASES: dict[str, tuple[str, Row, set[str]]] = {
    "an event of a device alone": ("app_events", {"customer_id": None, "device_id": "d1"}, set()),
    "an event of nobody": ("app_events", {"customer_id": None}, {"customer_id_or_device_id_missing"}),
    "an event without a name": ("app_events", {"action": None}, {"action_missing"}),
    "an event with a name that nobody planned": ("app_events", {"action": "dance"}, set()),
    "an event of the day after tomorrow": ("app_events", {"occurred_at": "2026-02-02 10:00"}, {"in_the_future"}),
    "negative dwell": ("app_events", {"dwell_ms": "-1"}, {"dwell_ms_invalid"}),
    "no dwell at all": ("app_events", {"dwell_ms": "0"}, set()),
    "dwell that is no number": ("app_events", {"dwell_ms": "long"}, {"dwell_ms_invalid"}),
    "a device without memory": ("devices", {"ram_mb": "-1"}, {"ram_mb_invalid"}),
    "no device": ("devices", {"device_id": None}, {"device_id_missing"}),
    "a device that names nobody": ("devices", {"customer_id": None}, set()),
    "a contact whose number is blank": ("contacts", {"contact_token": None}, {"contact_token_missing"}),
    "a consent over pigeon": ("consents", {"channel": "pigeon"}, {"channel_invalid"}),
    "a consent that ends before it begins": ("consents", {"valid_to": "2026-01-30 10:00"}, set()),
    "a bill without a due date": ("bills", {"due_date": None}, {"due_date_missing"}),
    "a bill of nothing": ("bills", {"amount_minor": "0"}, {"amount_zero"}),
    "a bill in dollars": ("bills", {"currency": "USD"}, {"currency_invalid"}),
    "a bill paid before it was issued": ("bills", {"status": "paid", "issued_at": "2026-01-31 11:00"}, set()),
    "a bill of another kind of standing": ("bills", {"status": "lost"}, {"status_invalid"}),
    "feedback that nobody knows": ("campaign_feedback", {"outcome": "loved"}, {"outcome_invalid"}),
    "feedback without a time": ("campaign_feedback", {"occurred_at": None}, {"occurred_at_missing"}),
    "a plan of less than no days": ("transactions", {"plan_validity_days": "-1"}, {"plan_validity_days_invalid"}),
}


@pytest.mark.parametrize("feed", sorted({feed for feed, _, _ in CASES.values()}))
def test_each_row_carries_the_reasons_that_apply(spark: SparkSession, feed: str) -> None:
    cases = {why: (row, expected) for why, (of_feed, row, expected) in CASES.items() if of_feed == feed}
    source = source_of(feed=feed)
    records = records_of(spark, source, [row for row, _ in cases.values()])
    named = records.select("record_id", reasons_of(records["bits"], reasons(source, FEEDS[feed])).alias("reasons"))
    found = {row["record_id"]: set(row["reasons"]) for row in named.collect()}
    assert {why: found[number] for number, why in enumerate(cases)} == {
        why: expected for why, (_, expected) in cases.items()
    }


def posted(spark: SparkSession, feed: str, rows: Sequence[Row]) -> tuple[DataFrame, DataFrame]:
    nights = [date.fromisoformat(str(row.get("as_of_date", NIGHT))) for row in rows]
    records = records_of(spark, source_of(feed=feed), rows)
    return conform_nights(records, FEEDS[feed], min(nights), max(nights))


def test_a_device_is_seen_once_a_day(spark: SparkSession) -> None:
    rows: list[Row] = [
        {"brand": "Vivo"},
        {"brand": "Oppo", "updated_at": "2026-01-31 11:00"},  # later that day: a duplicate, the earliest is posted
        {"brand": "Oppo", "updated_at": "2026-01-30 18:29"},  # 23:59 the day before
        {"customer_id": "ben", "updated_at": "2026-01-31 12:00"},  # of another customer: it may not change
    ]
    facts, verdicts = posted(spark, "devices", rows)
    assert cells(facts, "event_date", "brand", "customer_id") == [
        ("2026-01-30", "Oppo", "anna"),
        ("2026-01-31", "Vivo", "anna"),
    ]
    assert cells(verdicts, "record_id", "outcome") == [("1", "duplicate"), ("3", "quarantined")]


def test_an_event_is_posted_once_and_keeps_its_customer(spark: SparkSession) -> None:
    rows: list[Row] = [
        {"dwell_ms": "5"},
        {"dwell_ms": "5", "as_of_date": "2026-02-01"},  # sent again the day after
        {"customer_id": "ben", "as_of_date": "2026-02-01"},
    ]
    facts, verdicts = posted(spark, "app_events", rows)
    assert cells(facts, "as_of_date", "customer_id", "dwell_ms") == [("2026-01-31", "anna", "5")]
    assert cells(verdicts, "record_id", "outcome") == [("1", "duplicate"), ("2", "quarantined")]


def test_feedback_of_one_trigger_is_told_apart_by_outcome_and_time(spark: SparkSession) -> None:
    rows: list[Row] = [{}, {}, {"outcome": "opened"}, {"occurred_at": "2026-01-31 11:00"}]
    facts, verdicts = posted(spark, "campaign_feedback", rows)
    assert cells(facts, "outcome", "occurred_at") == [
        ("opened", "2026-01-31 10:00:00"),
        ("sent", "2026-01-31 10:00:00"),
        ("sent", "2026-01-31 11:00:00"),
    ]
    assert cells(verdicts, "outcome") == [("duplicate",)]


def test_a_version_without_a_time_is_of_the_day_its_delivery_bears(spark: SparkSession) -> None:
    """Of two address books without times the one that was delivered later is the newer one."""
    rows: list[Row] = [
        {"updated_at": None, "delivered_date": "2026-01-29"},  # taken two nights later
        {"updated_at": None, "contact_token": "k1_cd"},  # of a dump: the night that landed it
    ]
    facts, _ = posted(spark, "contacts", rows)
    assert cells(facts, "contact_token", "updated_at", "event_date") == [
        ("k1_ab", "2026-01-29 00:00:00", "2026-01-29"),  # the source's zone is UTC
        ("k1_cd", "2026-01-31 00:00:00", "2026-01-31"),
    ]
