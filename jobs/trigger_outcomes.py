"""mart.trigger_outcomes: customers whom a trigger wrote to against customers who were held out of it.

The same nights selected both, and only a draw told them apart. Of a night A the goal counts on the dates A + 1, the
send date, to A + goal_days, and what happened on the last of them may be told up to `close_after` days later: so it is
on the night D = A + goal_days + close_after that A closes.

A customer counts by the first assignment: on A only if no contact of the same trigger lies in the 90 nights before it,
or what an earlier message did would be said of a later one. Who comes again after so long counts again. 0 is who was
held out, 1 who was treated, and r of n reached the goal; the intervals are those of jobs.intervals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import Trigger
from conf.triggers import LONGEST
from jobs.frames import local_frame, select_contract
from jobs.intervals import compared, three_rows
from jobs.masks import from_position, has_any
from schemas.outcomes import FEEDBACK, GROUPS, TRIGGER_OUTCOMES

# A night alone, and the nights of four weeks together: single nights are small.
SPANS = (1, 28)
SPAN = "as_of_date date, days int, trigger string, goal string, goal_days int, assigned_from date, assigned_to date"
OF_SPAN = [column.split(" ")[0] for column in SPAN.split(", ")]
OF_NIGHT = ["as_of_date", "trigger", "goal", "goal_days"]
MASK = ("days_0_63", "days_64_127")
COUNTS = ("n0", "r0", "n1", "r1", *FEEDBACK)


def transform(
    assigned: DataFrame,
    profile: DataFrame,
    feedback: DataFrame,
    earlier: DataFrame | None,
    triggers: Sequence[Trigger],
    *,
    close_after: int,
    days: Sequence[date],
) -> DataFrame:
    """One row is one group of a trigger, or the difference between the two; three for the night, three for 28 nights.

    There are none for nights that assigned nobody. A trigger goes by the goal that it has in `triggers`, and of nights
    before only what was counted by the same goal and goal_days is added.

    `assigned` are contacts (as_of_date, trigger, customer_id, trigger_id, is_held_out) from 90 nights before the first
    night that closes on; who is held out of everything is not among them. `profile` is of `days`, and its masks reach
    back 128 dates: goal_days + close_after is 128 at most. `feedback` is of core.campaign_feedback. `earlier` are rows
    of this table of the 27 nights before the first of `days`; None where there are none.
    """
    closing = local_frame(profile.sparkSession, _spans(triggers, close_after, days), SPAN)
    contacts = _first_assigned(assigned, closing.where("days = 1"))
    customers = _converted(_customers(contacts, feedback), profile, triggers, close_after)
    nights = _counted(customers)
    if earlier is not None:
        nights = nights.unionByName(_known(earlier))
    told = nights.withColumnRenamed("as_of_date", "closed_on")
    within = told.join(F.broadcast(closing), ["trigger", "goal", "goal_days"]).where(
        "closed_on between date_sub(as_of_date, days - 1) and as_of_date"
    )
    summed = within.groupBy(*OF_SPAN).agg(*(F.sum(name).alias(name) for name in COUNTS))
    rows = three_rows(compared(summed), GROUPS).selectExpr(
        f"* except ({', '.join(FEEDBACK)})",
        "n as customers",
        "r as converted",
        *(f"if(grp = 'treated', {outcome}, null) as {outcome}" for outcome in FEEDBACK),
    )
    return select_contract(rows, TRIGGER_OUTCOMES)


def _spans(triggers: Sequence[Trigger], close_after: int, days: Sequence[date]) -> Iterator[tuple[object, ...]]:
    """One row is one night, trigger and number of nights counted: which nights assigned them."""
    for day in days:
        for trigger in triggers:
            last = day - timedelta(days=trigger.goal_days + close_after)
            for span in SPANS:
                yield day, span, trigger.name, trigger.goal, trigger.goal_days, last - timedelta(days=span - 1), last


def _first_assigned(assigned: DataFrame, closing: DataFrame) -> DataFrame:
    """One row is one contact of a night that closes, with a customer whom the trigger left alone for long before."""
    told = assigned.withColumnRenamed("as_of_date", "assigned_to")
    contacts = told.join(F.broadcast(closing), ["trigger", "assigned_to"]).alias("contact")
    is_again = (
        "before.trigger = contact.trigger and before.customer_id = contact.customer_id and before.as_of_date between "
        f"date_sub(contact.assigned_to, {LONGEST}) and date_sub(contact.assigned_to, 1)"
    )
    return contacts.join(assigned.alias("before"), F.expr(is_again), "left_anti")


def _customers(contacts: DataFrame, feedback: DataFrame) -> DataFrame:
    """One row is one customer of one night and trigger, and how many of the messages were delivered, opened, …"""
    told = feedback.where(F.col("outcome").isin(*FEEDBACK)).selectExpr("trigger_id", "outcome", "as_of_date as learnt")

    def messages(outcome: str) -> str:
        return f"size(collect_set(if(outcome = '{outcome}' and learnt <= as_of_date, trigger_id, null))) as {outcome}"

    return (
        contacts.join(told, "trigger_id", "left")
        .groupBy(*OF_NIGHT, "customer_id")
        .agg(F.expr("min_by(is_held_out, trigger_id) as is_held_out"), *(F.expr(messages(each)) for each in FEEDBACK))
    )


def _converted(customers: DataFrame, profile: DataFrame, triggers: Sequence[Trigger], close_after: int) -> DataFrame:
    """The customers with is_converted; null for who has no profile any more."""
    goals = sorted({trigger.goal for trigger in triggers})
    masks = [f"{goal}_{word}" for goal in goals for word in MASK]
    seen = customers.join(profile.select("as_of_date", "customer_id", *masks), ["as_of_date", "customer_id"], "left")

    def of_goal(word: str) -> str:
        arms = " ".join(f"when '{goal}' then {goal}_{word}" for goal in goals)
        return f"case goal {arms} end as {word}"

    # For each trigger, the goal's last date is `close_after` days before the night.
    is_converted = has_any(from_position(MASK, str(close_after)), "goal_days")
    return seen.selectExpr("*", *map(of_goal, MASK)).selectExpr("*", f"{is_converted} as is_converted")


def _counted(customers: DataFrame) -> DataFrame:
    """One row is one night and trigger: of n customers r converted; what became of the messages to the treated."""
    counts = [
        "count_if(is_held_out) as n0",
        "count_if(is_held_out and is_converted) as r0",
        "count_if(not is_held_out) as n1",
        "count_if(not is_held_out and is_converted) as r1",
        *(f"sum(if(is_held_out, 0, {outcome})) as {outcome}" for outcome in FEEDBACK),
    ]
    return customers.groupBy(*OF_NIGHT).agg(*map(F.expr, counts))


def _known(earlier: DataFrame) -> DataFrame:
    """The same, as nights before counted it."""
    counts = [
        f"sum(if(grp = '{grp}', {column}, 0L)) as {name}{group}"
        for group, grp in enumerate(GROUPS[:2])
        for name, column in {"n": "customers", "r": "converted"}.items()
    ]
    sums = (*counts, *(f"sum({outcome}) as {outcome}" for outcome in FEEDBACK))
    return earlier.where("days = 1").groupBy(*OF_NIGHT).agg(*map(F.expr, sums))
