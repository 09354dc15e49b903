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
from schemas.columns import PURPOSES

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
    """The contacts of which something follows: what was told to be sent, and without a receipt what a live night meant.

    Who was cancelled before the message might be sent was not contacted; who was later may have it already.

    `receipts` of these nights; None where there are none.
    """
    if receipts is None:
        return contacts.where("mode = 'live'")
    told = delivery.contacted(receipts)
    # Where a replay was delivered after all, those held out count as those do who were sent to.
    delivered = told.where("is_contact").selectExpr("as_of_date", "trigger", "true as is_delivered").distinct()
    looked_up = contacts.join(told.select("trigger_id", "is_contact"), "trigger_id", "left").join(
        F.broadcast(delivered), ["as_of_date", "trigger"], "left"
    )
    counts = "coalesce(is_contact, mode = 'live' or (is_withheld and is_delivered), false)"
    return looked_up.where(counts).drop("is_contact", "is_delivered")


def assigned(selections: DataFrame, contacts: DataFrame, receipts: DataFrame | None) -> DataFrame:
    """One row is one customer whom a trigger that went out on a night won, `is_held_out` or written to.

    A trigger went out on a night of which anything was sent, and without any receipt where the night was live. Who was
    withheld at delivery counts as written to, since the held-out were not looked at once more.
    """
    nights = contacts.select("as_of_date", "trigger", "mode").distinct()
    if receipts is not None:
        told = (
            delivery.contacted(receipts).groupBy("as_of_date", "trigger").agg(F.expr("bool_or(is_contact) as is_sent"))
        )
        nights = nights.join(told, ["as_of_date", "trigger"], "left").where("coalesce(is_sent, mode = 'live')")
    else:
        nights = nights.where("mode = 'live'")
    _, of_trigger = WITHHELD
    won = selections.where(F.col("step").isin(SELECTED, of_trigger))
    rows = won.join(F.broadcast(nights.select("as_of_date", "trigger")), ["as_of_date", "trigger"], "left_semi")
    return rows.selectExpr(
        "as_of_date", "trigger", "customer_id", "trigger_id", f"step = '{of_trigger}' as is_held_out"
    )


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
    """One row is one key ("class/channel") by which a customer is not reached any more; as jobs.selection reads it.

    A bounce closes the channel, whatever it is about; an objection only what it was about.
    """
    told = feedback.where(F.col("outcome").isin(*COMPLAINTS)).select(
        "trigger_id", "outcome", "occurred_at", "as_of_date"
    )
    sent = history.select("trigger_id", "customer_id", "channel", "message_class")
    about = f"if(outcome = 'bounced', array({', '.join(map(literal, PURPOSES))}), array(message_class))"
    return told.join(sent, "trigger_id").selectExpr(
        "customer_id",
        f"explode(transform({about}, purpose -> concat(purpose, '/', channel))) as key",
        "true as is_closed",
        "occurred_at as updated_at",
        "0L as row_hash",
        "as_of_date",
    )
