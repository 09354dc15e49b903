"""What follows from a selection: the contacts that it makes, who was held out first, and who objects to them."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.figures import literal
from jobs import delivery
from jobs.frames import select_contract
from jobs.rules.triggers import TriggerRule
from schemas.acting import CONTACT_HISTORY, HOLDOUTS, SELECTED, WITHHELD

# Outcomes after which a channel is left alone for a while.
COMPLAINTS = ("bounced", "opted_out")


def contacts(selections: DataFrame, triggers: Sequence[TriggerRule], *, mode: str) -> DataFrame:
    """One row is one contact that a night meant to make, or withheld; of a `replay` it counts only with a receipt."""
    arms = " ".join(f"when {literal(each.name)} then '{each.policy.message_class}'" for each in triggers)
    made = selections.where(F.col("step").isin(SELECTED, *WITHHELD))
    return select_contract(
        made.selectExpr(
            "*",
            f"case trigger {arms} end as message_class",
            "date_add(as_of_date, 1) as send_date",
            f"step <> '{SELECTED}' as is_withheld",
            f"'{mode}' as mode",
        ),
        CONTACT_HISTORY,
    )


def that_count(contacts: DataFrame, receipts: DataFrame | None) -> DataFrame:
    """The contacts of which something follows: what was sent, and without a receipt what a live night meant to.

    `receipts` of these nights; None where there are none.
    """
    if receipts is None:
        return contacts.where("mode = 'live'")
    told = delivery.current(receipts).selectExpr("trigger_id", "action as told")
    # Where a replay was delivered after all, those held out count as those do who were sent to.
    delivered = receipts.where("action = 'send'").selectExpr("as_of_date", "trigger", "true as is_delivered").distinct()
    looked_up = contacts.join(told, "trigger_id", "left").join(
        F.broadcast(delivered), ["as_of_date", "trigger"], "left"
    )
    counts = "coalesce(told = 'send', mode = 'live' or (is_withheld and is_delivered), false)"
    return looked_up.where(counts).drop("told", "is_delivered")


def newly_held_out(selections: DataFrame, known: DataFrame | None) -> DataFrame:
    """One row is one customer whom no night before withheld from the trigger, or (empty) from all that is promotional.

    `known`: the register of the nights before; None where there is none.
    """
    of_all, of_trigger = WITHHELD
    held = selections.where(F.col("step").isin(of_all, of_trigger)).selectExpr(
        "as_of_date", "customer_id", f"if(step = '{of_all}', '', trigger) as trigger"
    )
    if known is not None:
        held = held.join(known.select("trigger", "customer_id"), ["trigger", "customer_id"], "left_anti")
    first = held.groupBy("trigger", "customer_id").agg(F.min("as_of_date").alias("as_of_date"))
    return select_contract(first, HOLDOUTS)


def complaints(feedback: DataFrame, history: DataFrame) -> DataFrame:
    """One row is one channel that one customer's message bounced on, or was objected to; as jobs.selection reads it."""
    told = feedback.where(F.col("outcome").isin(*COMPLAINTS)).selectExpr("trigger_id", "occurred_at", "as_of_date")
    sent = history.select("trigger_id", "customer_id", "channel")
    return told.join(sent, "trigger_id").selectExpr(
        "customer_id", "channel", "true as is_closed", "occurred_at as updated_at", "0L as row_hash", "as_of_date"
    )
