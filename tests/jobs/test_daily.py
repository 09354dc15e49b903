"""core.customer_daily: what a night tells about a customer on a day."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import daily
from schemas.columns import RAILS
from schemas.core import CUSTOMER_DAILY, FAMILIES, POSTED
from schemas.customer_daily import BILL_CATEGORIES
from tests.jobs.rows import CUSTOMER, PAYMENT, PLAN, ZONE, Row, cells, table_frame

Figures = dict[str, str]
DAY = {"as_of_date": "2026-01-31", "event_date": "2026-01-31"}


def told(spark: SparkSession, payments: Sequence[Row], versions: Sequence[Row] = ()) -> DataFrame:
    numbered = [{**DAY, "transaction_id": str(number), **row} for number, row in enumerate(payments)]
    transactions = table_frame(spark, POSTED["transactions"], numbered, PAYMENT)
    customers = table_frame(spark, POSTED["customers"], [{**DAY, **row} for row in versions], CUSTOMER)
    return daily.transform({"transactions": transactions, "customers": customers}, PLAN, zone=ZONE)


def figures(frame: DataFrame) -> dict[tuple[str, str, str], Figures]:
    """By night, customer and event date: the figures that are not null, as text."""
    names = [name for name in CUSTOMER_DAILY.column_names if name not in daily.KEY]
    texts = frame.select(*(F.col(name).cast("string").alias(name) for name in (*daily.KEY, *names))).collect()
    return {
        (row["as_of_date"], row["customer_id"], row["event_date"]): {n: row[n] for n in names if row[n] is not None}
        for row in texts
    }


YES = {"is_active": "true", "is_transacting": "true"}
NO = {"is_active": "false", "is_transacting": "false"}
FAILED = {"failed_count": "1", "failed_last_at": "2026-01-31 10:00:00"}
OVER_UPI = {"rail_upi_count": "1", "rail_upi_amount_minor": "50000"}


def family(name: str, count: str = "1", amount: str = "50000", last: str = "2026-01-31 10:00:00") -> Figures:
    return {f"{name}_count": count, f"{name}_amount_minor": amount, f"{name}_last_at": last}


# Each customer is a case: her payments, and all that the night tells about her.
CASES: dict[str, tuple[list[Row], Figures]] = {
    **{
        f"pays for {product}": (
            [{"product": product}],
            {**YES, **OVER_UPI, **family(name), **({"largest_transfer_minor": "50000"} if name == "transfer" else {})},
        )
        for name, products in FAMILIES.items()
        for product in products
    },
    **{
        f"pays over {rail}": (
            [{"rail": rail}],
            {**YES, **family("recharge"), f"rail_{rail}_count": "1", f"rail_{rail}_amount_minor": "50000"},
        )
        for rail in RAILS
    },
    # A post-paid customer is who pays such a bill, whatever else is recharged.
    **{
        f"pays a bill of {category}": (
            [{"product": "bill_payment", "category": category}, {"category": category, "status": "failed"}],
            {**YES, **OVER_UPI, **family("bill"), f"{category}_count": "1", **FAILED},
        )
        for category in BILL_CATEGORIES
    },
    "pays a bill of gas": (
        [{"product": "bill_payment", "category": "gas"}],
        {**YES, **OVER_UPI, **family("bill")},
    ),
    "recharges a post-paid number": ([{"category": "postpaid"}], {**YES, **OVER_UPI, **family("recharge")}),
    "pays over no rail that was told": ([{"rail": None}], {**YES, **family("recharge")}),
    "pays twice in one family": (
        [
            {"product": "p2m_payment", "amount_minor": 100, "occurred_at": "2026-01-31 11:00"},
            {"product": "b2b_payment", "amount_minor": 250, "occurred_at": "2026-01-31 09:00", "rail": "card"},
        ],
        {
            **YES,
            **family("merchant", "2", "350", "2026-01-31 11:00:00"),
            "rail_upi_count": "1",
            "rail_upi_amount_minor": "100",
            "rail_card_count": "1",
            "rail_card_amount_minor": "250",
        },
    ),
    "sends three times": (
        [{"product": "p2p_transfer", "amount_minor": amount} for amount in (100, 900, 500)],
        {
            **YES,
            **family("transfer", "3", "1500"),
            "rail_upi_count": "3",
            "rail_upi_amount_minor": "1500",
            "largest_transfer_minor": "900",
        },
    ),
    # Money received is no activity, and belongs to no family and no rail.
    "receives": (
        [{"product": "p2p_transfer", "direction": "credit"}],
        {**NO, "received_count": "1", "received_amount_minor": "50000"},
    ),
    "only tries": (
        [
            {"status": "pending"},
            {"status": "failed", "occurred_at": "2026-01-31 10:05"},
            {"status": "failed", "occurred_at": "2026-01-31 10:01"},
        ],
        {
            **NO,
            "pending_count": "1",
            "pending_last_at": "2026-01-31 10:00:00",
            "failed_count": "2",
            "failed_last_at": "2026-01-31 10:05:00",
        },
    ),
    # A reversal is told by when it was made, and is not activity of that day.
    "was reversed": (
        [{"status": "reversed", "occurred_at": "2026-01-20 10:00", "updated_at": "2026-01-31 12:00"}],
        {
            **NO,
            "reversed_count": "1",
            "reversed_amount_minor": "50000",
            "reversed_last_at": "2026-01-31 12:00:00",
        },
    ),
    # Sums keep successes and reversals apart: what she did, she did.
    "paid and was reversed the same day": (
        [{}, {"status": "reversed", "updated_at": "2026-01-31 12:00"}],
        {
            **YES,
            **OVER_UPI,
            **family("recharge"),
            "reversed_count": "1",
            "reversed_amount_minor": "50000",
            "reversed_last_at": "2026-01-31 12:00:00",
        },
    ),
    "paid, as a reversal implies": ([{"is_implied": "true"}], {**YES, **OVER_UPI, **family("recharge")}),
    # What is sent back to the customer is not hers: attempts and reversals of credits tell nothing.
    "has a credit that failed and one reversed": (
        [{"direction": "credit", "status": "failed"}, {"direction": "credit", "status": "reversed"}],
        NO,
    ),
    "pays nothing": (
        [{"amount_minor": 0}],
        {**YES, **family("recharge", amount="0"), "rail_upi_count": "1", "rail_upi_amount_minor": "0"},
    ),
}


@pytest.fixture(scope="module")
def told_of_all(spark: SparkSession) -> dict[tuple[str, str, str], Figures]:
    return figures(told(spark, [{**row, "customer_id": name} for name, (rows, _) in CASES.items() for row in rows]))


@pytest.mark.parametrize("name", CASES)
def test_what_a_night_tells_about_a_customer(told_of_all: dict[tuple[str, str, str], Figures], name: str) -> None:
    assert told_of_all["2026-01-31", name, "2026-01-31"] == CASES[name][1]


def test_a_late_row_is_told_tonight_of_its_own_day(spark: SparkSession) -> None:
    rows: list[Row] = [{"event_date": "2026-01-28", "occurred_at": "2026-01-28 10:00"}, {"status": "pending"}]
    assert figures(told(spark, rows)) == {
        ("2026-01-31", "anna", "2026-01-28"): {**YES, **OVER_UPI, **family("recharge", last="2026-01-28 10:00:00")},
        ("2026-01-31", "anna", "2026-01-31"): {**NO, "pending_count": "1", "pending_last_at": "2026-01-31 10:00:00"},
    }


def test_a_registration_alone_makes_a_row_that_is_not_activity(spark: SparkSession) -> None:
    versions: list[Row] = [
        {"customer_id": "bela", "registered_at": "2026-01-31 09:00"},
        {"customer_id": "bela", "registered_at": "2026-01-31 08:00", "row_hash": "1"},  # the earliest told
        {"customer_id": "anna", "registered_at": "2026-01-31 07:00"},
    ]
    assert figures(told(spark, [{}], versions)) == {
        ("2026-01-31", "bela", "2026-01-31"): {**NO, "registered_at": "2026-01-31 08:00:00"},
        ("2026-01-31", "anna", "2026-01-31"): {
            **YES,
            **OVER_UPI,
            **family("recharge"),
            "registered_at": "2026-01-31 07:00:00",
        },
    }


def test_any_split_of_rows_over_nights_tells_the_same_in_sum(spark: SparkSession) -> None:
    rows: list[Row] = [
        {
            "customer_id": f"c{number % 3}",
            "product": ("recharge", "p2p_transfer", "b2b_payment")[number % 3],
            "status": ("success", "success", "failed", "reversed")[number % 4],
            "direction": "credit" if number % 5 == 0 else "debit",
            "rail": RAILS[number % 4],
            "amount_minor": 100 + number,
            "occurred_at": f"2026-01-31 {number % 24:02}:00",
            "updated_at": f"2026-01-31 {23 - number % 24:02}:30",
        }
        for number in range(60)
    ]

    def over_nights(frame: DataFrame) -> list[tuple[str | None, ...]]:
        def over(name: str) -> str:
            kind = CUSTOMER_DAILY.column(name).type
            return "sum" if kind == "bigint" and name != "largest_transfer_minor" else "max"

        names = [name for name in CUSTOMER_DAILY.column_names if name not in daily.KEY]
        return cells(frame.groupBy("customer_id", "event_date").agg(*(F.expr(f"{over(n)}({n}) as {n}") for n in names)))

    nights = ("2026-01-31", "2026-02-01", "2026-02-02")
    split = [{**row, "as_of_date": nights[number * 7 % 3]} for number, row in enumerate(rows)]
    told_split = told(spark, split)
    assert told_split.select("as_of_date").distinct().count() == 3
    assert over_nights(told_split) == over_nights(told(spark, rows))
