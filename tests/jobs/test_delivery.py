"""What lists tell of a night: consents once more, what was told before, and the receipts of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs import acting, delivery
from jobs.frames import local_frame
from schemas.acting import CONTACT_HISTORY, SELECTIONS
from schemas.lists import TRIGGER_LIST_V1
from schemas.ops import EXPORTS
from schemas.table import Table
from tests.jobs.rows import NIGHT, cells, table_frame

MESSAGES = Table(
    name="lists.messages",
    row="one message",
    kind="log",
    key=("trigger_id",),
    owner="tests",
    keep="1 day",
    columns=TRIGGER_LIST_V1,
)
NOW = "timestamp'2026-02-01 06:00:00'"
SENT = {
    "action": "send",
    "trigger": "offer",
    "channel": "push",
    "message_class": "promotional",
    "evidence": "old",
    "expires_at": "2026-02-03 00:00",
}


def messages(spark: SparkSession, *rows: Mapping[str, Any]) -> DataFrame:
    """A row names its trigger_id, which is its customer as well."""
    told = [{"customer_id": row["trigger_id"], **row} for row in rows]
    return table_frame(spark, MESSAGES, told, {**SENT, "evidence": "new"})


def before(spark: SparkSession, *rows: Mapping[str, Any]) -> DataFrame:
    return table_frame(spark, MESSAGES, rows, SENT)


def allowed(
    spark: SparkSession,
    rows: DataFrame,
    consented: Mapping[str, Sequence[str]],
    gone: Sequence[str] = (),
    reached: Sequence[str] = (),
    at: str | None = None,
    **blocked: str,
) -> DataFrame:
    given = local_frame(spark, list(consented.items()), "customer_id string, consented array<string>")
    deleted = local_frame(spark, [(who,) for who in gone], "customer_id string")
    had = local_frame(spark, [(who,) for who in reached], "customer_id string")
    return delivery.allowed(rows, given, deleted, blocked, had, at=at)


def test_the_last_look_only_removes_and_says_why(spark: SparkSession) -> None:
    rows = messages(
        spark,
        {"trigger_id": "goes"},
        # Consents to something else, and to nothing at all.
        {"trigger_id": "other channel"},
        {"trigger_id": "nothing"},
        # Was deleted since, whatever the consent says.
        {"trigger_id": "gone"},
        # Its trigger is stopped, which is said before all else.
        {"trigger_id": "stopped", "trigger": "halted"},
        # Was valid for fewer days than the list has been out.
        {"trigger_id": "expired", "expires_at": "2026-02-01 06:00"},
        # May have another offer of the night, which a correction took back; a reminder still goes.
        {"trigger_id": "reached"},
        {"trigger_id": "reminded", "message_class": "service"},
    )
    consents = {
        "goes": ["promotional/push"],
        "other channel": ["promotional/sms", "service/push"],
        "gone": ["promotional/push"],
        "expired": ["promotional/push"],
        "reached": ["promotional/push"],
        "reminded": ["service/push"],
    }
    told = allowed(spark, rows, consents, ["gone"], ["reached", "reminded"], NOW, halted="stopped")
    assert sorted(cells(told, "trigger_id", "reason")) == [
        ("expired", "expired"),
        ("goes", None),
        ("gone", "suppressed"),
        ("nothing", "no_consent"),
        ("other channel", "no_consent"),
        ("reached", "capped"),
        ("reminded", None),
        ("stopped", "stopped"),
    ]


def test_what_is_out_stands_as_it_was_told(spark: SparkSession) -> None:
    """By now the night selects her over another channel: the consent that counts is that of what may be on its way."""
    now = messages(spark, *({"trigger_id": name, "channel": "sms"} for name in ("out", "cancelled", "new")))
    was = lay(spark, {"trigger_id": "out"}, {"trigger_id": "cancelled", "action": "cancel"}, {"trigger_id": "lost"})
    assert sorted(cells(delivery.standing(now, was), "trigger_id", "channel")) == [
        ("cancelled", "sms"),
        ("new", "sms"),
        ("out", "push"),
    ]


def test_whom_a_correction_takes_a_message_from_may_have_it_once_it_might_be_sent(spark: SparkSession) -> None:
    open_now = {"send_not_before": "2026-02-01 05:00"}
    rows = [
        {"trigger_id": "1", "customer_id": "has it", **open_now},
        {"trigger_id": "2", "customer_id": "cancelled too late", "action": "cancel", **open_now},
        {"trigger_id": "3", "customer_id": "cancelled in time", "action": "cancel", **open_now},
        {"trigger_id": "4", "customer_id": "not yet", "send_not_before": "2026-02-01 07:00"},
        {"trigger_id": "5", "customer_id": "still selected", **open_now},
        {"trigger_id": "6", "customer_id": "reminded", "message_class": "service", **open_now},
    ]
    told = [{"trigger_id": str(n), "generation": "1"} for n in range(1, 7)]
    cancels = [
        {"trigger_id": "2", "generation": "2", "action": "cancel", "in_time": "false"},
        {"trigger_id": "3", "generation": "2", "action": "cancel", "in_time": "true"},
    ]
    selected = local_frame(spark, [("5",)], "trigger_id string")
    found = delivery.reached(before(spark, *rows), selected, receipts(spark, *told, *cancels), at=NOW)
    assert sorted(cells(found)) == [("cancelled too late",), ("has it",)]


def decided(spark: SparkSession, now: DataFrame, was: DataFrame, **lost: str) -> list[tuple[str | None, ...]]:
    told = delivery.decided(now, was, lost)
    return sorted(cells(told, "trigger_id", "action", "reason", "is_change", "evidence"))


@pytest.mark.parametrize(
    ("selected", "reason", "told", "expected"),
    [
        (True, None, None, ("send", None, "true", "new")),
        # Told already: the row stays to the letter.
        (True, None, "send", ("send", None, "false", "old")),
        # A person let it go on.
        (True, None, "cancel", ("send", None, "true", "new")),
        (True, "no_consent", None, ("withheld", "no_consent", "false", "new")),
        (True, "no_consent", "send", ("cancel", "no_consent", "true", "old")),
        (True, "no_consent", "cancel", ("cancel", "no_consent", "false", "old")),
        (False, None, "send", ("cancel", "not_selected", "true", "old")),
        (False, None, "cancel", ("cancel", "not_selected", "false", "old")),
    ],
)
def test_a_message_is_told_once_cancelled_once_and_never_forgotten(
    spark: SparkSession, selected: bool, reason: str | None, told: str | None, expected: tuple[str | None, ...]
) -> None:
    rows = messages(spark, *([{"trigger_id": "id"}] if selected else []))
    now = rows.selectExpr(*delivery.NAMES, f"{repr(reason) if reason else 'cast(null as string)'} as reason")
    was = before(spark, *([{"trigger_id": "id", "action": told}] if told else []))
    assert decided(spark, now, was) == [("id", *expected)]


def test_why_a_trigger_selects_nobody_any_more_is_said(spark: SparkSession) -> None:
    now = messages(spark).selectExpr(*delivery.NAMES, "cast(null as string) as reason")
    was = before(spark, {"trigger_id": "1", "trigger": "removed"}, {"trigger_id": "2"})
    assert [row[:3] for row in decided(spark, now, was, removed="not_configured")] == [
        ("1", "cancel", "not_configured"),
        ("2", "cancel", "not_selected"),
    ]


def receipts(spark: SparkSession, *rows: Mapping[str, Any]) -> DataFrame:
    return table_frame(spark, EXPORTS, rows, {"trigger": "offer", "list": delivery.LIST, "action": "send"})


def decision(spark: SparkSession, *rows: tuple[str, str, str | None], trigger: str = "offer") -> DataFrame:
    told = local_frame(spark, rows, "trigger_id string, action string, reason string")
    times = "timestamp'2026-02-03 00:00:00' as expires_at", f"{NOW} as send_not_before"
    return told.selectExpr("*", f"'{trigger}' as trigger", f"date'{NIGHT}' as as_of_date", *times)


def generation(spark: SparkSession, number: int) -> DataFrame:
    """The generation of the list of offers, told now."""
    made = local_frame(spark, [("offer", number)], "trigger string, generation bigint")
    return made.selectExpr("*", f"{NOW} as told_at")


def test_a_receipt_is_written_where_something_else_is_told_than_before(spark: SparkSession) -> None:
    known = receipts(
        spark,
        {"trigger_id": "same", "generation": "1"},
        {"trigger_id": "cancelled", "generation": "1"},
        {"trigger_id": "resumed", "generation": "1"},
        {"trigger_id": "resumed", "generation": "2", "action": "cancel"},
        {"trigger_id": "still not", "generation": "1", "action": "withheld", "reason": "no_consent"},
    )
    rows = [
        ("same", "send", None),
        ("cancelled", "cancel", "no_consent"),
        ("resumed", "send", None),
        ("still not", "withheld", "stopped"),
        ("new", "send", None),
    ]
    # The list of the other was not published, so nothing of it is known.
    told = decision(spark, *rows).unionByName(decision(spark, ("other", "send", None), trigger="halted"))
    generations = generation(spark, 3)
    none = lay(spark)
    made = delivery.receipts(told, generations, known, none)
    new = [row for row in cells(made, "trigger_id", "generation", "action", "reason") if row[1] == "3"]
    assert sorted(new) == [
        ("cancelled", "3", "cancel", "no_consent"),
        ("new", "3", "send", None),
        ("resumed", "3", "send", None),
    ]
    assert made.count() == known.count() + 3
    # Twice is once.
    again = delivery.receipts(told, generations, made, none)
    assert sorted(cells(again)) == sorted(cells(made))


def lay(spark: SparkSession, *rows: Mapping[str, Any]) -> DataFrame:
    """The rows of a list as they were before, of its second generation."""
    return before(spark, *rows).selectExpr("*", "2L as generation")


def test_what_a_killed_run_has_told_gets_its_receipt_before_what_is_told_now(spark: SparkSession) -> None:
    was = lay(
        spark,
        {"trigger_id": "sent, and still is"},
        {"trigger_id": "sent, and cancelled now"},
        # Cancelled by a run that was killed: it was sent by the one before it, which was killed as well.
        {"trigger_id": "cancelled", "action": "cancel"},
        {"trigger_id": "noted"},
        # Stopped, resumed by a run that was killed, and stopped again.
        {"trigger_id": "resumed"},
    )
    known = receipts(
        spark,
        {"trigger_id": "noted", "generation": "1"},
        {"trigger_id": "resumed", "generation": "0"},
        {"trigger_id": "resumed", "generation": "1", "action": "cancel", "reason": "stopped"},
    )
    rows = [
        ("sent, and still is", "send", None),
        ("sent, and cancelled now", "cancel", "no_consent"),
        ("cancelled", "cancel", "not_selected"),
        ("noted", "send", None),
        ("resumed", "cancel", "stopped"),
    ]
    told = decision(spark, *rows)
    generations = generation(spark, 3)
    made = delivery.receipts(told, generations, known, was)
    assert sorted(cells(made, "trigger_id", "generation", "action", "reason")) == [
        ("cancelled", "1", "send", None),
        ("cancelled", "3", "cancel", "not_selected"),
        ("noted", "1", "send", None),
        ("resumed", "0", "send", None),
        ("resumed", "1", "cancel", "stopped"),
        ("resumed", "2", "send", None),
        ("resumed", "3", "cancel", "stopped"),
        ("sent, and cancelled now", "2", "send", None),
        ("sent, and cancelled now", "3", "cancel", "no_consent"),
        ("sent, and still is", "2", "send", None),
    ]
    again = delivery.receipts(told, generations, made, was)
    assert sorted(cells(again)) == sorted(cells(made))


def test_a_cancel_says_whether_it_came_in_time(spark: SparkSession) -> None:
    told = decision(spark, ("early", "cancel", "stopped"), ("late", "cancel", "stopped"), ("sent", "send", None))
    told = told.withColumn("send_not_before", F.expr(f"{NOW} + if(trigger_id = 'early', 1, 0) * interval 1 second"))
    generations = generation(spark, 2)
    made = delivery.receipts(told, generations, receipts(spark), lay(spark))
    assert sorted(cells(made, "trigger_id", "in_time")) == [("early", "true"), ("late", "false"), ("sent", None)]


def test_what_counts_as_a_contact_is_what_may_have_been_sent(spark: SparkSession) -> None:
    live, replay = {"mode": "live"}, {"mode": "replay"}
    rows = [
        {"trigger_id": "live, no receipt", **live},
        {"trigger_id": "sent", **live},
        {"trigger_id": "cancelled in time", **live},
        {"trigger_id": "cancelled too late", **live},
        {"trigger_id": "cancelled in time and sent after all", **live},
        {"trigger_id": "withheld", **live},
        {"trigger_id": "cancelled in time, its list lost", **live},
        {"trigger_id": "replay, no receipt", **replay},
        {"trigger_id": "replay, sent", **replay},
        # Held out of a night that was delivered after all, and of one that was not.
        {"trigger_id": "held out, delivered", "is_withheld": "true", **replay},
        {"trigger_id": "held out", "is_withheld": "true", "trigger": "other", **replay},
        {"trigger_id": "held out, live", "is_withheld": "true", "trigger": "other", **live},
    ]
    history = table_frame(spark, CONTACT_HISTORY, rows, {"trigger": "offer", "is_withheld": "false"})
    cancelled = {"action": "cancel", "reason": "stopped"}
    told = receipts(
        spark,
        {"trigger_id": "sent", "generation": "1"},
        {"trigger_id": "cancelled in time", "generation": "1"},
        {"trigger_id": "cancelled in time", "generation": "2", "in_time": "true", **cancelled},
        {"trigger_id": "cancelled too late", "generation": "1"},
        {"trigger_id": "cancelled too late", "generation": "2", "in_time": "false", **cancelled},
        {"trigger_id": "cancelled in time and sent after all", "generation": "1"},
        {"trigger_id": "cancelled in time and sent after all", "generation": "2", "in_time": "true", **cancelled},
        {"trigger_id": "cancelled in time and sent after all", "generation": "3"},
        {"trigger_id": "withheld", "generation": "1", "action": "withheld", "reason": "no_consent"},
        {"trigger_id": "replay, sent", "generation": "1"},
        {"trigger_id": "cancelled in time, its list lost", "generation": "1"},
        {"trigger_id": "cancelled in time, its list lost", "generation": "2", "in_time": "true", **cancelled},
        {"trigger_id": "cancelled in time, its list lost", "generation": "3", "action": "withheld"},
    )
    assert {row[0] for row in cells(acting.that_count(history, told), "trigger_id")} == {
        "live, no receipt",
        "sent",
        # May have been sent before.
        "cancelled too late",
        "cancelled in time and sent after all",
        "replay, sent",
        "held out, delivered",
        "held out, live",
    }
    assert {row[0] for row in cells(acting.that_count(history, None), "trigger_id")} == {
        row["trigger_id"] for row in rows if row["mode"] == "live"
    }


def test_who_was_assigned_are_the_winners_of_triggers_that_went_out(spark: SparkSession) -> None:
    """Treated and held out alike, also who was withheld at delivery; not who was held out of everything, or lost."""
    rows = [
        {"trigger_id": "live", "trigger": "live"},
        {"trigger_id": "live, held out", "trigger": "live", "step": "held_out"},
        {"trigger_id": "out of everything", "trigger": "live", "step": "held_out_global"},
        {"trigger_id": "capped", "trigger": "live", "step": "capped"},
        {"trigger_id": "sent", "trigger": "sent"},
        {"trigger_id": "no consent any more", "trigger": "sent"},
        # Stopped before anything of it was told, so that nobody was treated.
        {"trigger_id": "stopped", "trigger": "stopped"},
        {"trigger_id": "stopped, held out", "trigger": "stopped", "step": "held_out"},
        {"trigger_id": "in time", "trigger": "stopped in time"},
        {"trigger_id": "replay", "trigger": "replay"},
        {"trigger_id": "replay, sent", "trigger": "replay, sent"},
    ]
    selections = table_frame(spark, SELECTIONS, rows, {"step": "selected", "customer_id": "anna"})
    lived = ("live", "sent", "stopped", "stopped in time")
    modes = [{"trigger": name, "trigger_id": name, "mode": "live"} for name in lived]
    modes += [{"trigger": name, "trigger_id": name, "mode": "replay"} for name in ("replay", "replay, sent")]
    contacts = table_frame(spark, CONTACT_HISTORY, modes)
    cancelled = {"action": "cancel", "reason": "stopped"}
    told = receipts(
        spark,
        {"trigger": "sent", "trigger_id": "sent", "generation": "1"},
        {"trigger": "sent", "trigger_id": "sent", "generation": "2", **cancelled},
        {"trigger": "sent", "trigger_id": "no consent any more", "action": "withheld", "generation": "1"},
        {"trigger": "stopped", "trigger_id": "stopped", "action": "withheld", "generation": "1"},
        {"trigger": "stopped in time", "trigger_id": "in time", "generation": "1"},
        {"trigger": "stopped in time", "trigger_id": "in time", "generation": "2", "in_time": "true", **cancelled},
        {"trigger": "replay, sent", "trigger_id": "replay, sent", "generation": "1"},
    )
    assert set(cells(acting.assigned(selections, contacts, told), "trigger_id", "is_held_out")) == {
        ("live", "false"),
        ("live, held out", "true"),
        ("sent", "false"),
        ("no consent any more", "false"),
        ("replay, sent", "false"),
    }
    without = {row[0] for row in cells(acting.assigned(selections, contacts, None), "trigger_id")}
    assert without == {
        "live",
        "live, held out",
        "sent",
        "no consent any more",
        "stopped",
        "stopped, held out",
        "in time",
    }
