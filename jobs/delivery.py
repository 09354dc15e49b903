"""What a list tells of a night: selections after a last look at consents, against what was told of it before.

A list is whole: it names everybody to be sent to, and cancels whoever an earlier generation named and it does not. So
a reader who missed a generation has lost nothing, and one who goes by trigger_id sends nothing twice. See ADR 16.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from expectations.figures import literal
from jobs.frames import select_contract
from schemas.columns import PURPOSES
from schemas.lists import TRIGGER_LIST_V1
from schemas.ops import EXPORTS

LIST = "trigger_list_v1"
PROMOTIONAL, _ = PURPOSES
NAMES = tuple(column.name for column in TRIGGER_LIST_V1)
ROW = ", ".join(f"{column.name} {column.type}" for column in TRIGGER_LIST_V1)


def standing(messages: DataFrame, before: DataFrame) -> DataFrame:
    """The messages of a night, each as it was told where it is out: over that channel it may be on its way."""
    out = before.where("action = 'send'").join(messages.select("trigger_id"), "trigger_id", "left_semi")
    return messages.join(out.select("trigger_id"), "trigger_id", "left_anti").unionByName(out.select(*NAMES))


def reached(before: DataFrame, selected: DataFrame, receipts: DataFrame, *, at: str) -> DataFrame:
    """One row is one customer (customer_id) who may have a promotional message that a correction has taken back.

    `before`: the rows of all lists of the night; `selected`: the trigger_ids that it selects by now; `at`: now, as SQL.
    """
    unsent = contacted(receipts).where("not is_contact").select("trigger_id")
    taken_back = before.join(selected.select("trigger_id"), "trigger_id", "left_anti")
    may_be_sent = taken_back.where(f"message_class = '{PROMOTIONAL}' and send_not_before <= {at}")
    return may_be_sent.join(unsent, "trigger_id", "left_anti").select("customer_id").distinct()


def allowed(
    messages: DataFrame,
    consented: DataFrame,
    gone: DataFrame,
    blocked: Mapping[str, str],
    reached: DataFrame,
    *,
    at: str | None,
) -> DataFrame:
    """The messages of a night with `reason`: why one may not go out now, null for the others.

    `consented`: what customers consent to now, as jobs.consent gives it; `gone`: those who were deleted (customer_id).
    `blocked`: trigger → reason why nothing of it goes out. `reached`: who has had the promotional message that they
    may have of the night. `at`: now, as SQL, for what has expired; None where that does not matter.
    """
    arms = " ".join(f"when {literal(trigger)} then {literal(reason)}" for trigger, reason in sorted(blocked.items()))
    is_blocked = f"case trigger {arms} end" if arms else "cast(null as string)"
    looked_up = messages.join(consented.select("customer_id", "consented"), "customer_id", "left").join(
        gone.selectExpr("customer_id", "true as is_gone"), "customer_id", "left"
    )
    looked_up = looked_up.join(reached.selectExpr("customer_id", "true as is_reached"), "customer_id", "left")
    is_expired = f"expires_at <= {at}" if at else "false"
    has_consent = (
        "array_contains(coalesce(consented, cast(array() as array<string>)), concat(message_class, '/', channel))"
    )
    return looked_up.selectExpr(
        *NAMES,
        f"coalesce({is_blocked}, if(is_gone, 'suppressed', null), if({is_expired}, 'expired', null), "
        f"if({has_consent}, null, 'no_consent'), "
        f"if(is_reached and message_class = '{PROMOTIONAL}', 'capped', null)) as reason",
    )


def decided(allowed: DataFrame, before: DataFrame, lost: Mapping[str, str]) -> DataFrame:
    """One row is one message that the lists of a night tell of, or leave out: action send, cancel or withheld, reason.

    `before` are the rows of the lists as they are. Who was told to be sent to and still is keeps that row;
    `is_change` is what the lists have not told yet. `lost`: trigger → why it selects nobody any more.
    """
    row = f"struct({', '.join(NAMES)})"
    was = before.selectExpr("trigger_id", f"{row} as was")
    now = allowed.selectExpr("trigger_id", f"{row} as now", "reason")
    arms = " ".join(f"when {literal(trigger)} then {literal(reason)}" for trigger, reason in sorted(lost.items()))
    why_lost = f"case was.trigger {arms} else 'not_selected' end" if arms else "'not_selected'"
    both = now.join(was, "trigger_id", "full").selectExpr(
        "*",
        "case when now is not null and reason is null then 'send' when was is not null then 'cancel' "
        "else 'withheld' end as told",
    )
    return both.selectExpr(
        "inline(array(if(was is not null and (told = 'cancel' or was.action = told), was, now)))",
        "told",
        f"if(told = 'send', null, if(now is null, {why_lost}, reason)) as reason",
        "told <> 'withheld' and coalesce(was.action <> told, true) as is_change",
    ).selectExpr(*("told as action" if name == "action" else name for name in NAMES), "reason", "is_change")


def receipts(decided: DataFrame, generations: DataFrame, known: DataFrame, before: DataFrame) -> DataFrame:
    """The receipts of one night: those known, and one for each message of which the lists tell something else now.

    `generations`: trigger → the generation of its list as it stands and `told_at`, since when it does; of the triggers
    that were delivered. `before`: the rows of the lists as they were, each with its `generation`; of a run that was
    killed there may be no receipts of them yet.
    """
    known = select_contract(known, EXPORTS).unionByName(_missed(before, known))
    told = decided.join(F.broadcast(generations), "trigger").join(_newest(known), "trigger_id", "left")
    new = told.where("coalesce(known_action <> action, true)")
    return known.unionByName(_receipts(new, "if(action = 'cancel', send_not_before > told_at, null)"))


def contacted(receipts: DataFrame) -> DataFrame:
    """One row is one message (as_of_date, trigger, trigger_id) that has a receipt: `is_contact`, it may have been sent.

    What was told to be sent counts as sent, but for what was cancelled before it might be.
    """
    found = receipts.groupBy("as_of_date", "trigger", "trigger_id").agg(
        F.expr("bool_or(action = 'send') as was_told"),
        # What was withheld later, of a list that was lost, says nothing of what was told before.
        F.expr("max_by(coalesce(in_time, false), if(action = 'withheld', null, generation)) as is_unsent"),
    )
    return found.selectExpr("as_of_date", "trigger", "trigger_id", "was_told and not is_unsent as is_contact")


def _missed(before: DataFrame, known: DataFrame) -> DataFrame:
    """Receipts of what the lists have told to send and nobody has noted; who is cancelled was sent to before that."""
    looked_up = before.join(_newest(known), "trigger_id", "left")
    rows = looked_up.where(
        "if(action = 'send', coalesce(known_action <> 'send' and generation > known_generation, true), "
        "not coalesce(was_told, false))"
    ).withColumn("generation", F.expr("if(action = 'send', generation, generation - 1)"))
    return _receipts(rows.selectExpr("*", "cast(null as string) as reason").withColumn("action", F.lit("send")), "null")


def _newest(receipts: DataFrame) -> DataFrame:
    return receipts.groupBy("trigger_id").agg(
        F.expr("max_by(action, generation) as known_action"),
        F.max("generation").alias("known_generation"),
        F.expr("bool_or(action = 'send') as was_told"),
    )


def _receipts(rows: DataFrame, in_time: str) -> DataFrame:
    return select_contract(rows.selectExpr("*", f"'{LIST}' as list", f"{in_time} as in_time"), EXPORTS)
