"""mart.dues: which bills and plans fall due, and what closes and opens them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import dues
from schemas.core import POSTED
from schemas.dues import STATES
from tests.jobs.rows import Row, cells, table_frame

BILL: Row = {"amount_minor": 90000, "currency": "INR", "category": "electricity", "biller_id": "power"}
PAYMENT: Row = {
    **BILL,
    "product": "bill_payment",
    "rail": "upi",
    "direction": "debit",
    "status": "success",
    "amount_minor": 50000,
}
BEGIN = date(2026, 1, 1)


def on(day: int) -> date:
    """Day 1 is 1 January 2026, day 32 the first of February."""
    return BEGIN + timedelta(days=day - 1)


def bill(told: int, *, due: int = 40, issued: int | None = 20, said: int | None = None, **more: Any) -> Row:
    """A version told on one night that the biller `said` on another day: of old the bill of day 20, due on day 40."""
    when = on(said if said is not None else told)
    dates = {"as_of_date": on(told), "event_date": when, "updated_at": f"{when} 06:00", "due_date": on(due)}
    issued_at = None if issued is None else f"{on(issued)} 06:00"
    return {"bill_id": "b1", "status": "issued", "issued_at": issued_at, **dates, **more}


def paid(day: int, *, told: int | None = None, hour: int = 8, **more: Any) -> Row:
    """A posting of one day, told on its night or later."""
    when = f"{on(day)} {hour:02}:00"
    dates = {"as_of_date": on(told or day), "event_date": on(day), "occurred_at": when, "updated_at": when}
    return {"transaction_id": "t1", **dates, **more}


def plan(day: int, id_: str, validity: int = 28, **more: Any) -> Row:
    recharge = {"product": "recharge", "category": "mobile", "biller_id": "telco", "counterparty_token": "k1_own"}
    return paid(day, transaction_id=id_, plan_validity_days=validity, **{**recharge, **more})


def undone(day: int, told: int | None = None, *, of: int, status: str = "reversed", **more: Any) -> Row:
    """The reversal of a payment of the day `of`; a failure is dated by that day as well."""
    dated = on(day if status == "reversed" else of)
    row = paid(of, status=status, **more)
    return {**row, "as_of_date": on(told or day), "event_date": dated, "updated_at": f"{on(day)} 09:00"}


def undone_plan(day: int, id_: str, told: int | None = None, *, of: int, **more: Any) -> Row:
    recharge = {"product": "recharge", "category": None, "biller_id": None}
    return undone(day, told, of=of, transaction_id=id_, **{**recharge, **more})


NEXT = {"bill_id": "b2", "issued": 50, "due": 70}

# A case: what was told of one customer, until which day it is told, and the rows of that day with a reason for each:
# due_id, day it falls due, first seen, state, day it was closed.
Standing = tuple[str, int, int, str, int | None]
CASES: dict[str, tuple[list[Row], list[Row], int, list[Standing]]] = {
    "a bill is open until something closes it": ([bill(20)], [], 60, [("b1", 40, 20, "open", None)]),
    "a payment to its biller closes it": ([bill(20)], [paid(25)], 60, [("b1", 40, 20, "paid", 25)]),
    "also long after it was due": ([bill(20)], [paid(60)], 60, [("b1", 40, 20, "paid", 60)]),
    "a payment before it was issued was for another": ([bill(20)], [paid(19)], 60, [("b1", 40, 20, "open", None)]),
    "a payment of the very moment of issue counts": ([bill(20)], [paid(20, hour=6)], 60, [("b1", 40, 20, "paid", 20)]),
    "payments for other things do not": (
        [bill(20)],
        [
            paid(25, transaction_id="1", biller_id="gas works"),
            paid(25, transaction_id="2", category="gas"),
            paid(25, transaction_id="3", product="p2m_payment"),
            paid(25, transaction_id="4", direction="credit"),
            paid(25, transaction_id="5", status="pending"),
            paid(25, transaction_id="6", status="failed"),
        ],
        60,
        [("b1", 40, 20, "open", None)],
    ),
    "a pending payment that succeeds the next day counts from then": (
        [bill(20)],
        [paid(25, status="pending"), paid(25, told=26)],
        60,
        [("b1", 40, 20, "paid", 25)],
    ),
    "the biller's word closes it": ([bill(20), bill(30, status="paid")], [], 60, [("b1", 40, 20, "paid", 30)]),
    "and takes that back": (
        [bill(20), bill(30, status="paid"), bill(32, status="issued")],
        [],
        60,
        [("b1", 40, 20, "open", None)],
    ),
    "but not what we saw paid": ([bill(20), bill(32)], [paid(25)], 60, [("b1", 40, 20, "paid", 25)]),
    "an older word does not count": (
        [bill(20), bill(25, said=24, status="paid"), bill(30, said=23)],
        [],
        60,
        [("b1", 40, 20, "paid", 24)],
    ),
    "it is cancelled": ([bill(20), bill(30, status="cancelled")], [], 60, [("b1", 40, 20, "cancelled", 30)]),
    "cancelled after it was paid, it stays paid": (
        [bill(20), bill(30, status="cancelled")],
        [paid(25)],
        60,
        [("b1", 40, 20, "paid", 25)],
    ),
    "paid in advance, says the biller, and issued afterwards": (
        [bill(18, status="paid"), bill(20)],
        [],
        60,
        [("b1", 40, 18, "paid", 18)],
    ),
    "paid in advance, and asked for again after the issue": (
        [bill(18, status="paid"), bill(20), bill(22)],
        [],
        60,
        [("b1", 40, 18, "open", None)],
    ),
    "a reversed payment opens it again": (
        [bill(20)],
        [paid(25), undone(28, of=25)],
        60,
        [("b1", 40, 20, "open", None)],
    ),
    "so does one that failed after all": (
        [bill(20)],
        [paid(25), undone(26, of=25, status="failed")],
        60,
        [("b1", 40, 20, "open", None)],
    ),
    "one that failed first and then succeeded is good": (
        [bill(20)],
        [paid(25), paid(25, hour=7, told=27, status="failed")],
        60,
        [("b1", 40, 20, "paid", 25)],
    ),
    "a reversal at the moment of success undoes it, as in transactions_latest": (
        [bill(20)],
        [paid(25), paid(25, status="reversed")],
        60,
        [("b1", 40, 20, "open", None)],
    ),
    "a reversal that is told before the success": (
        [bill(20)],
        [paid(25, told=31), undone(28, of=25)],
        60,
        [("b1", 40, 20, "open", None)],
    ),
    "another payment still stands": (
        [bill(20)],
        [paid(25), undone(28, of=25), paid(27, transaction_id="t2")],
        60,
        [("b1", 40, 20, "paid", 27)],
    ),
    "the biller's word still stands": (
        [bill(20), bill(26, status="paid")],
        [paid(25), undone(28, of=25)],
        60,
        [("b1", 40, 20, "paid", 26)],
    ),
    "a payment is for the bill before it, until the next is issued": (
        [bill(20), bill(50, **NEXT)],
        [paid(49)],
        60,
        [("b1", 40, 20, "paid", 49), ("b2", 70, 50, "open", None)],
    ),
    "from then on for the next": (
        [bill(20), bill(50, **NEXT)],
        [paid(51)],
        60,
        [("b1", 40, 20, "open", None), ("b2", 70, 50, "paid", 51)],
    ),
    "also where that is told after the payment": (
        [bill(20), bill(60, **NEXT)],
        [paid(51)],
        60,
        [("b1", 40, 20, "open", None), ("b2", 70, 60, "paid", 51)],
    ),
    "a payment of more than fourteen nights before cannot be for the next": (
        [bill(20), bill(66, **NEXT)],
        [paid(51)],
        85,
        [("b1", 40, 20, "paid", 51), ("b2", 70, 66, "open", None)],
    ),
    "a bill learnt after its payment": ([bill(34)], [paid(25, told=26)], 60, [("b1", 40, 34, "paid", 25)]),
    "but not fifteen nights after": ([bill(41)], [paid(25, told=26)], 60, [("b1", 40, 41, "open", None)]),
    "a bill that does not say when it was issued": (
        [bill(20, issued=None), bill(20, bill_id="b2", issued=None, due=65, biller_id="water works")],
        [paid(12), paid(12, transaction_id="t2", biller_id="water works")],  # day 35 is 30 days before day 65
        60,
        [("b1", 40, 20, "paid", 12), ("b2", 65, 20, "open", None)],
    ),
    "a bill that says nothing of its biller is paid by such a payment": (
        [bill(20, biller_id=None)],
        [paid(25, biller_id=None), paid(24, transaction_id="t2")],
        60,
        [("b1", 40, 20, "paid", 25)],
    ),
    "what is to be paid and when may change": (
        [bill(20), bill(30, due=45)],
        [],
        60,
        [("b1", 45, 20, "open", None)],
    ),
    "open and long past due it stays 45 days": ([bill(20)], [], 85, [("b1", 40, 20, "open", None)]),
    "and then goes": ([bill(20)], [], 86, []),
    "closed late it stays 45 days after that": ([bill(20)], [paid(41)], 86, [("b1", 40, 20, "paid", 41)]),
    "and then goes, too": ([bill(20)], [paid(40)], 86, []),
    "what is told when it has been due for 45 days is nobody's concern": (
        [bill(20), bill(86, status="cancelled")],
        [paid(60), undone(86, of=60), paid(60, hour=7, told=86, transaction_id="t2")],
        86,
        [("b1", 40, 20, "paid", 60)],
    ),
    "a bill first told then is none": ([bill(86)], [], 86, []),
    "a recharge with a validity is a plan": ([], [plan(10, "p1")], 60, [("p1", 38, 10, "open", None)]),
    "one without is not, nor a plan for what is no number": (
        [],
        [
            plan(10, "p1", validity=0),
            plan(10, "p2", validity=10**9),
            {**plan(10, "p3"), "plan_validity_days": None},
            plan(10, "p4", category="fastag"),
        ],
        60,
        [],
    ),
    "nor one that is pending or failed": (
        [],
        [plan(10, "p1", status="pending"), plan(10, "p2", status="failed")],
        60,
        [],
    ),
    "the next plan of the number renews it": (
        [],
        [plan(10, "p1"), plan(36, "p2")],
        60,
        [("p1", 38, 10, "renewed", 36), ("p2", 64, 36, "open", None)],
    ),
    "in whichever order they are told": (
        [],
        [plan(36, "p2"), plan(10, "p1", told=40)],
        60,
        [("p1", 38, 40, "renewed", 36), ("p2", 64, 36, "open", None)],
    ),
    "a plan for another number does not": (
        [],
        [plan(10, "p1"), plan(36, "p2", counterparty_token="k1_mother"), plan(36, "p3", biller_id="other")],
        60,
        [("p1", 38, 10, "open", None), ("p2", 64, 36, "open", None), ("p3", 64, 36, "open", None)],
    ),
    "of two of one moment the greater id is the next": (
        [],
        [plan(10, "p1"), plan(10, "p2")],
        60,
        [("p1", 38, 10, "renewed", 10), ("p2", 38, 10, "open", None)],
    ),
    "the next is reversed and the one before is open again": (
        [],
        [plan(10, "p1"), plan(36, "p2"), undone_plan(40, "p2", of=36)],
        60,
        [("p1", 38, 10, "open", None), ("p2", 64, 36, "reversed", 40)],
    ),
    "unless another one renews it": (
        [],
        [plan(10, "p1"), plan(30, "p2"), plan(36, "p3"), undone_plan(40, "p2", of=30)],
        60,
        [("p1", 38, 10, "renewed", 36), ("p2", 58, 30, "reversed", 40), ("p3", 64, 36, "open", None)],
    ),
    "a plan that lapsed is open for 45 days": ([], [plan(12, "p1")], 85, [("p1", 40, 12, "open", None)]),
    "a plan bought when it has gone renews nothing": (
        [],
        [plan(12, "p1"), plan(86, "p2")],
        86,
        [("p2", 114, 86, "open", None)],
    ),
    # The top-up of a day is known as long as the plan of a quarter that it renewed, or that would open again.
    "a later one stays as long as an earlier one does": (
        [],
        [plan(10, "p1", validity=84), plan(12, "p2", validity=1)],
        60,
        [("p1", 94, 10, "renewed", 12), ("p2", 13, 12, "open", None)],
    ),
}  # fmt: skip
UNTIL = (60, 85, 86, 130)


def frames(spark: SparkSession, bills: Sequence[Row], payments: Sequence[Row]) -> tuple[DataFrame, DataFrame]:
    return (
        table_frame(spark, POSTED["bills"], bills, BILL).localCheckpoint(),
        table_frame(spark, POSTED["transactions"], payments, PAYMENT).localCheckpoint(),
    )


def fold(told: tuple[DataFrame, DataFrame], days: Sequence[date]) -> list[DataFrame]:
    """The snapshots of `days`, each from the one before and no more of core than a night reads."""
    bills, payments = told
    since: date | None = None
    snapshot: DataFrame | None = None
    snapshots: list[DataFrame] = []
    for day in days:
        begin = since + timedelta(days=1) if since else date.min
        look_back = begin - timedelta(days=dues.LOOK_BACK) if since else begin
        snapshot = dues.transform(
            snapshot,
            bills.where(f"as_of_date between date'{begin}' and date'{day}'"),
            payments.where(f"as_of_date between date'{look_back}' and date'{day}'"),
            since=since,
            as_of=day,
        ).localCheckpoint()
        since = day
        snapshots.append(snapshot)
    return snapshots


def of_customer(rows: Sequence[Row], customer: str) -> list[Row]:
    return [{**row, "customer_id": customer} for row in rows]


def standing(frame: DataFrame) -> dict[str, list[Standing]]:
    """By customer the rows as a case tells them."""
    found: dict[str, list[Standing]] = {}
    names = ("customer_id", "due_id", "due_date", "first_seen_date", "state", "closed_date")
    for customer, id_, due, seen, state, closed in sorted(frame.select(*names).collect()):
        day_of = [None if day is None else (day - BEGIN).days + 1 for day in (due, seen, closed)]
        found.setdefault(customer, []).append((id_, day_of[0], day_of[1], state, day_of[2]))
    return found


def history(chance: Random, customer: str) -> tuple[list[Row], list[Row]]:
    """Bills and plans of one customer over four months, told in any order and up to three weeks late."""
    bills: list[Row] = []
    payments: list[Row] = []
    for number in range(chance.randrange(5)):
        issued = chance.randrange(100)
        own = {"bill_id": f"{customer}{number}", "issued": issued, "biller_id": chance.choice(("power", "water", None))}
        for version in range(chance.randrange(1, 4)):
            said = issued + chance.randrange(-2, 30)
            told = max(said + chance.choice((0, 0, 0, 2, 20)), 1)
            status = chance.choice(("issued", "issued", "paid", "cancelled"))
            due = issued + 15 + chance.randrange(3)
            bills.append(bill(told, said=said, due=due, status=status, row_hash=version, **own))
    for number in range(chance.randrange(14)):
        day, late = chance.randrange(1, 120), chance.choice((0, 0, 0, 3, 21))
        more = {"transaction_id": f"{customer}{number}", "biller_id": chance.choice(("power", "water", None))}
        make: Any = paid
        if number % 2:
            more |= {"id_": more.pop("transaction_id"), "validity": chance.choice((1, 7, 28, 84))}
            make = plan
        payments.append(make(day, told=day + late, **more))
        for status in ("reversed", "failed", "pending"):
            if chance.random() < 0.2:
                then = day + chance.randrange(15)
                posting = {**payments[-1], "status": status, "updated_at": f"{on(then)} {chance.choice((7, 9)):02}:00"}
                posting["event_date"] = on(then if status == "reversed" else day)
                posting["as_of_date"] = on(then + chance.choice((0, 0, 3, 21)))
                payments += [posting]
    return of_customer(bills, customer), of_customer(payments, customer)


@pytest.fixture(scope="module")
def rows() -> tuple[list[Row], list[Row]]:
    """The cases, a customer each, and many customers more."""
    chance = Random(1)
    own = [(of_customer(bills, name), of_customer(payments, name)) for name, (bills, payments, _, _) in CASES.items()]
    own += [history(chance, f"customer {number}") for number in range(300)]
    return [row for its, _ in own for row in its], [row for _, its in own for row in its]


@pytest.fixture(scope="module")
def at_once(spark: SparkSession, rows: tuple[list[Row], list[Row]]) -> dict[int, DataFrame]:
    """What is told until a day, in one fold without a snapshot before it."""
    told = frames(spark, *rows)
    return {day: fold(told, [on(day)])[0] for day in UNTIL}


@pytest.fixture(scope="module")
def stood_at_once(at_once: dict[int, DataFrame]) -> dict[int, dict[str, list[Standing]]]:
    return {day: standing(snapshot) for day, snapshot in at_once.items()}


@pytest.mark.parametrize("name", CASES)
def test_where_a_bill_or_plan_stands(stood_at_once: dict[int, dict[str, list[Standing]]], name: str) -> None:
    _, _, until, expected = CASES[name]
    assert stood_at_once[until].get(name, []) == expected


def test_any_nights_and_any_order_make_the_same_snapshot(
    spark: SparkSession, rows: tuple[list[Row], list[Row]], at_once: dict[int, DataFrame]
) -> None:
    """A night is a hop of a day: nights and hops in turn are held against one hop over all of them."""
    chance = Random(2)
    bills, payments = (chance.sample(each, len(each)) for each in rows)
    days = (31, *UNTIL)
    for day, snapshot in zip(days, fold(frames(spark, bills, payments), [on(day) for day in days]), strict=True):
        if day in at_once:
            assert cells(snapshot) == cells(at_once[day])
    found = {state for (state,) in cells(at_once[UNTIL[0]], "state")}
    assert found == set(STATES), "the histories have too little in them"
