"""What follows from a selection: contacts, the register of the held-out, and complaints."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import acting
from schemas.acting import CONTACT_HISTORY, HOLDOUTS, SELECTIONS, STEPS
from schemas.core import POSTED
from tests.jobs.acting import ago, trigger, triggers
from tests.jobs.rows import NIGHT, cells, table_frame

RULES = triggers(trigger(), trigger("reminder", message_class="service"))


def selections(spark: SparkSession, *rows: dict[str, Any]) -> Any:
    common = {"as_of_date": str(NIGHT), "trigger": "offer", "subject": "", "channel": "push", "evidence": "{}"}
    named = [{"trigger_id": f"id {number}", **row} for number, row in enumerate(rows)]
    return table_frame(spark, SELECTIONS, named, common)


@pytest.mark.parametrize("mode", ["live", "replay"])
def test_selected_and_withheld_are_contacts_and_nobody_else(spark: SparkSession, mode: str) -> None:
    told = acting.contacts(
        selections(spark, *({"customer_id": step, "step": step} for step in STEPS)), RULES, mode=mode
    )
    assert cells(told, "customer_id", "is_withheld", "message_class", "send_date", "mode") == [
        ("held_out", "true", "promotional", "2026-02-01", mode),
        ("held_out_global", "true", "promotional", "2026-02-01", mode),
        ("selected", "false", "promotional", "2026-02-01", mode),
    ]
    reminder = selections(spark, {"customer_id": "anna", "step": "selected", "trigger": "reminder"})
    assert cells(acting.contacts(reminder, RULES, mode=mode), "message_class") == [("service",)]


def test_who_is_held_out_is_registered_once(spark: SparkSession) -> None:
    found = selections(
        spark,
        {"customer_id": "new", "step": "held_out"},
        {"customer_id": "new", "step": "held_out", "subject": "another"},
        {"customer_id": "new", "step": "held_out", "trigger": "reminder"},
        {"customer_id": "known", "step": "held_out"},
        {"customer_id": "of_all", "step": "held_out_global"},
        {"customer_id": "of_all", "step": "held_out_global", "trigger": "reminder"},
        {"customer_id": "sent", "step": "selected"},
    )
    known = table_frame(spark, HOLDOUTS, [{"customer_id": "known", "trigger": "offer", "as_of_date": ago(3)}])
    expected = [("new", "offer"), ("new", "reminder"), ("of_all", "")]
    assert cells(acting.newly_held_out(found, known), "customer_id", "trigger") == expected
    assert len(cells(acting.newly_held_out(found, None))) == 4


def test_a_message_that_came_back_closes_its_channel(spark: SparkSession) -> None:
    history = table_frame(
        spark,
        CONTACT_HISTORY,
        [
            {"trigger_id": "t1", "customer_id": "anna", "channel": "sms"},
            {"trigger_id": "t2", "customer_id": "bert", "channel": "email"},
            {"trigger_id": "t3", "customer_id": "carl", "channel": "push"},
        ],
        {"message_class": "promotional", "mode": "live"},
    )
    feedback = table_frame(
        spark,
        POSTED["campaign_feedback"],
        [
            {"trigger_id": "t1", "outcome": "bounced"},
            {"trigger_id": "t2", "outcome": "opted_out"},
            {"trigger_id": "t3", "outcome": "opened"},
            # Of a campaign that the lake knows nothing of.
            {"trigger_id": "t9", "outcome": "bounced"},
        ],
        {"as_of_date": ago(1), "occurred_at": "2026-01-30 10:00"},
    )
    told = acting.complaints(feedback, history)
    assert cells(told, "customer_id", "key", "is_closed", "as_of_date") == [
        ("anna", "promotional/sms", "true", "2026-01-30"),
        ("anna", "service/sms", "true", "2026-01-30"),
        # An objection is to what was sent, not to bills that fall due.
        ("bert", "promotional/email", "true", "2026-01-30"),
    ]
