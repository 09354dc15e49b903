"""What each feed asks of its rows, and how its postings and versions are told apart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import conform, mapping
from jobs.expressions import check_mapping
from jobs.mapping import reasons, reasons_of
from schemas.feeds import FEEDS
from tests.jobs.rows import CURRENCY, NIGHT, ZONE, Row, cells, conform_nights, raw_frame, records_of, source_of

CASES: dict[str, tuple[str, Row, set[str]]] = {
    "an event of a device alone": ("app_events", {"customer_id": None, "device_id": "d1"}, set()),
    "an event of nobody": ("app_events", {"customer_id": None}, {"customer_id_or_device_id_missing"}),
    "an event without a name": ("app_events", {"action": None}, {"action_missing"}),
    "an event with a name that nobody planned": ("app_events", {"action": "dance"}, set()),
    "an event of the day after tomorrow": ("app_events", {"occurred_at": "2026-02-02 10:00"}, {"in_the_future"}),
    "negative dwell": ("app_events", {"dwell_ms": "-1"}, {"dwell_ms_invalid"}),
    "no dwell at all": ("app_events", {"dwell_ms": "0"}, set()),
    "dwell of more than a day": ("app_events", {"dwell_ms": "86400001"}, {"dwell_ms_invalid"}),
    "dwell of a day": ("app_events", {"dwell_ms": "86400000"}, set()),
    "dwell that is no number": ("app_events", {"dwell_ms": "long"}, {"dwell_ms_invalid"}),
    "a device without memory": ("devices", {"ram_mb": "-1"}, {"ram_mb_invalid"}),
    "no device": ("devices", {"device_id": None}, {"device_id_missing"}),
    "a device that names nobody": ("devices", {"customer_id": None}, set()),
    "a contact whose number is blank": ("contacts", {"contact_token": None}, {"contact_token_missing"}),
    "a consent over pigeon": ("consents", {"channel": "pigeon"}, {"channel_invalid"}),
    "a consent that ends before it begins": ("consents", {"valid_to": "2026-01-30 10:00"}, set()),
    "a bill without a due date": ("bills", {"due_date": None}, {"due_date_missing"}),
    "a bill of nothing": ("bills", {"amount_minor": "0"}, {"amount_zero"}),
    "a bill of more money than there is": ("bills", {"amount_minor": str(2**62)}, {"amount_minor_invalid"}),
    "a bill in dollars": ("bills", {"currency": "USD"}, {"currency_invalid"}),
    "a bill paid before it was issued": ("bills", {"status": "paid", "issued_at": "2026-01-31 11:00"}, set()),
    "a bill of another kind of standing": ("bills", {"status": "lost"}, {"status_invalid"}),
    "feedback that nobody knows": ("campaign_feedback", {"outcome": "loved"}, {"outcome_invalid"}),
    "feedback without a time": ("campaign_feedback", {"occurred_at": None}, {"occurred_at_missing"}),
    "a payment of more money than there is": ("transactions", {"amount_minor": str(2**62)}, {"amount_minor_invalid"}),
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


def test_a_bill_keeps_its_due_date_and_its_customer(spark: SparkSession) -> None:
    rows: list[Row] = [
        {"due_date": "2026-02-14"},
        {"due_date": "2026-02-20", "updated_at": "2026-01-31 11:00", "as_of_date": "2026-02-01"},  # put off
        {"customer_id": "ben", "updated_at": "2026-01-31 12:00"},  # somebody else's, in the same night
        {"customer_id": "ben", "updated_at": "2026-02-01 12:00", "as_of_date": "2026-02-01"},  # and in the next
    ]
    facts, verdicts = posted(spark, "bills", rows)
    assert cells(facts, "as_of_date", "customer_id", "due_date") == [
        ("2026-01-31", "anna", "2026-02-14"),
        ("2026-02-01", "anna", "2026-02-20"),
    ]
    assert cells(verdicts, "record_id", "outcome", "bits") == [("2", "quarantined", "2"), ("3", "quarantined", "2")]
    # In the second night it is the state that knows whose the bill is.
    second = records_of(spark, source_of(feed="bills"), rows).where("landed_date = '2026-02-01'")
    known = facts.where("as_of_date = '2026-01-31'")
    alone, judged = conform_nights(second, FEEDS["bills"], date(2026, 2, 1), date(2026, 2, 1), known)
    assert cells(alone, "customer_id", "due_date") == [("anna", "2026-02-20")]
    assert cells(judged, "record_id", "outcome") == [("3", "quarantined")]


@pytest.mark.parametrize("feed", sorted(FEEDS))
def test_what_conform_adds_to_a_record_hides_none_of_its_columns(spark: SparkSession, feed: str) -> None:
    source = source_of(feed=feed)
    raw = raw_frame(spark, source, [{}])
    made = mapping.records(raw, source, check_mapping(spark, source), zone=ZONE, currency=CURRENCY)
    added = conform.due(made, source, first_night=NIGHT)
    assert len(set(made.columns)) == len(made.columns)
    assert added.columns == [*made.columns, "known_since", "posting_date"]


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
