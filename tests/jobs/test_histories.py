"""Random histories through conform, daily and profile: however their rows arrive, the same is known in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import daily, profile
from schemas.core import FAMILIES, POSTED
from schemas.feeds import FEEDS
from tests.jobs.rows import PAYMENT, PLAN, ZONE, Row, cells, conform_nights, records_of, source_of, table_frame

TRANSACTIONS = FEEDS["transactions"]
# Rows more than two days late wait for a Sunday: the last of the nights.
APP = source_of("app", late_days=2)
FIRST = date(2026, 1, 18)  # a Sunday
LAST = FIRST + timedelta(days=7)
NIGHTS = [FIRST + timedelta(days=n) for n in range(8)]
CUSTOMERS = 120
PRODUCTS = [product for products in FAMILIES.values() for product in products]


def local_day(moment: datetime) -> date:
    """The date in the lake's zone of a UTC time."""
    return (moment + timedelta(hours=5, minutes=30)).date()


def posting(row: Row, status: str, occurred: datetime, updated: datetime) -> Row:
    event = updated if status == "reversed" else occurred
    return {
        **row,
        "status": status,
        "occurred_at": f"{occurred:%Y-%m-%d %H:%M:%S}",
        "updated_at": f"{updated:%Y-%m-%d %H:%M:%S}",
        "event_date": str(local_day(event)),
    }


def histories(seed: int) -> Iterator[Row]:
    """What there is to post: each state of each payment once, dated up to three weeks before the first night."""
    chance = Random(seed)
    for customer in range(CUSTOMERS):
        for number in range(chance.randrange(0, 5)):
            row: Row = {
                "customer_id": f"c{customer}",
                "transaction_id": f"c{customer}-{number}",
                "product": chance.choice(PRODUCTS),
                "direction": chance.choice(("debit", "debit", "debit", "credit")),
                "amount_minor": str(chance.randrange(1, 5000)),
            }
            # Five past midnight, Indian time, among them: such a row may be delivered the evening before.
            at = (
                timedelta(hours=18, minutes=35)
                if chance.random() < 0.2
                else timedelta(minutes=chance.randrange(0, 1080))
            )
            occurred = datetime(2025, 12, 29, tzinfo=UTC) + timedelta(days=chance.randrange(0, 26)) + at
            told = chance.choice(
                (("success",), ("failed",), ("pending",), ("pending", "success"), ("success", "reversed"))
            )
            for status in told:
                later = timedelta(days=chance.randrange(0, 3)) if status == "reversed" else timedelta(0)
                yield posting(row, status, occurred, occurred + later)


def delivered(postings: Sequence[Row], seed: int) -> list[Row]:
    """The postings as rows of some nights, early or late, some doubled and some touched again, in any order."""
    chance = Random(seed)
    rows: list[Row] = []
    for row in postings:
        event = date.fromisoformat(str(row["event_date"]))
        occurred = datetime.fromisoformat(str(row["occurred_at"]))
        is_early = row["status"] != "reversed" and occurred.hour == 18
        earliest = max(FIRST, event - timedelta(days=is_early))

        def night(earliest: date = earliest) -> str:
            return str(chance.choice([day for day in NIGHTS[:-1] if day >= earliest] or [LAST]))

        rows.append({**row, "as_of_date": night()})
        if chance.random() < 0.2:
            rows.append({**row, "as_of_date": night()})
        if chance.random() < 0.2 and row["status"] != "reversed":
            touched = occurred + timedelta(hours=chance.randrange(1, 5))
            rows.append({**row, "updated_at": f"{touched:%Y-%m-%d %H:%M:%S}", "as_of_date": night()})
    chance.shuffle(rows)
    return [{name: value for name, value in row.items() if name != "event_date"} for row in rows]


def known_in_the_end(spark: SparkSession, posted: DataFrame) -> tuple[list[tuple[str | None, ...]], ...]:
    """The profiles of the last night, and what was told of each customer and date."""
    told = daily.transform({"transactions": posted}, PLAN, zone=ZONE).localCheckpoint()
    profiles = profile.transform(None, told, since=None, days=[LAST])
    counted = [name for name in told.columns if name.endswith(("_count", "_amount_minor"))]
    totals = told.groupBy("customer_id", "event_date").agg(*(F.sum(name).alias(name) for name in counted))
    return cells(profiles), cells(totals)


def refuse_other_ends(spark: SparkSession, seed: int) -> None:
    postings = list(histories(seed))
    ideal = [{**row, "as_of_date": str(LAST)} for row in postings]
    expected = known_in_the_end(spark, table_frame(spark, POSTED["transactions"], ideal, PAYMENT))
    for split in (seed, seed + 1):
        records = records_of(spark, APP, delivered(postings, split))
        posted, _ = conform_nights(records, TRANSACTIONS, FIRST, LAST)
        assert known_in_the_end(spark, posted) == expected


def test_any_order_and_any_split_of_the_same_rows_is_the_same_in_the_end(spark: SparkSession) -> None:
    refuse_other_ends(spark, 7)


# Each story takes a dozen seconds: one stands in the fast suite.
@pytest.mark.slow
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(min_value=0, max_value=2**32))
def test_so_it_is_for_any_story(spark: SparkSession, seed: int) -> None:
    refuse_other_ends(spark, seed)


def test_nights_one_by_one_post_what_the_range_posts(spark: SparkSession) -> None:
    records = records_of(spark, APP, delivered(list(histories(7)), 7)).localCheckpoint()
    columns = [column.name for column in POSTED["transactions"].business_columns]
    ranged, decided = conform_nights(records, TRANSACTIONS, FIRST, LAST)
    assert {row["outcome"] for row in decided.select("outcome").distinct().collect()} >= {
        "duplicate",
        "waiting",
        "taken",
    }
    posted = ranged.limit(0)
    for night in NIGHTS:
        tonight, _ = conform_nights(records, TRANSACTIONS, night, night, posted)
        posted = posted.unionByName(tonight).localCheckpoint()
    assert cells(posted, *columns) == cells(ranged, *columns)


@pytest.mark.parametrize("row", ["early", "late", "doubled", "touched"])
def test_the_histories_have_what_they_are_about(row: str) -> None:
    rows = delivered(list(histories(7)), 7)
    keys = [(each["transaction_id"], each["status"]) for each in rows]
    days = [
        (date.fromisoformat(str(each["as_of_date"])) - local_day(datetime.fromisoformat(str(each["occurred_at"])))).days
        for each in rows
    ]
    match row:
        case "early":
            assert -1 in days
        case "late":
            assert max(days) > APP.late_days
        case "doubled":
            assert len(set(keys)) < len(keys)
        case _:
            assert any(each["updated_at"] != each["occurred_at"] and each["status"] == "success" for each in rows)
