"""Who wins: candidates compete for the room under the caps and for the budgets, in rounds that end with a budget."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from conf import Cap, Trigger
from tests.oracle.night import Night

# Of two candidates the first goes first; trigger_id settles what rank leaves open.
BY_RANK = "rank desc nulls last, trigger_id"
WITHOUT_CAPS = 1 << 30


def rounds(triggers: Sequence[Trigger]) -> dict[str, int]:
    """The round in which each promotional trigger competes; a round ends with the first priority that has a budget."""
    promotional = sorted(
        (trigger for trigger in triggers if trigger.message_class == "promotional"),
        key=lambda trigger: trigger.priority,
    )
    found: dict[str, int] = {}
    now = 1
    for _, peers in groupby(promotional, key=lambda trigger: trigger.priority):
        together = list(peers)
        found |= {trigger.name: now for trigger in together}
        now += any(trigger.budget for trigger in together)
    return found


def rooms(night: Night, caps: Sequence[Cap]) -> str:
    """One row for each customer of `memories`: room for how many more messages tonight, by channel."""
    limits = ", ".join(
        f'unnest({[getattr(cap, key) for cap in caps]}::{kind}[]) as "{key}"'
        for key, kind in (("channel", "varchar"), ("max", "bigint"), ("days", "integer"), ("min_gap_days", "integer"))
    )
    return f"""(
        select customer_id, map_from_entries(list((channel, room))) as rooms
        from (
            select customer_id, channel,
                case
                    when max(as_of_date) > date '{night.day}' - min_gap_days then 0
                    else least(
                        "max" - count(*) filter (as_of_date >= date '{night.day}' - days),
                        if(min_gap_days > 0, 1, "max")
                    )
                end as room
            from memories join (select {limits}) as caps using (channel)
            where counts and message_class = 'promotional'
            group by customer_id, channel, "max", days, min_gap_days
        )
        group by customer_id
    )"""


def untouched(caps: Sequence[Cap]) -> str:
    """The same for who has had no message over a channel: its room by its name."""
    most = [min(cap.max, 1) if cap.min_gap_days else cap.max for cap in caps]
    return f"map({[cap.channel for cap in caps]}::varchar[], {most}::bigint[])"


def hold(night: Night, triggers: Sequence[Trigger]) -> None:
    """Make `contested` of those of `judged` whom no step has ended: their channel, and the step that ends them here."""
    night.sql.execute(
        f"""
        create or replace temp table contested as
        {_cut("select * exclude (step), offers[1].channel as channel from judged where step is null and round is null")}
        """
    )
    for number in sorted(set(rounds(triggers).values())):
        night.sql.execute(f"insert into contested {_cut(_folded(number))}")


def _folded(number: int) -> str:
    """The candidates of a round with the channel that they get; each customer's in order, each sees those before it."""
    return f"""
        select unnest(rows, recursive := true), unnest(picked[len(earlier) + 1:]) as channel
        from (
            select rows, earlier,
                list_reduce(
                    hand,
                    lambda picked, offers: list_append(
                        picked,
                        list_filter(
                            offers,
                            lambda offer: offer.room > len(list_filter(picked, lambda pick: pick = offer.channel))
                        )[1].channel
                    ),
                    earlier
                ) as picked
            from (
                select
                    list(offers order by priority, {BY_RANK}) as hand,
                    list(
                        {{
                            'trigger': "trigger", 'customer_id': customer_id, 'subject': subject,
                            'round': round, 'rank': rank, 'trigger_id': trigger_id, 'budget': budget
                        }}
                        order by priority, {BY_RANK}
                    ) as rows,
                    coalesce(any_value(won.channels), []::varchar[]) as earlier
                from judged left join (
                    select customer_id, list(channel) as channels
                    from contested where step is null and round is not null group by customer_id
                ) as won using (customer_id)
                where step is null and round = {number}
                group by customer_id
            )
        )
    """


def _cut(dealt: str) -> str:
    """Those who got a channel, down to where each trigger's budget ends."""
    return f"""
        select "trigger", customer_id, subject, round, if(step is null, channel, null) as channel, step
        from (
            select *,
                case
                    when channel is null then 'capped'
                    when row_number() over (partition by "trigger" order by channel is null, {BY_RANK}) > budget
                        then 'over_budget'
                end as step
            from ({dealt})
        )
    """
