"""The bills feed: each bill as it was issued, and again when it was amended, cancelled or paid."""

from __future__ import annotations

from pyspark.sql import DataFrame

from jobs.simulate.billing import CYCLE, SLOTS, amended_paise, biller, cycle_of, first_paise, with_cycles
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.life import is_there
from jobs.simulate.plan import Simulation, Source
from jobs.simulate.sending import STATE_KINDS, copied, delivered_states

FLAWS = {
    "customer_id_missing": False,
    "due_date_missing": False,
    "due_invalid": True,
    "rupees_invalid": True,
    "status_invalid": False,
}
ORDER = ("changed", "bill_no", "version", "is_copy")
TRUTH = ("bill_no", "version")


def delivered_bills(people: DataFrame, simulation: Simulation, source: Source) -> DataFrame:
    """One row per delivered row of the bills source, with its truth beside it.

    The first delivery holds what is known of the bills of the last cycle.
    """
    draw = Chance(simulation.seed, TRUTH)
    rupees = "cast(cast(paise as decimal(14,0)) * 0.01BD as decimal(14,2))"
    sent = copied(
        _versions(people, simulation), draw, simulation, STATE_KINDS, FLAWS, simulation.format_of(source)
    ).selectExpr(
        "* except (user_id, due, state)",
        "if(flaw <=> 'customer_id_missing', null, user_id) as user_id",
        "if(flaw <=> 'due_date_missing' or flaw <=> 'due_invalid', null, due) as due",
        "if(flaw <=> 'due_invalid', 'end of month', null) as due_text",
        f"if(flaw <=> 'rupees_invalid', concat('Rs ', {rupees}), cast({rupees} as string)) as rupees",
        "if(flaw <=> 'status_invalid', 'PART PAID', state) as state",
    )
    return delivered_states(sent, draw, simulation)


def _versions(people: DataFrame, simulation: Simulation) -> DataFrame:
    """One row per version of a bill, the newest from `changed` until `next_change_at`."""
    seed, draw = simulation.seed, Chance(simulation.seed, ("number", "slot", "cycle"))
    slots = ", ".join(f"named_struct('slot', {n}, 'base', bill{n}_base, 'category', bill{n}_category)" for n in SLOTS)
    oldest, newest = f"({simulation.first_day - CYCLE} - begin_day)", f"({simulation.last_day} - begin_day)"
    first_cycle = f"greatest(0, {cycle_of('base', oldest)} + 1)"
    issued = (
        people.filter(f"bill_age is not null and begin_day <= {simulation.last_day}")
        .selectExpr(
            "number", "user_id", "begin_day", "leaving_age", "back_age", "leaving_again_age", f"inline(array({slots}))"
        )
        .filter(f"base is not null and {newest} >= base")
        .selectExpr(
            "*", f"explode(sequence({first_cycle}, greatest({first_cycle}, {cycle_of('base', newest)}))) as cycle"
        )
        .selectExpr("*", f"base + cycle * {CYCLE} as issue_age")
        .filter(f"issue_age <= {newest} and {is_there('issue_age')}")
    )
    paid_at = f"if({is_there('issue_age + pay_delay')}, issued_at + (pay_delay + 1) * {DAY}, null)"
    timed = (
        with_cycles(issued, seed, "slot", "cycle")
        .selectExpr(
            "*",
            f"cast(begin_day + issue_age as bigint) * {DAY} + {draw.number('issued', 3600, 20000)} as issued_at",
            f"{first_paise(seed, 'slot', 'cycle', 'category')} as first_paise",
            f"{draw.chance('odd bill', simulation.mess.odd)} as is_odd",
        )
        .selectExpr(
            "*",
            f"if(pay_delay is null, null, {paid_at}) as paid_at",
            f"if(fate = 'amended', issued_at + {DAY}, null) as amended_at",
            f"if(fate = 'cancelled', issued_at + 5 * {DAY}, null) as cancelled_at",
        )
    )
    moments = (("ISSUED", "issued_at"), ("AMENDED", "amended_at"), ("CANCELLED", "cancelled_at"), ("PAID", "paid_at"))
    versions = ", ".join(f"named_struct('version', '{name}', 'changed', {at})" for name, at in moments)
    is_early = "is_odd and version = 'PAID'"
    return (
        timed.selectExpr("*", f"inline(array({versions}))")
        .filter("changed is not null")
        .selectExpr(
            "number",
            "concat('B', lpad(cast(number as string), 9, '0'), slot, lpad(cast(cycle as string), 3, '0')) as bill_no",
            "user_id",
            f"{biller(seed, 'slot', 'category')} as biller",
            "category",
            # A bill paid before it was issued is the biller's mistake, and is taken as it is.
            f"if({is_early}, changed + 3600, issued_at) as issued",
            "changed",
            "date_add(date_from_unix_date(begin_day + issue_age), due_days) as due",
            f"if(fate = 'amended' and version <> 'ISSUED', {amended_paise('first_paise')}, first_paise) as paise",
            "version",
            "if(version = 'AMENDED', 'ISSUED', version) as state",
            f"if({is_early}, 'odd', 'clean') as plain_kind",
            "case version when 'ISSUED' then least(amended_at, cancelled_at, paid_at) when 'AMENDED' then paid_at end"
            " as next_change_at",
        )
    )
