"""Who meets which shipped trigger: one customer in and one just out of each, and what goes out with them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from jobs import eligible, rule_rows
from jobs.engines.base import engines, score_columns
from jobs.frames import local_frame
from jobs.rules.book import compile_book
from jobs.rules.columns import dues, read
from jobs.rules.triggers import TriggerRule
from schemas.dues import DUES
from schemas.judgement import CUSTOMER_SEGMENTS
from schemas.mart import CUSTOMER_PROFILE
from tests.jobs.acting import SHIPPED, trigger, triggers
from tests.jobs.rows import NIGHT, table_frame

BOOK = compile_book(SHIPPED, score_columns(engines(SHIPPED)))
RUPEES_5000 = 500_000


def ago(days: int) -> str:
    return str(NIGHT - timedelta(days=days))


def in_days(days: int) -> str:
    """A due date so many days after the send date, which is the day after the night."""
    return str(NIGHT + timedelta(days=1 + days))


def met(
    spark: SparkSession,
    customers: Sequence[Mapping[str, Any]],
    rules: Sequence[TriggerRule] = BOOK.triggers,
    *,
    due: Sequence[Mapping[str, Any]] = (),
    upgraded: Mapping[str, str] | None = None,
) -> list[Row]:
    """What is found of customers, each with facts of the profile and how they were judged that night."""
    judged = ("lifecycle", "level", "segments")
    profile = [{name: value for name, value in row.items() if name not in judged} for row in customers]
    standing = [
        {"customer_id": row["customer_id"], "lifecycle": "active", "level": "visitor", "segments": None, **row}
        for row in customers
    ]
    told = [(NIGHT, row["customer_id"], row["lifecycle"], row["level"], row["segments"] or []) for row in standing]
    rows = rule_rows.transform(
        table_frame(spark, CUSTOMER_PROFILE, profile, {"as_of_date": str(NIGHT)}),
        local_frame(spark, told, CUSTOMER_SEGMENTS.ddl(nullable=True)),
        None,
        columns=BOOK.columns,
        names={name for rule in rules for name in rule.columns},
        engines=(),
        also=sorted({f"last_{rule.policy.goal}_date" for rule in rules}),
    )
    moved = " ".join(f"when customer_id = '{who}' then '{level}'" for who, level in (upgraded or {}).items())
    rows = rows.selectExpr(
        "*", f"case {moved} end as upgraded_from" if moved else "cast(null as string) as upgraded_from"
    )
    open_ones = table_frame(spark, DUES, due, {"as_of_date": str(NIGHT), "state": "open", "kind": "bill"})
    names = dues()
    due_rows = open_ones.selectExpr("as_of_date", "customer_id", "due_id", *read(names, set(names)))
    return eligible.transform(rows, due_rows, rules).orderBy("trigger", "customer_id", "subject").collect()


def who(told: Sequence[Row], name: str) -> list[str]:
    return [row["customer_id"] for row in told if row["trigger"] == name]


# ---- the shipped triggers


def test_the_lapsed_premium_sender_is_as_designed(spark: SparkSession) -> None:
    lapsed = {"level": "premium", "largest_transfer_minor": RUPEES_5000, "last_app_date": ago(30)}
    told = met(
        spark,
        [
            {"customer_id": "in", **lapsed},
            {"customer_id": "opened", **lapsed, "last_app_date": ago(29)},
            {"customer_id": "sent_less", **lapsed, "largest_transfer_minor": RUPEES_5000 - 1},
            {"customer_id": "power", **lapsed, "level": "power"},
            # Nobody knows of an app that was never used: no reason to think that it was given up.
            {"customer_id": "never_opened", **lapsed, "last_app_date": None},
        ],
    )
    assert who(told, "lapsed_premium_sender") == ["in"]
    [row] = told
    assert json.loads(row["evidence"]) == {
        "days_since_app_open": 30,
        "largest_transfer_minor": RUPEES_5000,
        "level": "premium",
    }
    assert row["rank"] == RUPEES_5000


@pytest.mark.parametrize(("days", "is_in"), [(4, False), (3, True), (2, False), (1, True), (0, False), (-1, False)])
def test_what_falls_due_is_spoken_of_three_days_and_one_day_ahead(spark: SparkSession, days: int, is_in: bool) -> None:
    told = met(
        spark,
        [{"customer_id": "anna"}],
        due=[
            {"customer_id": "anna", "due_id": "b1", "category": "electricity", "due_date": in_days(days)},
            {"customer_id": "anna", "due_id": "b2", "category": "gas", "due_date": in_days(days)},
            {"customer_id": "anna", "due_id": "p1", "kind": "plan", "category": "mobile", "due_date": in_days(days)},
        ],
    )
    assert [(row["trigger"], row["subject"]) for row in told] == (
        [("bill_due", "b1"), ("recharge_expiring", "p1")] if is_in else []
    )


def test_a_first_transfer_is_offered_to_members_of_the_segment(spark: SparkSession) -> None:
    ready = ["ready_for_first_transfer"]
    told = met(spark, [{"customer_id": "in", "segments": ready}, {"customer_id": "out", "segments": ["recharge_user"]}])
    assert who(told, "first_transfer") == ["in"]


def test_who_moved_up_that_night_is_congratulated(spark: SparkSession) -> None:
    told = met(
        spark,
        [{"customer_id": "up", "level": "sender"}, {"customer_id": "same", "level": "sender"}],
        upgraded={"up": "recharge"},
    )
    assert who(told, "level_up") == ["up"]
    assert json.loads(told[0]["evidence"]) == {"level": "sender", "upgraded_from": "recharge"}


def test_win_back_is_for_payers_who_have_gone(spark: SparkSession) -> None:
    told = met(
        spark,
        [
            {"customer_id": "in", "lifecycle": "dormant", "transacting_count": 5},
            {"customer_id": "paid_less", "lifecycle": "dormant", "transacting_count": 4},
            {"customer_id": "here", "lifecycle": "at_risk", "transacting_count": 5},
        ],
    )
    assert who(told, "win_back") == ["in"]


def test_merchants_are_shown_to_senders_who_never_paid_one(spark: SparkSession) -> None:
    sender = {"level": "sender", "transfer_days_0_63": 0b11}
    told = met(
        spark,
        [
            {"customer_id": "in", **sender},
            {"customer_id": "paid_one", **sender, "merchant_count": 1},
            {"customer_id": "once", **sender, "transfer_days_0_63": 0b1},
        ],
    )
    assert who(told, "merchant_cross_sell") == ["in"]


# ---- what is told of each


def test_a_trigger_counts_from_its_date_on_and_its_id_is_a_name_for_ever(spark: SparkSession) -> None:
    customers = [{"customer_id": "anna", "recharge_count": 1}]
    [row] = met(spark, customers, triggers(trigger(effective_from=NIGHT)))
    assert row["trigger_id"] == met(spark, customers, triggers(trigger(priority=9)))[0]["trigger_id"]
    assert len(row["trigger_id"]) == 32
    assert set(row["trigger_id"]) <= set("0123456789abcdef")
    assert met(spark, customers, triggers(trigger(effective_from=NIGHT + timedelta(days=1)))) == []
    assert met(spark, customers, triggers(trigger("other")))[0]["trigger_id"] != row["trigger_id"]


def test_evidence_keeps_what_is_missing_and_the_goal_is_the_last_date_with_it(spark: SparkSession) -> None:
    rules = triggers(trigger(evidence=("recharge_count", "days_since_app_open")))
    [row] = met(spark, [{"customer_id": "anna", "recharge_count": 1, "last_transfer_date": ago(3)}], rules)
    assert row["evidence"] == '{"days_since_app_open":null,"recharge_count":1}'
    assert row["goal_date"] == date(2026, 1, 28)
    assert row["rank"] == 0
