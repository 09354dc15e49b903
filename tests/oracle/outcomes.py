"""Does a trigger work: its treated customers compared with its held-out ones, when the windows of its goal close."""

from __future__ import annotations

from datetime import date, timedelta

from conf import Settings, Trigger
from conf.triggers import LONGEST
from schemas.outcomes import FEEDBACK
from tests.oracle.contacts import receipts
from tests.oracle.night import Night

# How many nights that close are counted together.
TOGETHER = 28
# 95 %, without continuity correction; the ends are cut to what a share, or a difference of shares, can be.
INTERVALS = """
create or replace temp macro z2() as 1.959964::double ** 2;
create or replace temp macro spread(met, n) as sqrt(z2() * (met * (n - met) / n + z2() / 4));
create or replace temp macro wilson(met, n) as if(n = 0, null, {
    'rate': met / n,
    'low': (met + z2() / 2 - spread(met, n)) / (n + z2()),
    'high': (met + z2() / 2 + spread(met, n)) / (n + z2())
});
create or replace temp macro newcombe(one, other) as {
    'rate': one.rate - other.rate,
    'low': one.rate - other.rate - sqrt((one.rate - one.low) ** 2 + (other.high - other.rate) ** 2),
    'high': one.rate - other.rate + sqrt((one.high - one.rate) ** 2 + (other.rate - other.low) ** 2)
};
create or replace temp macro cut(value, smallest) as
    if(value is null, null, round(least(greatest(value, smallest), 1), 6));
"""


def writes(settings: Settings) -> list[str]:
    """Nothing where the lake has no triggers."""
    return ["mart.trigger_outcomes"] if settings.triggers else []


def run(night: Night) -> None:
    """One row for each trigger, number of nights and group; none where these nights assigned nobody."""
    if not (night.settings.triggers and night.is_judged):
        return
    _assign(night)
    night.sql.execute(INTERVALS)
    night.tables.write("mart.trigger_outcomes", night.day, _compared(night))
    for name in ("goals", "assignments"):
        night.sql.execute(f"drop table {name}")


def _assign(night: Night) -> None:
    """`goals`: what each trigger is for, and the night that closes; `assignments`: whom that night was the first to.

    One row is one customer of a trigger, held out of it or treated, and left alone by it for 90 nights before. Lists of
    which nothing was sent assigned nobody; nor did a replay. Who was withheld at delivery counts as treated.
    """

    def closing(trigger: Trigger) -> date:
        return night.day - timedelta(days=trigger.goal_days + night.settings.lake.close_after)

    triggers = night.settings.triggers
    since, until = min(map(closing, triggers)) - timedelta(days=LONGEST), max(map(closing, triggers))
    contacts, selections = (
        night.tables.read(name, since=since, until=until) for name in ("mart.contact_history", "mart.selections")
    )
    goals = ", ".join(f"('{each.name}', '{each.goal}', {each.goal_days}, date '{closing(each)}')" for each in triggers)
    night.sql.execute(
        f"""
        create or replace temp table goals as
        from (values {goals}) as goals ("trigger", goal, goal_days, closing);

        create or replace temp table assignments as
        with told as (
            select as_of_date, "trigger"
            from {contacts} left join {receipts(night, since, until)} using (as_of_date, "trigger", trigger_id)
            group by all having coalesce(bool_or(is_sent), bool_or(mode = 'live'))
        )
        select "trigger", goal, goal_days, customer_id, bool_or(step = 'held_out') as is_held_out,
            list(trigger_id) as messages
        from {selections} join goals using ("trigger") semi join told using (as_of_date, "trigger")
        where step in ('selected', 'held_out') and as_of_date between closing - {LONGEST} and closing
        group by "trigger", goal, goal_days, closing, customer_id
        having min(as_of_date) = closing
        """
    )


def _compared(night: Night) -> str:
    """The groups of each trigger and their difference, for the night that closes and for four weeks of such nights.

    A night that has closed is not opened again: it stays as it was counted, as long as the goal is still the same.
    """
    close_after = night.settings.lake.close_after
    profile = night.tables.on("mart.customer_profile", night.day)
    feedback = night.tables.read(
        "core.campaign_feedback",
        since=night.day - timedelta(days=close_after + max(each.goal_days for each in night.settings.triggers)),
        until=night.day,
    )
    before = night.tables.read(
        "mart.trigger_outcomes", since=night.day - timedelta(days=TOGETHER - 1), until=night.before
    )
    masks = " ".join(
        f"when '{goal}' then "
        + " || ".join(f"coalesce({goal}_{word}, 0)::bit::varchar" for word in ("days_64_127", "days_0_63"))
        for goal in sorted({each.goal for each in night.settings.triggers})
    )

    def of_feedback(form: str) -> str:
        return ", ".join(form.format(outcome) for outcome in FEEDBACK)

    untold = of_feedback("null as {0}")
    return f"""
        with
            heard as (
                select "trigger", customer_id,
                    {of_feedback("count(distinct trigger_id) filter (outcome = '{0}') as {0}")}
                from (
                    select "trigger", customer_id, unnest(messages) as trigger_id
                    from assignments where not is_held_out
                ) join {feedback} using (trigger_id)
                group by all
            ),
            nights as (
                -- Of the mask as text, the newest date last, the goal's dates; the last is close_after days ago.
                select "trigger", is_held_out, days, count(*) as customers,
                    count(*) filter (
                        contains(substr(case goal {masks} end, 129 - {close_after} - goal_days, goal_days), '1')
                    ) as converted,
                    {of_feedback("coalesce(sum({0}), 0) as {0}")}
                from assignments cross join (values (1), ({TOGETHER})) as spans (days)
                    left join {profile} using (customer_id)
                    left join heard using ("trigger", customer_id)
                group by all
                union all by name
                select "trigger", grp = 'held_out' as is_held_out, {TOGETHER} as days, customers, converted,
                    {of_feedback("coalesce({0}, 0) as {0}")}
                from {before} as before semi join goals using ("trigger", goal, goal_days)
                where before.days = 1 and grp <> 'difference'
            ),
            pairs as (
                select "trigger", days,
                    coalesce(sum(customers) filter (not is_held_out), 0) as treated,
                    coalesce(sum(converted) filter (not is_held_out), 0) as treated_converted,
                    coalesce(sum(customers) filter (is_held_out), 0) as held_out,
                    coalesce(sum(converted) filter (is_held_out), 0) as held_out_converted,
                    {of_feedback("sum({0}) as {0}")},
                    wilson(treated_converted, treated) as of_treated,
                    wilson(held_out_converted, held_out) as of_held_out
                from nights group by all
            ),
            rows as (
                select *, 'treated' as grp, treated as customers, treated_converted as converted, of_treated as told
                from pairs
                union all by name
                select * replace ({untold}), 'held_out' as grp, held_out as customers,
                    held_out_converted as converted, of_held_out as told
                from pairs
                union all by name
                select * replace ({untold}), 'difference' as grp, treated + held_out as customers, null as converted,
                    newcombe(of_treated, of_held_out) as told
                from pairs
            )
        select rows.*, goal, goal_days, closing - (days - 1) as assigned_from, closing as assigned_to,
            cut(told.rate, -1) as rate,
            cut(told.low, if(grp = 'difference', -1, 0)) as low,
            cut(told.high, if(grp = 'difference', -1, 0)) as high
        from rows join goals using ("trigger")
    """
