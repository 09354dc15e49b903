"""From payments to delivered rows: the states each payment takes, what goes wrong on the way, and the answer due."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.simulate import flaws, planted
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.plan import KINDS, Format, Simulation
from jobs.simulate.sending import COPIES, answered_events, listed, mess_of

ORDER = ("changed", "payment_id", "state", "kind")
TRUTH = ("payment_id", "state")

FLAWS = {
    "customer_id_missing": False,
    "occurred_at_missing": False,
    "created_invalid": True,
    "before_1970": False,
    "in_the_future": False,
    "product_invalid": False,
    "direction_missing": False,
    "status_invalid": False,
    "rupees_invalid": True,
    "amount_zero": False,
    "amount_negative": False,
    "amount_fraction": True,
}
# What has a due date is reversed more often.
REVERSED_OFTEN = 3


def delivered_payments(payments: DataFrame, simulation: Simulation, file_format: Format, late_days: int) -> DataFrame:
    """One row per delivered row of the payments source, with its truth beside it."""
    draw = Chance(simulation.seed, ("payment_id",))
    rows = _rows(_fates(payments, draw, simulation, file_format), draw)
    return with_answer(
        _as_sent(rows, draw).filter(f"delivery_day <= {simulation.last_day}"), F.lit(simulation.first_day), late_days
    )


def _fates(payments: DataFrame, draw: Chance, simulation: Simulation, file_format: Format) -> DataFrame:
    """What is to become of each payment: its mess, its flaw if broken, its outcome and what follows."""
    shares = simulation.mess
    # The night before the first one delivers nothing, and nobody pays before registering.
    can_be_early = f"day > greatest({simulation.first_day}, registered_day)"
    past_midnight = f"cast(day as bigint) * {DAY} + {draw.number('past midnight', 0, 599)}"
    often = min(1.0, REVERSED_OFTEN * shares.reversed)
    reversed_share = f"if(product in ('recharge', 'bill_payment'), {often}D, {shares.reversed}D)"
    return (
        payments.selectExpr("*", f"{mess_of(draw, shares, KINDS)} as drawn")
        .selectExpr(
            "* except (drawn)",
            f"if(drawn = 'early' and not ({can_be_early}), 'clean', drawn) as mess",
            f"flow = 'credit' or is_sure or not {draw.chance('failed', shares.failed)} as is_ok",
        )
        .selectExpr(
            "* except (created)",
            f"if(mess = 'early', {past_midnight}, created) as created",
            f"if(mess = 'broken', {draw.one_of('flaw', flaws.weights(FLAWS, file_format))}, null) as flaw",
            "mess in ('early', 'broken') as is_simple",
            f"flow = 'debit' and {draw.draw('reversed')} < {reversed_share} as would_be_reversed",
        )
        .selectExpr(
            "*",
            f"not is_simple and {draw.chance('pending first', shares.pending_first)} as is_pending_first",
            "is_ok and not is_simple and would_be_reversed as is_reversed",
            "is_ok and not is_simple and not would_be_reversed and product = 'marketplace_order' and "
            f"{draw.chance('refunded', shares.reversed)} as is_refunded",
        )
    )


def _rows(fates: DataFrame, draw: Chance) -> DataFrame:
    """One row per state a payment takes and per copy of its outcome (`step`), with the second it `changed`."""
    later = (
        f"if({draw.chance('same day', 0.6)}, {draw.number('minutes', 60, 3 * 3600)}, "
        f"{draw.number('days', 8 * 3600, 2 * DAY)})"
    )
    timed = fates.selectExpr(
        "*",
        f"created + {draw.number('pending after', 0, 5)} as pending_at",
        f"created + if(is_pending_first, {draw.number('pending after', 0, 5)} + {later}, "
        f"{draw.number('outcome after', 1, 90)}) as outcome_at",
        "if(is_ok, 'OK', 'FAIL') as outcome",
    )
    copied_at = f"outcome_at + {draw.number('copied after', 3600, 5 * DAY)}"
    reversed_at = f"outcome_at + {draw.number('reversed after', DAY, 12 * DAY)}"
    steps = (
        ("pending", "'WAIT'", "pending_at", "is_pending_first"),
        ("outcome", "outcome", "outcome_at", "true"),
        ("reversed", "'BACK'", reversed_at, "is_reversed"),
        ("refund", "'OK'", reversed_at, "is_refunded"),
        ("duplicate", "outcome", "outcome_at", "mess = 'duplicate'"),
        ("touched", "outcome", copied_at, "mess = 'touched'"),
        ("changed", "outcome", copied_at, "mess = 'changed'"),
    )
    told = ", ".join(
        f"if({when}, named_struct('step', '{step}', 'state', {state}, 'changed', {changed}), null)"
        for step, state, changed, when in steps
    )
    return timed.selectExpr("*", f"inline(array({told}))").filter("step is not null")


def _as_sent(rows: DataFrame, draw: Chance) -> DataFrame:
    """The columns of the payments source as they leave it, `kind`, and the day of the delivery they are in."""
    days_off = (
        f"case when mess = 'late' then {draw.number('late days', 1, 6)} "
        f"when mess = 'very_late' then {draw.number('very late days', 8, 40)} "
        f"when mess = 'early' then -1 when step = 'duplicate' then {draw.number('duplicate days', 0, 1)} else 0 end"
    )
    created = (
        "case when step = 'refund' then changed "
        f"when flaw = 'in_the_future' then created + {draw.number('ahead', 3, 30)} * {DAY} "
        f"when flaw = 'before_1970' then -{DAY}L when flaw = 'occurred_at_missing' then null else created end"
    )
    refunded = f"greatest(cast(floor(paise * {draw.draw('refunded share')}) as bigint), 100L)"
    paise = (
        f"case when step = 'changed' then paise + {draw.number('other amount', 1, 500)} * 100 "
        f"when step = 'refund' then {refunded} else paise end"
    )
    copies = listed(COPIES)
    return rows.selectExpr(
        "*", f"cast(cast({paise} as decimal(14,0)) * 0.01BD as decimal(14,2)) as plain_rupees"
    ).selectExpr(
        "if(step = 'refund', concat(payment_id, 'R'), payment_id) as payment_id",
        "if(flaw <=> 'customer_id_missing', null, user_id) as user_id",
        f"{created} as created",
        "if(flaw = 'created_invalid', 'yesterday', null) as created_text",
        "changed",
        "if(flaw <=> 'product_invalid', 'lottery', product) as product",
        "category",
        "method",
        "case when step = 'refund' then 'credit' when flaw = 'direction_missing' then null else flow end as flow",
        "if(flaw <=> 'status_invalid', 'DONE', state) as state",
        "case when flaw = 'rupees_invalid' then concat('Rs ', plain_rupees) when flaw = 'amount_zero' then '0.00' "
        "when flaw = 'amount_negative' then concat('-', plain_rupees) when flaw = 'amount_fraction' then "
        "concat(plain_rupees, '5') else cast(plain_rupees as string) end as rupees",
        "merchant",
        "biller",
        "device",
        "plan_days",
        "if(step = 'refund', payment_id, null) as refund_of",
        f"if(step = 'refund', null, {planted.spelt('payee_digits', draw)}) as payee",
        f"case when step in ({copies}) then step when mess in ({copies}) then 'clean' else mess end as kind",
        "flaw",
        f"floor(changed / {DAY}) + {days_off} as delivery_day",
    )


def with_answer(rows: DataFrame, first_day: Column, late_days: int) -> DataFrame:
    """Adds delivery_date, event_date, answer, answered_on and reasons to rows as they were sent.

    Reads delivery_day, created, created_text, changed, state, kind and flaw.
    """
    created_day = f"if(created_text is null, cast(floor(created / {DAY}) as int), null)"
    dated = rows.withColumn("lake_began", first_day).selectExpr(
        "*",
        f"{created_day} as learned_day",
        f"if(state = 'BACK', cast(floor(changed / {DAY}) as int), {created_day}) as event_day",
    )
    return answered_events(dated, "lake_began", late_days)
