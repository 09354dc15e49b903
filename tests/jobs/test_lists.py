"""trigger_list_v1: what a campaign system is told of a night's selections."""

from __future__ import annotations

from pyspark.sql import SparkSession

from jobs import lists
from schemas.acting import SELECTIONS
from schemas.core import STATES
from schemas.lists import TRIGGER_LIST_V1
from tests.jobs.acting import trigger, triggers
from tests.jobs.rows import NIGHT, cells, table_frame

RULES = triggers(
    trigger(valid_days=3, offer_id="cash", template_id="t", header_id="h", send_window=("09:30", "20:00")),
    trigger("reminder", message_class="service", priority=4),
)


def told(spark: SparkSession, *rows: dict[str, str | None]) -> list[tuple[str | None, ...]]:
    common = {"as_of_date": str(NIGHT), "trigger": "offer", "subject": "", "step": "selected", "channel": "push"}
    selections = table_frame(spark, SELECTIONS, rows, {**common, "evidence": '{"a":1}', "rule_version": "v"})
    customers = table_frame(spark, STATES["customers"], [{"customer_id": "anna", "language": "hi"}])
    return cells(lists.transform(selections, customers, RULES, zone="Asia/Kolkata"))


def test_a_message_says_who_what_when_and_until_when(spark: SparkSession) -> None:
    [row] = told(spark, {"customer_id": "anna", "trigger_id": "id"})
    assert dict(zip((column.name for column in TRIGGER_LIST_V1), row, strict=True)) == {
        "trigger_id": "id",
        "action": "send",
        "trigger": "offer",
        "rule_version": "v",
        "as_of_date": "2026-01-31",
        "send_date": "2026-02-01",
        "customer_id": "anna",
        "subject": "",
        "channel": "push",
        "message_class": "promotional",
        "priority": "1",
        "offer_id": "cash",
        "template_id": "t",
        "header_id": "h",
        "language": "hi",
        # Half past nine and eight in the evening in India.
        "send_not_before": "2026-02-01 04:00:00",
        "send_not_after": "2026-02-01 14:30:00",
        # The first, second and third of February are whole; the fourth begins at 18:30 UTC of the third.
        "expires_at": "2026-02-03 18:30:00",
        "evidence": '{"a":1}',
    }


def test_only_who_is_selected_and_reached_by_a_message_is_in_it(spark: SparkSession) -> None:
    rows = told(
        spark,
        {"customer_id": "sent", "trigger_id": "1", "trigger": "reminder", "subject": "bill 1"},
        {"customer_id": "held", "trigger_id": "2", "step": "held_out"},
        {"customer_id": "capped", "trigger_id": "3", "step": "capped", "channel": None},
        {"customer_id": "audience", "trigger_id": "4", "channel": "paid_social"},
    )
    assert [(row[0], row[6], row[7], row[9], row[14]) for row in rows] == [("1", "sent", "bill 1", "service", None)]
