"""mart.customer_profile against a plain Python telling of the same histories, however they are split over nights."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from jobs import daily, profile
from jobs.frames import local_frame
from schemas.core import FAMILIES, POSTED
from schemas.mart import CUSTOMER_PROFILE, HABITS, PAID_FAMILIES
from tests.jobs.rows import CUSTOMER, PAYMENT, PLAN, ZONE, Row, table_frame

BEGIN = date(2026, 1, 1)
END = BEGIN + timedelta(days=200)
# Folds of one day and of a month, across the edges of words (64, 128) and of first_days (63).
NIGHTS = [BEGIN + timedelta(days=n) for n in (0, 1, 31, 62, 63, 64, 65, 95, 126, 127, 128, 158, 189, 200)]
MONTHLY = [BEGIN + timedelta(days=n) for n in (30, 60, 90, 120, 150, 180, 200)]
CUSTOMERS = 150


@dataclass
class Told:
    """What is known of one customer, as plain sums and sets."""

    registered_at: str | None = None
    dates: dict[str, set[date]] = field(default_factory=lambda: defaultdict(set))
    sums: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    largest_transfer_minor: int | None = None


def payment(customer: str, number: int, status: str, on: date, known: date, **more: str) -> Row:
    return {
        "customer_id": customer,
        "transaction_id": f"{customer}-{number}",
        "status": status,
        "occurred_at": f"{on} 06:00",
        "updated_at": f"{on} 06:00",
        "event_date": str(on),
        "as_of_date": str(known),
        **more,
    }


def histories(seed: int) -> list[Row]:
    """Postings of some customers: pending, success, failed, reversed, received; some known late."""
    chance = Random(seed)
    rows: list[Row] = []
    for n in range(CUSTOMERS):
        begins = chance.randrange(0, 190)
        for number in range(chance.randrange(0, 12)):
            on = BEGIN + timedelta(days=min(200, begins + chance.choice((0, 1, 30, 62, 63, 64, 119, 127, number))))
            product = chance.choice([product for products in FAMILIES.values() for product in products])
            more = {"product": product, "amount_minor": str(chance.randrange(0, 5000))}
            more |= {
                "rail": chance.choice(("upi", "card")),
                "category": chance.choice(("electricity", "postpaid", "gas")),
            }
            direction = chance.choice(("debit", "debit", "debit", "credit"))
            outcome = chance.choice(("success", "success", "success", "failed", "pending"))
            told = [("pending", on)] * (chance.random() < 0.3 and outcome != "pending") + [(outcome, on)]
            if outcome == "success" and chance.random() < 0.2:
                told.append(("reversed", min(END, on + timedelta(days=chance.randrange(0, 40)))))
            for status, day in told:
                late = chance.choice((0, 0, 0, 1, 5, 60, 126, 127))
                known = min(END, day + timedelta(days=late))
                rows.append(payment(f"c{n}", number, status, day, known, direction=direction, **more))
    return rows


def spread_anew(rows: Sequence[Row], seed: int) -> list[Row]:
    """The same rows, known on other nights and in another order."""
    chance = Random(seed)
    anew: list[Row] = []
    for row in rows:
        day = date.fromisoformat(str(row["event_date"]))
        known = min(END, day + timedelta(days=chance.randrange(0, 128)))
        anew.append({**row, "as_of_date": str(known)})
    chance.shuffle(anew)
    return anew


def daily_of(spark: SparkSession, rows: Sequence[Row], customers: Sequence[Row] = ()) -> DataFrame:
    transactions = table_frame(spark, POSTED["transactions"], rows, PAYMENT)
    registrations = table_frame(spark, POSTED["customers"], customers, CUSTOMER)
    return daily.transform({"transactions": transactions, "customers": registrations}, PLAN, zone=ZONE).persist()


def folded(spark: SparkSession, told: DataFrame, nights: Sequence[date]) -> dict[str, dict[str, Any]]:
    """The profile of the last of `nights`, folded from one of them to the next."""
    before: DataFrame | None = None
    since: date | None = None
    rows: list[Any] = []
    for night in nights:
        tonights = told.where(f"as_of_date <= date'{night}'" + (f" and as_of_date > date'{since}'" if since else ""))
        rows = profile.transform(before, tonights, since=since, days=[night]).collect()
        before, since = local_frame(spark, rows, CUSTOMER_PROFILE.ddl(nullable=True)), night
    return {row["customer_id"]: row.asDict() for row in rows}


def expected(rows: Sequence[Row], as_of: date) -> dict[str, dict[str, Any]]:
    family_of = {product: family for family, products in FAMILIES.items() for product in products}
    told: dict[str, Told] = defaultdict(Told)
    for row in rows:
        one, amount, day = (
            told[str(row["customer_id"])],
            int(str(row["amount_minor"])),
            date.fromisoformat(str(row["event_date"])),
        )
        match row["direction"], row["status"]:
            case "debit", "success":
                for family in (family_of[str(row["product"])], "transacting"):
                    one.dates[family].add(day)
                    one.sums[f"{family}_count"] += 1
                    one.sums[f"{family}_amount_minor"] += amount
                for habit in habits_of(row):
                    one.dates[habit].add(day)
                    one.sums[f"{habit}_count"] += 1
                if family_of[str(row["product"])] == "transfer":
                    one.largest_transfer_minor = max(amount, one.largest_transfer_minor or 0)
            case "credit", "success":
                one.sums["received_count"] += 1
                one.sums["received_amount_minor"] += amount
            case "debit", "reversed":
                one.sums["reversed_count"] += 1
                one.sums["reversed_amount_minor"] += amount
            case "debit", ("failed" | "pending") as status:
                one.sums[f"{status}_count"] += 1
            case _:
                pass
    return {customer: profile_of(customer, one, as_of) for customer, one in told.items()}


def habits_of(row: Row) -> list[str]:
    """Ways of paying that count beside the family."""
    category = str(row["category"])
    is_bill = row["product"] == "bill_payment" and category in ("electricity", "postpaid")
    return [*(["upi"] if row["rail"] == "upi" else []), *([category] if is_bill else [])]


def profile_of(customer: str, told: Told, as_of: date) -> dict[str, Any]:
    active = told.dates["transacting"]
    first = min(active, default=None)
    row: dict[str, Any] = {
        "as_of_date": as_of,
        "customer_id": customer,
        "registered_at": told.registered_at,
        "first_date": first,
        "first_product": next((family for family in FAMILIES if first and first in told.dates[family]), None),
        "active_days": len(active) or None,
        "first_days": sum(1 << (day - first).days for day in active if (day - first).days < 63) or None
        if first
        else None,
        "largest_transfer_minor": told.largest_transfer_minor,
    }
    told.dates["any"] = active
    for family in (*PAID_FAMILIES, "any"):
        days = told.dates[family]
        mask = sum(1 << (as_of - day).days for day in days if (as_of - day).days < 128)
        row |= {
            f"first_{family}_date": min(days, default=None),
            f"last_{family}_date": max(days, default=None),
            f"{family}_days_0_63": signed(mask & (1 << 64) - 1),
            f"{family}_days_64_127": signed(mask >> 64),
        }
    for habit in HABITS:
        row[f"last_{habit}_date"] = max(told.dates[habit], default=None)
    for name in profile.SUMS:
        count = name.replace("amount_minor", "count")
        row[name] = told.sums[name] if told.sums[count] else None
    # Of the app and of devices these histories tell nothing.
    return {name: row.get(name) for name in CUSTOMER_PROFILE.column_names}


def signed(word: int) -> int | None:
    return (word - (1 << 64) if word >> 63 else word) or None


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_any_order_and_any_split_over_nights_is_the_same_profile(spark: SparkSession, seed: int) -> None:
    rows = histories(seed)
    whole = expected(rows, END)
    told = daily_of(spark, rows)
    assert folded(spark, told, NIGHTS) == whole
    assert folded(spark, told, MONTHLY) == whole
    assert folded(spark, daily_of(spark, spread_anew(rows, seed)), MONTHLY) == whole


def one_by_one(spark: SparkSession, *rows: Row, until: date, customers: Sequence[Row] = ()) -> dict[str, Any]:
    """The only customer's profile on `until`, folded over every night on which something is known."""
    known = {date.fromisoformat(str(row["as_of_date"])) for row in (*rows, *customers)}
    [profile_row] = folded(spark, daily_of(spark, rows, customers), sorted({*known, until})).values()
    return profile_row


def day(n: int) -> date:
    return BEGIN + timedelta(days=n)


def test_a_late_first_date_moves_what_was_counted_from_it(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "success", day(10), day(10)),
        payment("anna", 2, "success", day(12), day(12)),
        payment("anna", 3, "success", day(7), day(14), product="p2p_transfer"),  # known a week later, and the first
    ]
    before = one_by_one(spark, *rows[:2], until=day(13))
    assert (before["first_date"], before["first_product"], before["first_days"]) == (day(10), "recharge", 0b101)
    after = one_by_one(spark, *rows, until=day(14))
    assert (after["first_date"], after["first_product"], after["first_days"]) == (day(7), "transfer", 0b101001)
    assert (after["active_days"], after["any_days_0_63"]) == (3, 1 << 2 | 1 << 4 | 1 << 7)


def test_a_first_date_older_than_first_days_reach_leaves_them_behind(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "success", day(100), day(100)),
        payment("anna", 2, "success", day(37), day(101)),  # 63 days before it: its bit moves out
        payment("anna", 3, "success", day(99), day(101)),  # 62 days after the new first date
    ]
    told = one_by_one(spark, *rows, until=day(101))
    assert (told["first_date"], told["first_days"], told["active_days"]) == (day(37), 1 << 62 | 1, 3)


def test_a_date_told_too_late_for_the_mask_counts_in_sums_and_first_dates_alone(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "success", day(130), day(130)),
        payment("anna", 2, "success", day(3), day(130)),  # 127 days: has its bit
        payment("anna", 3, "success", day(2), day(130)),  # 128 days: has none
    ]
    told = one_by_one(spark, *rows, until=day(130))
    assert (told["first_date"], told["recharge_count"], told["active_days"]) == (day(2), 3, 2)
    assert (told["any_days_0_63"], told["any_days_64_127"]) == (1, signed(1 << 63))


def test_of_several_families_on_the_first_date_the_first_in_order_is_the_product(spark: SparkSession) -> None:
    products = ("wallet_load", "p2m_payment", "bill_payment")
    rows = [payment("anna", n, "success", day(0), day(0), product=product) for n, product in enumerate(products)]
    assert one_by_one(spark, *rows, until=day(0))["first_product"] == "bill"


def test_who_only_registered_is_there_and_was_never_active(spark: SparkSession) -> None:
    customer: Row = {"registered_at": "2026-01-05 10:00", "event_date": str(day(4)), "as_of_date": str(day(4))}
    earlier: Row = {**customer, "registered_at": "2026-01-04 10:00", "as_of_date": str(day(6))}
    told = one_by_one(spark, until=day(30), customers=[customer, earlier])
    assert (str(told["registered_at"])[:10], told["first_date"], told["first_product"]) == ("2026-01-04", None, None)
    assert {told[name] for name in ("active_days", "first_days", "any_days_0_63", "transacting_count")} == {None}


def test_what_is_no_activity_leaves_no_bit(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "failed", day(1), day(1)),
        payment("anna", 2, "pending", day(2), day(2)),
        payment("anna", 3, "success", day(3), day(3), direction="credit"),
        payment("anna", 4, "success", day(4), day(4)),
        payment("anna", 4, "reversed", day(6), day(6)),  # the payment stays; the reversal is none
    ]
    told = one_by_one(spark, *rows, until=day(6))
    assert (told["active_days"], told["any_days_0_63"]) == (1, 1 << 2)
    counts = ("failed_count", "pending_count", "received_count", "recharge_count", "reversed_count")
    assert [told[name] for name in counts] == [1, 1, 1, 1, 1]


def test_a_fold_of_more_than_a_month_is_refused(spark: SparkSession) -> None:
    with pytest.raises(ValueError, match="more than 31 days"):
        profile.transform(None, daily_of(spark, []), since=day(0), days=[day(32)])


@pytest.mark.parametrize("since", [None, BEGIN + timedelta(days=40)])
def test_days_at_once_are_each_day_alone(spark: SparkSession, since: date | None) -> None:
    days = [(since or BEGIN) + timedelta(days=n) for n in (1, 2, 9, 31)]
    told = daily_of(spark, histories(5))
    before = None
    if since is not None:
        earlier = told.where(f"as_of_date <= date'{since}'")
        before = profile.transform(None, earlier, since=None, days=[since]).persist()
    tonights = told.where(f"as_of_date > date'{since}'") if since else told
    at_once = profile.transform(before, tonights, since=since, days=days)
    alone = [row for day in days for row in profile.transform(before, tonights, since=since, days=[day]).collect()]
    assert {row["as_of_date"] for row in alone} == set(days)
    assert Counter(at_once.collect()) == Counter(alone)
