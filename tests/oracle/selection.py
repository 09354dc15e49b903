"""Who is written to about what, and at which step everybody else who met a trigger ends."""

from __future__ import annotations

from datetime import timedelta

from conf import Settings, Trigger
from conf.triggers import LONGEST
from schemas.acting import WITHHELD
from schemas.columns import PURPOSES
from tests.oracle import contest
from tests.oracle.contacts import remembered
from tests.oracle.eligible import engines_of, find
from tests.oracle.expressions import quoted
from tests.oracle.night import Night
from tests.oracle.rules import versions

# A change is looked at where so many are eligible or were.
ENOUGH_TO_COMPARE = 100


def writes(settings: Settings) -> list[str]:
    """Nothing where the lake has no triggers."""
    names = ("selections", "contact_history", "holdouts", "trigger_status")
    return [f"mart.{name}" for name in names if settings.triggers]


def run(night: Night) -> None:
    """Selections, contacts, new holdouts and the triggers' standings of one night; nights of the oracle are `live`.

    Nothing on nights that are not judged.
    """
    if not (night.settings.triggers and night.is_judged):
        return
    triggers = night.in_force(night.settings.triggers)
    find(night, triggers)
    _declare(night, triggers)
    _stand(night, triggers)
    _remember(night, triggers)
    _judge(night)
    contest.hold(night, triggers)
    _end(night)
    _write(night)
    for name in ("eligible", "triggers", "standings", "memories", "judged", "contested", "ended"):
        night.sql.execute(f"drop table {name}")


def _declare(night: Night, triggers: list[Trigger]) -> None:
    """`triggers`: what decides about each, as a table."""
    rounds = contest.rounds(triggers)
    rows = [
        {
            "trigger": each.name,
            "over": each.over,
            "channels": list(each.channels),
            "message_class": each.message_class,
            "priority": each.priority,
            "round": rounds.get(each.name),
            "budget": each.budget.most if each.budget else None,
            "repeat": each.repeat.kind,
            "days": each.repeat.days,
            "goal_days": each.goal_days,
            "holdout": each.holdout,
            "at_least": each.expect.min,
            "at_most": each.expect.max,
            "change": each.expect.change,
            "engines": engines_of(each),
        }
        for each in triggers
    ]
    night.sql.execute(
        """
        create or replace temp table triggers as
        select unnest(
            $rows::struct(
                "trigger" varchar, "over" varchar, channels varchar[], message_class varchar, priority integer,
                round integer, budget bigint, repeat varchar, days integer, goal_days integer, holdout double,
                at_least bigint, at_most bigint, change double, engines varchar[]
            )[],
            recursive := true
        )
        """,
        {"rows": rows},
    )


def _stand(night: Night, triggers: list[Trigger]) -> None:
    """`standings`: how many met each trigger, against what is expected and a night before."""
    week = night.tables.read("mart.trigger_status", since=night.day - timedelta(days=7), until=night.before)
    is_silent = "false"
    if any(map(engines_of, triggers)):
        scores = night.tables.on("mart.scores", night.day)
        is_silent = f"not list_has_all((select coalesce(list(distinct engine), []) from {scores}), engines)"
    night.sql.execute(
        f"""
        create or replace temp table standings as
        with
            met as (select "trigger", count(*) as eligible from eligible group by all),
            earlier as (
                select "trigger", arg_max(eligible, as_of_date) as before
                from {week} where state = 'ok' and eligible > 0 group by all
            )
        select *,
            case
                when {is_silent} then 'failed'
                when eligible < at_least or eligible > at_most
                    or greatest(eligible, before) >= {ENOUGH_TO_COMPARE} and abs(eligible - before) > change * before
                then 'held' else 'ok'
            end as state
        from (
            select triggers.*, coalesce(eligible, 0) as eligible, before
            from triggers left join met using ("trigger") left join earlier using ("trigger")
        )
        """
    )


def _remember(night: Night, triggers: list[Trigger]) -> None:
    """`memories`: the contacts so far of everybody eligible."""
    for_ever = [trigger.name for trigger in triggers if trigger.repeat.kind in ("once", "until_goal")]
    night.sql.execute(
        f"""
        create or replace temp table memories as
        from {remembered(night, for_ever)} as history
            semi join eligible using (customer_id)
        """
    )


def _judge(night: Night) -> None:
    """`judged`: the eligible with the channels open to them and the room there; `step` where one has ended already."""
    day, caps = f"date '{night.day}'", night.settings.caps.cap
    midnight = f"timezone('{night.settings.lake.zone}', ({day} + 1)::timestamp)"
    recent = night.day - timedelta(days=LONGEST - 1)
    customers = night.tables.on("core.customers_state", night.day)
    consents = night.tables.on("core.consents_state", night.day)
    feedback = night.tables.read("core.campaign_feedback", since=recent, until=night.day)
    night.sql.execute(
        f"""
        create or replace temp table judged as
        with
            consented as (
                select customer_id, purpose as message_class, list(channel) as consented
                from {consents} semi join eligible using (customer_id)
                where valid_from < {midnight} and (valid_to is null or valid_to >= {midnight})
                group by all
            ),
            -- A bounce closes a channel whatever it is about, an objection only for what it was about.
            closed as (
                select customer_id, purpose as message_class, list(distinct channel) as closed
                from (
                    select customer_id, channel,
                        unnest(if(outcome = 'bounced', {list(PURPOSES)}, [message_class])) as purpose
                    from {feedback} join memories using (trigger_id)
                    where outcome in ('bounced', 'opted_out')
                )
                group by all
            ),
            deleted as (select customer_id, is_deleted from {customers} where is_deleted),
            said as (
                select "trigger", customer_id, subject,
                    max(as_of_date) as last_said,
                    min(as_of_date) filter (repeat = 'until_goal' or as_of_date >= {day} - goal_days) as waits_since
                from memories join triggers using ("trigger")
                where counts group by all
            ),
            seen as (
                select eligible.*, priority, message_class, round, budget, holdout, repeat, days, "over", state,
                    last_said, waits_since, is_deleted, rooms, coalesce(closed, []) as closed,
                    list_filter(channels, lambda channel: list_contains(coalesce(consented, []), channel)) as allowed
                from eligible
                    join standings using ("trigger")
                    left join consented using (customer_id, message_class)
                    left join closed using (customer_id, message_class)
                    left join deleted using (customer_id)
                    left join said using ("trigger", customer_id, subject)
                    left join {contest.rooms(night, caps)} using (customer_id)
            )
        select "trigger", customer_id, subject, trigger_id, rank, evidence,
            priority, message_class, round, budget, holdout,
            list_transform(
                list_filter(allowed, lambda channel: not list_contains(closed, channel)),
                lambda channel: {{
                    'channel': channel,
                    'room': coalesce(rooms[channel], {contest.untouched(caps)}[channel], {contest.WITHOUT_CAPS})
                }}
            ) as offers,
            case
                when state <> 'ok' then 'size_guard'
                when len(allowed) = 0 then 'no_consent'
                when is_deleted or len(offers) = 0 then 'suppressed'
                when repeat = 'once' and last_said is not null or last_said > {day} - days then 'cooling_down'
                when "over" = 'profiles' and days_since_goal < {day} - waits_since then 'converted'
            end as step
        from seen
        """
    )


def _end(night: Night) -> None:
    """`ended`: everybody eligible, with the step at which it ended. Holdouts are drawn last, from those who won."""
    holdout = night.settings.caps.holdout
    of_all, of_one = (_draw(of, holdout.key) for of in ("customer_id", """"trigger" || '/' || customer_id"""))
    night.sql.execute(
        f"""
        create or replace temp table ended as
        select judged.* exclude (step), contested.channel,
            coalesce(
                judged.step,
                contested.step,
                case
                    when message_class = 'promotional' and {of_all} < {holdout.share} then 'held_out_global'
                    when {of_one} < holdout then 'held_out'
                end,
                'selected'
            ) as step
        from judged left join contested using ("trigger", customer_id, subject)
        """
    )


def _draw(of: str, key: str) -> str:
    """A number from 0 to 1 that stays the same for the same text, and is drawn anew by another key."""
    return f"(('0x' || sha256({quoted(key + '/')} || {of})[:8])::bigint / {16**8})"


def _write(night: Night) -> None:
    day, tables = night.day, night.tables
    withheld = ", ".join(map(quoted, WITHHELD))
    ruled = f"""(select name as "trigger", rule_version from {versions(night)} where kind = 'trigger')"""
    tables.write(
        "mart.selections",
        day,
        f'from ended join {ruled} using ("trigger")',
    )
    tables.write(
        "mart.contact_history",
        day,
        f"""
        select *, date '{day}' + 1 as send_date, step in ({withheld}) as is_withheld, 'live' as mode
        from ended where step in ('selected', {withheld})
        """,
    )
    tables.write(
        "mart.holdouts",
        day,
        f"""
        select if(step = 'held_out_global', '', "trigger") as "trigger", customer_id
        from ended where step in ({withheld})
        except select "trigger", customer_id from {tables.read("mart.holdouts", until=night.before)}
        """,
    )
    tables.write("mart.trigger_status", day, f'select *, null as why from standings join {ruled} using ("trigger")')
