"""The funnel from who is eligible to who is written to: every eligible customer and subject ends at exactly one step.

Guarded, without consent, suppressed, cooling down, converted, capped, over the budget, held out, or selected. Who is
held out competes like everyone and is withheld last: else the treated would be the best and the held-out the rest.
Triggers compete in rounds that end with a budget, so that who is passed over for want of money is free for the next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from itertools import groupby
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import CapSettings
from expectations.figures import literal
from jobs import consent
from jobs.frames import local_frame, select_contract
from jobs.rules.triggers import TriggerRule
from schemas.acting import SELECTED, SELECTIONS

# So long a bounce or an objection that feedback told of closes a channel; a lasting one is a withdrawn consent.
COMPLAINED_DAYS = 90
OF_NIGHT = ["as_of_date", "customer_id"]
POLICY = (
    "trigger string, rule_version string, channels array<string>, message_class string, priority int, "
    "repeat_kind string, repeat_days int, goal_days int, holdout double, most bigint"
)
RANKED = "rank desc nulls last, trigger_id"


def transform(prepared: DataFrame, triggers: Sequence[TriggerRule], caps: CapSettings) -> DataFrame:
    """One row is one eligible customer and subject of one night, and the step at which that ended.

    `prepared` is of the function of that name.
    """
    rows = prepared
    for names in rounds(triggers):
        rows = _competed(rows, names, caps)
    told = rows.selectExpr("* except (step)", f"coalesce(step, {_withheld(caps)}) as step")
    return select_contract(told.selectExpr("*", "substring_index(chosen, '/', -1) as channel"), SELECTIONS)


def prepared(
    eligible: DataFrame,
    triggers: Sequence[TriggerRule],
    *,
    zone: str,
    consents: DataFrame,
    unreachable: DataFrame,
    contacts: DataFrame,
    guarded: Collection[tuple[date, str]],
) -> DataFrame:
    """One row is one eligible customer and subject of one night, with what decides before anybody competes.

    `step` is where that has ended, null for who competes; `consented`, `closed` and `told_before` are what it goes by.

    `eligible` is of jobs.eligible. `consents` are versions of consents; `unreachable` says whether somebody may not be
    written to by a key, "class/channel", or by any where that is null (is_closed), of which the newest word counts;
    both with the night that learnt it (as_of_date). `contacts` are the contacts that count, of which a night sees those
    of nights before it. `guarded`: nights and triggers that the size guard holds back.
    """
    spark = eligible.sparkSession
    policies = local_frame(spark, map(_policy, triggers), POLICY)
    held = local_frame(spark, guarded, "as_of_date date, trigger string").withColumn("is_guarded", F.lit(True))
    rows = eligible.join(F.broadcast(policies), "trigger").join(F.broadcast(held), ["as_of_date", "trigger"], "left")
    asked = eligible.select(*OF_NIGHT).distinct()
    end = f"to_utc_timestamp(cast(date_add(as_of_date, 1) as timestamp), '{zone}')"
    for told in (consent.given(asked, consents, at=end), _closed(asked, unreachable), _contacted(asked, contacts)):
        rows = rows.join(told, OF_NIGHT, "left")
    for step in _before_competing():
        rows = rows.selectExpr("*", *(f"{sql} as {name}" for name, sql in step.items()))
    return rows


def rounds(triggers: Sequence[TriggerRule]) -> list[list[str]]:
    """The names of triggers that compete together, by priority: each round but the last ends with a budget."""
    ordered = sorted(triggers, key=lambda trigger: trigger.policy.priority)
    found: list[list[str]] = [[]]
    for _, same in groupby(ordered, key=lambda trigger: trigger.policy.priority):
        together = list(same)
        found[-1] += [trigger.name for trigger in together]
        if any(trigger.policy.budget for trigger in together):
            found.append([])
    return [names for names in found if names]


def _policy(trigger: TriggerRule) -> tuple[Any, ...]:
    policy = trigger.policy
    return (
        policy.name,
        trigger.version,
        list(policy.channels),
        policy.message_class,
        policy.priority,
        policy.repeat.kind,
        policy.repeat.days,
        policy.goal_days,
        float(policy.holdout),
        policy.budget.most if policy.budget else None,
    )


# ---- what is known of the customers of a night


def _closed(asked: DataFrame, unreachable: DataFrame) -> DataFrame:
    """Of each customer and night the keys ("class/channel") that are closed; `is_closed`: all of them."""
    told = unreachable.withColumnRenamed("as_of_date", "learnt")
    newest = (
        asked.join(told, "customer_id")
        .where("learnt <= as_of_date")
        .groupBy(*OF_NIGHT, "key")
        .agg(
            F.expr("max_by(is_closed, struct(updated_at, row_hash)) as is_closed"),
            # Which may be of an earlier word than the newest.
            F.max("learnt").alias("learnt"),
        )
    )
    is_recent = f"key is null or learnt > date_sub(as_of_date, {COMPLAINED_DAYS})"
    return (
        newest.where(f"is_closed and ({is_recent})")
        .groupBy(*OF_NIGHT)
        .agg(F.collect_set("key").alias("closed"), F.expr("count_if(key is null) > 0 as is_closed"))
    )


def _contacted(asked: DataFrame, contacts: DataFrame) -> DataFrame:
    """Of each customer and night the contacts before it: trigger, subject, day and "class/channel"."""
    told = contacts.selectExpr(
        "customer_id", "struct(trigger, subject, as_of_date as day, concat(message_class, '/', channel) as key) as told"
    )
    known = asked.join(told, "customer_id").where("told.day < as_of_date")
    return known.groupBy(*OF_NIGHT).agg(F.collect_list("told").alias("contacted"))


def _before_competing() -> tuple[Mapping[str, str], ...]:
    """Each step's new columns, as SQL: over which channels, and what has ended it before anybody competes."""
    about_it = "told.trigger = trigger and told.subject = subject"
    again = f"{about_it} and (repeat_kind = 'once' or told.day > date_sub(as_of_date, repeat_days))"
    reached = (
        # What a due is for is told by the due itself: an open one has not been paid.
        f"subject = '' and {about_it} and goal_date > told.day "
        "and (repeat_kind = 'until_goal' or told.day >= date_sub(as_of_date, goal_days))"
    )
    nothing = "cast(array() as array<string>)"
    known = f"coalesce(consented, {nothing})"
    is_open = f"not array_contains(coalesce(closed, {nothing}), concat(message_class, '/', c))"
    return (
        {"told_before": "coalesce(contacted, array())"},
        {"granted": f"filter(channels, c -> array_contains({known}, concat(message_class, '/', c)))"},
        {"open": f"if(is_closed, {nothing}, filter(granted, c -> {is_open}))"},
        {
            "keys": "transform(open, c -> concat(message_class, '/', c))",
            "chosen": "cast(null as string)",
            "step": "case when is_guarded then 'size_guard' when size(granted) = 0 then 'no_consent' "
            f"when size(open) = 0 then 'suppressed' when exists(told_before, told -> {again}) then 'cooling_down' "
            f"when exists(told_before, told -> {reached}) then 'converted' end",
        },
    )


# ---- competition


def _competed(rows: DataFrame, names: Sequence[str], caps: CapSettings) -> DataFrame:
    """The rows after a round: of its triggers who found no channel with room is capped, then who is too dear is out."""
    is_of_round = f"step is null and trigger in ({', '.join(map(literal, names))})"
    competing = rows.selectExpr("*", f"{is_of_round} as competes")
    order = f"partition by as_of_date, customer_id order by priority, {RANKED}"
    up_to_it = f"over ({order} rows between unbounded preceding and current row)"
    line = f"collect_list(struct(chosen, keys, competes)) {up_to_it}"
    # The customer's triggers in order, each with the picks of those before it; this row is the last of its line.
    found = f"if(it.competes, try_element_at(filter(it.keys, k -> {_has_room(caps)}), 1), null)"
    pick = f"array_append(picks, coalesce(it.chosen, {found}, ''))"
    own = f"element_at(aggregate(line, cast(array() as array<string>), (picks, it) -> {pick}), -1)"
    chosen = competing.selectExpr("*", f"{line} as line").selectExpr(
        "* except (chosen, line)", f"if(competes, nullif({own}, ''), chosen) as chosen"
    )
    # Only who competes for a budget is put in line; everybody else is alone in theirs.
    is_in_line = "competes and chosen is not null and most is not null"
    line_of = f"if({is_in_line}, trigger, trigger_id)"
    place = f"row_number() over (partition by as_of_date, {line_of} order by {RANKED})"
    is_too_dear = f"competes and chosen is not null and coalesce({place} > most, false)"
    ended = "case when competes and chosen is null then 'capped' when is_too_dear then 'over_budget' else step end"
    return chosen.selectExpr("*", f"{is_too_dear} as is_too_dear").selectExpr(
        "* except (step, chosen, competes, is_too_dear)",
        f"{ended} as step",
        "if(is_too_dear, null, chosen) as chosen",
    )


def _has_room(caps: CapSettings) -> str:
    """Whether one contact more over the channel `k` keeps to its cap, after the earlier `picks` of the night."""
    if not caps.cap:
        return "true"
    limits = ", ".join(
        f"'{cap.message_class}/{cap.channel}', struct({cap.max} as most, {cap.days} as days, {cap.min_gap_days} as gap)"
        for cap in caps.cap
    )
    cap = f"try_element_at(map({limits}), k)"
    earlier = f"size(filter(told_before, told -> told.key = k and told.day >= date_sub(as_of_date, {cap}.days)))"
    is_near = f"exists(told_before, told -> told.key = k and told.day > date_sub(as_of_date, {cap}.gap))"
    tonight = "size(filter(picks, pick -> pick = k))"
    return f"coalesce({earlier} + {tonight} < {cap}.most and not {is_near} and ({cap}.gap = 0 or {tonight} = 0), true)"


# ---- holdouts


def _withheld(caps: CapSettings) -> str:
    """How it ends for who has won: held out of everything promotional, of the trigger, or selected."""
    of_all = f"message_class = 'promotional' and {_is_drawn('customer_id', f'{float(caps.holdout.share)}D', caps)}"
    of_trigger = _is_drawn("concat(trigger, '/', customer_id)", "holdout", caps)
    return f"case when {of_all} then 'held_out_global' when {of_trigger} then 'held_out' else '{SELECTED}' end"


def _is_drawn(who: str, share: str, caps: CapSettings) -> str:
    """Whether a keyed hash falls into the share; a greater share keeps all who were drawn for a smaller one."""
    digits = f"left(sha2(concat('{caps.holdout.key}/', {who}), 256), 8)"
    return f"cast(conv({digits}, 16, 10) as double) < {share} * 4294967296D"
