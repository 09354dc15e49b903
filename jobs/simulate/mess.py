"""From payments to delivered rows: the states each payment takes, what goes wrong on the way, and the answer due.

The answer is what conform owes a delivered row in the end: `accepted`, `duplicate` or `quarantined` with its reasons.
`answered_on` is the night that gives it, in a lake whose first night is the first day; a row waits while that is
after its delivery date.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.simulate import flaws
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY, at, date_of, day_of
from jobs.simulate.plan import KINDS, Format, Simulation

ORDER = ("changed", "payment_id", "state", "kind")
TRUTH = ("delivery_date", "payment_id", "state", "kind", "event_date", "answer", "answered_on", "reasons")

COPIES = ("touched", "duplicate", "changed")


def delivered_payments(payments: DataFrame, simulation: Simulation, file_format: Format, late_days: int) -> DataFrame:
    """One row per delivered row of the payments source, with its truth beside it."""
    draw = Chance(simulation.seed, ("payment_id",))
    rows = _rows(_fates(payments, draw, simulation, file_format), draw)
    last_day = F.lit(simulation.last_day)
    return with_answer(
        _as_sent(rows, draw).filter(F.col("delivery_day") <= last_day), F.lit(simulation.first_day), late_days
    )


def _fates(payments: DataFrame, draw: Chance, simulation: Simulation, file_format: Format) -> DataFrame:
    """What is to become of each payment: its mess, its flaw if broken, its outcome and what follows."""
    shares = simulation.mess
    kinds = {kind: float(getattr(shares, kind)) for kind in KINDS}
    drawn, mess, is_ok = F.col("drawn"), F.col("mess"), F.col("is_ok")
    # The night before the first one delivers nothing, and nobody pays before registering.
    can_be_early = F.col("day") > F.greatest(F.lit(simulation.first_day), F.col("registered_day"))
    past_midnight = at(F.col("day"), draw.whole("past midnight", 0, 599))
    is_simple = mess.isin("early", "broken")
    is_reversed = (F.col("flow") == "debit") & draw.happens("reversed", shares.reversed)
    is_refunded = (F.col("product") == "marketplace_order") & draw.happens("refunded", shares.reversed)
    return (
        payments.withColumn("drawn", draw.choose("mess", kinds | {"clean": max(0.0, 1 - sum(kinds.values()))}))
        .withColumns(
            {
                "mess": F.when((drawn == "early") & ~can_be_early, "clean").otherwise(drawn),
                "is_ok": (F.col("flow") == "credit") | ~draw.happens("failed", shares.failed),
            }
        )
        .withColumns(
            {
                "flaw": F.when(mess == "broken", draw.choose("flaw", flaws.weights(flaws.OF_PAYMENTS, file_format))),
                "created": F.when(mess == "early", past_midnight).otherwise(F.col("created")),
                "is_pending_first": ~is_simple & draw.happens("pending first", shares.pending_first),
                "is_reversed": is_ok & ~is_simple & is_reversed,
                "is_refunded": is_ok & ~is_simple & ~is_reversed & is_refunded,
            }
        )
    )


def _rows(fates: DataFrame, draw: Chance) -> DataFrame:
    """One row per state a payment takes and per copy of its outcome (`step`), with the second it `changed`."""
    created = F.col("created")
    pending_at = created + draw.whole("pending after", 0, 5)
    later = F.when(draw.happens("same day", 0.6), draw.whole("minutes", 60, 3 * 3600)).otherwise(
        draw.whole("days", 8 * 3600, 2 * DAY)
    )
    outcome_at = F.when(F.col("is_pending_first"), pending_at + later).otherwise(
        created + draw.whole("outcome after", 1, 90)
    )
    copied_at = outcome_at + draw.whole("copied after", 3600, 5 * DAY)
    reversed_at = outcome_at + draw.whole("reversed after", DAY, 12 * DAY)
    outcome = F.when(F.col("is_ok"), "OK").otherwise("FAIL")

    def row(step: str, state: Column, changed: Column, when: Column) -> Column:
        return F.when(when, F.struct(F.lit(step).alias("step"), state.alias("state"), changed.alias("changed")))

    steps = F.array(
        row("pending", F.lit("WAIT"), pending_at, F.col("is_pending_first")),
        row("outcome", outcome, outcome_at, F.lit(True)),
        row("reversed", F.lit("BACK"), reversed_at, F.col("is_reversed")),
        row("refund", F.lit("OK"), reversed_at, F.col("is_refunded")),
        row("duplicate", outcome, outcome_at, F.col("mess") == "duplicate"),
        row("touched", outcome, copied_at, F.col("mess") == "touched"),
        row("changed", outcome, copied_at, F.col("mess") == "changed"),
    )
    return fates.select("*", F.inline(steps)).filter(F.col("step").isNotNull())


def _as_sent(rows: DataFrame, draw: Chance) -> DataFrame:
    """The columns of the payments source as they leave it, `kind`, and the day of the delivery they are in."""
    step, mess, flaw, created, paise = (F.col(name) for name in ("step", "mess", "flaw", "created", "paise"))
    is_refund = step == "refund"
    refund_of = F.when(is_refund, F.col("payment_id"))
    other_paise = paise + draw.whole("other amount", 1, 500) * 100
    refunded_paise = F.greatest(F.floor(paise * draw.uniform("refunded share")), F.lit(100)).cast("bigint")
    days_off = (
        F.when(mess == "late", draw.whole("late days", 1, 6))
        .when(mess == "very_late", draw.whole("very late days", 8, 40))
        .when(mess == "early", -1)
        .when(step == "duplicate", draw.whole("duplicate days", 0, 1))
        .otherwise(0)
    )
    created_sent = (
        F.when(is_refund, F.col("changed"))
        .when(flaw == "in_the_future", created + draw.whole("ahead", 3, 30) * DAY)
        .when(flaw == "before_1970", F.lit(-DAY))
        .when(flaw.isNull() | (flaw != "occurred_at_missing"), created)
    )
    return rows.select(
        F.when(is_refund, F.concat("payment_id", F.lit("R"))).otherwise(F.col("payment_id")).alias("payment_id"),
        F.when(flaw.isNull() | (flaw != "customer_id_missing"), F.col("user_id")).alias("user_id"),
        created_sent.alias("created"),
        F.when(flaw == "occurred_at_invalid", "yesterday").alias("created_text"),
        "changed",
        F.when(flaw == "product_invalid", "lottery").otherwise(F.col("product")).alias("product"),
        "category",
        "method",
        F.when(is_refund, "credit").when(flaw.isNull() | (flaw != "direction_missing"), F.col("flow")).alias("flow"),
        F.when(flaw == "status_invalid", "DONE").otherwise(F.col("state")).alias("state"),
        _rupees(F.when(step == "changed", other_paise).when(is_refund, refunded_paise).otherwise(paise), flaw),
        "merchant",
        "biller",
        "device",
        "plan_days",
        refund_of.alias("refund_of"),
        F.when(step.isin(*COPIES), step).when(mess.isin(*COPIES), "clean").otherwise(mess).alias("kind"),
        "flaw",
        (day_of(F.col("changed")) + days_off).alias("delivery_day"),
    )


def _rupees(paise: Column, flaw: Column) -> Column:
    rupees = (paise.cast("decimal(14,0)") * F.lit("0.01").cast("decimal(2,2)")).cast("decimal(14,2)").cast("string")
    return (
        F.when(flaw == "amount_minor_invalid", F.concat(F.lit("Rs "), rupees))
        .when(flaw == "amount_zero", "0.00")
        .when(flaw == "amount_negative", F.concat(F.lit("-"), rupees))
        .when(flaw == "amount_fraction", F.concat(rupees, F.lit("5")))
        .otherwise(rupees)
        .alias("rupees")
    )


def with_answer(rows: DataFrame, first_day: Column, late_days: int) -> DataFrame:
    """Adds delivery_date, event_date, answer, answered_on and reasons to rows as they were sent.

    Reads delivery_day, created, created_text, changed, state, kind and flaw.
    """
    kind, flaw, delivery_day = F.col("kind"), F.col("flaw"), F.col("delivery_day")
    created_day = F.when(F.col("created_text").isNull(), day_of(F.col("created")))
    reason = F.when(kind == "changed", "changed_after_posting").otherwise(flaw)
    oldest_looked_up = delivery_day - F.lit(late_days)
    # While the whole lake is within the look-back there is nothing to wait for.
    waits_for_sunday = (created_day < oldest_looked_up) & (first_day < oldest_looked_up)
    # Day 3 was a Sunday.
    sunday = delivery_day + F.pmod(F.lit(3) - delivery_day, F.lit(7))
    answered_day = (
        F.when(flaw.isNotNull(), delivery_day)
        .when(created_day > delivery_day, created_day)
        .when(waits_for_sunday, sunday)
        .otherwise(delivery_day)
    )
    event_day = F.when(F.col("state") == "BACK", day_of(F.col("changed"))).otherwise(created_day)
    answer = (
        F.when(reason.isNotNull(), "quarantined")
        .when(kind.isin("touched", "duplicate"), "duplicate")
        .otherwise("accepted")
    )
    return rows.withColumns(
        {
            "delivery_date": date_of(delivery_day),
            "event_date": date_of(event_day),
            "answer": answer,
            "answered_on": date_of(answered_day),
            "reasons": flaws.reasons(reason),
        }
    )
