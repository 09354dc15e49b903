"""trigger_list_v1: what a night has selected, as a campaign system is told it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import Trigger
from jobs.frames import local_frame
from jobs.rules.triggers import TriggerRule
from schemas.acting import SELECTED
from schemas.lists import TRIGGER_LIST_V1

# Is reached by an audience, not by a message.
AUDIENCE_CHANNEL = "paid_social"
POLICY = (
    "trigger string, message_class string, priority int, offer_id string, template_id string, header_id string, "
    "valid_days int, opens string, closes string"
)


def transform(selections: DataFrame, customers: DataFrame, triggers: Sequence[TriggerRule], *, zone: str) -> DataFrame:
    """One row is one message to send: the selections of a night, with what their triggers say of them.

    `customers` are the newest versions of registrations, for the language. Hours are those of the lake's `zone`; what
    is valid for n days is so until the n-th midnight after the send date begins.
    """
    policies = local_frame(selections.sparkSession, (_policy(each.policy) for each in triggers), POLICY)
    chosen = selections.where((F.col("step") == SELECTED) & (F.col("channel") != AUDIENCE_CHANNEL))
    rows = chosen.join(F.broadcast(policies), "trigger").join(
        customers.select("customer_id", "language"), "customer_id", "left"
    )
    rows = rows.selectExpr("*", "date_add(as_of_date, 1) as send_date", "'send' as action")

    def at(day: str, time: str) -> str:
        return f"to_utc_timestamp(to_timestamp(concat({day}, ' ', {time})), '{zone}')"

    rows = rows.selectExpr(
        "*",
        f"{at('send_date', 'opens')} as send_not_before",
        f"{at('send_date', 'closes')} as send_not_after",
        f"""{at("date_add(send_date, valid_days)", "'00:00'")} as expires_at""",
    )
    return rows.selectExpr(*(f"cast({column.name} as {column.type}) as {column.name}" for column in TRIGGER_LIST_V1))


def _policy(policy: Trigger) -> tuple[Any, ...]:
    return (
        policy.name,
        policy.message_class,
        policy.priority,
        policy.offer_id,
        policy.template_id,
        policy.header_id,
        policy.valid_days,
        *policy.send_window,
    )
