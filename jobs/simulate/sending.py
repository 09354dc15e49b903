"""What goes wrong between an app and a lake, for any feed, and the answer that the lake owes each delivered row.

The answer is what conform owes a delivered row in the end: `accepted`, `duplicate` or `quarantined` with its reasons.
`answered_on` is the night that gives it, in a lake whose first night is the first day; a row waits while that is
after its delivery date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import DataFrame

from jobs.simulate import flaws
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY
from jobs.simulate.plan import Format, Mess, Simulation

# What is told of every row beside its key.
TOLD = ("kind", "event_date", "answer", "answered_on", "reasons")
COPIES = ("touched", "duplicate", "changed")
STATE_KINDS = ("late", "duplicate", "broken")
EVENT_KINDS = ("late", "very_late", "touched", "duplicate", "broken", "changed")
CHANGED = "changed_after_posting"

SUNDAY = 3  # day 3 was one


def mess_of(draw: Chance, mess: Mess, kinds: Sequence[str]) -> str:
    """SQL text of what goes wrong with a row, of those `kinds` that can."""
    shares = {kind: float(getattr(mess, kind)) for kind in kinds}
    return draw.one_of("mess", shares | {"clean": max(0.0, 1 - sum(shares.values()))})


def copied(
    rows: DataFrame,
    draw: Chance,
    simulation: Simulation,
    kinds: Sequence[str],
    flaws_of: Mapping[str, bool],
    file: Format,
    impossible: str = "false",
) -> DataFrame:
    """Adds mess, flaw, is_copy and kind; what is touched, delivered twice or changed has a second row, the copy.

    `mess` is what was drawn for the row and its copy, `kind` what is told of each of them. Mess that cannot happen to
    a row is none: a version of before the first day is not late, and one that is replaced within three days has no
    copy, which would be no duplicate but news (frames of versions have `changed` and `next_change_at`). `impossible` is
    SQL text of what else cannot be, of the column `drawn`.
    """
    drawn = mess_of(draw, simulation.mess, kinds)
    has = set(rows.columns)
    possible = f"if({impossible}, 'clean', drawn)"
    if "next_change_at" in has:
        is_old = f"changed < {simulation.first_day}L * {DAY}"
        is_replaced = f"coalesce(next_change_at <= changed + {3 * DAY}, false)"
        possible = (
            f"if(drawn in ('late', 'duplicate') and {is_old} or drawn = 'duplicate' and {is_replaced}, 'clean', drawn)"
        )
    flaw = draw.one_of("flaw", flaws.weights(flaws_of, file))
    clean = "plain_kind" if "plain_kind" in has else "'clean'"
    is_copied = f"mess in ({listed(COPIES)})"
    return (
        rows.selectExpr("*", f"{drawn} as drawn")
        .selectExpr("* except (drawn)", f"{possible} as mess")
        .selectExpr(
            "*",
            f"if(mess = 'broken', {flaw}, null) as flaw",
            f"explode(if({is_copied}, array(false, true), array(false))) as is_copy",
        )
        .selectExpr(
            "*", f"case when is_copy then mess when {is_copied} or mess = 'clean' then {clean} else mess end as kind"
        )
    )


def delivered_states(sent: DataFrame, draw: Chance, simulation: Simulation) -> DataFrame:
    """The versions that are delivered from the first day to the last, each with its delivery_date and its answer.

    Reads changed (a wall-clock second), mess, is_copy, kind and flaw of versions, which are never waiting. What was
    before the first day comes with the first delivery.
    """
    first, last = simulation.first_day, simulation.last_day
    changed_day = f"cast(floor(changed / {DAY}) as int)"
    days_off = (
        f"(case when mess = 'late' then {draw.number('late days', 1, 3)} "
        f"when is_copy then {draw.number('copy days', 0, 1)} else 0 end)"
    )
    return (
        sent.selectExpr("*", f"greatest({changed_day}, {first}) + {days_off} as delivery_day")
        .filter(f"delivery_day between {first} and {last}")
        .selectExpr(
            "*",
            "date_from_unix_date(delivery_day) as delivery_date",
            f"date_from_unix_date({changed_day}) as event_date",
            "case when flaw is not null then 'quarantined' when kind = 'duplicate' then 'duplicate' else 'accepted' end"
            " as answer",
            "date_from_unix_date(delivery_day) as answered_on",
            "if(flaw is null, cast(array() as array<string>), array(flaw)) as reasons",
        )
    )


def answered_events(rows: DataFrame, first_day: str, late_days: int) -> DataFrame:
    """Adds delivery_date, event_date, answer, answered_on and reasons to facts, which are posted once.

    Reads delivery_day, event_day, learned_day (the earlier of the days a row speaks of), kind and flaw. A day that
    cannot be read is null.
    """
    oldest = f"(delivery_day - {late_days})"
    # While the whole lake is within the look-back there is nothing to wait for.
    waits = f"learned_day < {oldest} and {first_day} < {oldest}"
    sunday = f"delivery_day + cast(pmod({SUNDAY} - delivery_day, 7) as int)"
    reason = f"if(kind = 'changed', '{CHANGED}', flaw)"
    answered_day = (
        "case when flaw is not null then delivery_day when learned_day > delivery_day then learned_day "
        f"when {waits} then {sunday} else delivery_day end"
    )
    return rows.selectExpr(
        "*",
        "date_from_unix_date(cast(delivery_day as int)) as delivery_date",
        "date_from_unix_date(cast(event_day as int)) as event_date",
        f"case when {reason} is not null then 'quarantined' when kind in ('touched', 'duplicate') then 'duplicate'"
        " else 'accepted' end as answer",
        f"date_from_unix_date(cast({answered_day} as int)) as answered_on",
        f"if({reason} is null, cast(array() as array<string>), array({reason})) as reasons",
    )


def days_off(draw: Chance) -> str:
    """SQL text of the days by which the delivery of a fact is late."""
    return (
        f"(case when mess = 'late' then {draw.number('late days', 1, 6)} "
        f"when mess = 'very_late' then {draw.number('very late days', 8, 40)} "
        # Not in the same delivery: which of two rows is posted would be a matter of hashes.
        f"when is_copy and mess <> 'duplicate' then {draw.number('copied days', 1, 3)} "
        f"when is_copy then {draw.number('duplicate days', 0, 1)} else 0 end)"
    )


def second_delivery(seconds: str, draw_day: str = "delivery_day") -> str:
    """SQL text of the delivery of its day that a row of a continuous source is in: every fifth day there are two."""
    return f"if(pmod({draw_day}, 5) = 0 and pmod({seconds}, 86400) >= 54000, 2, 1)"


def listed(texts: Sequence[str]) -> str:
    return ", ".join(f"'{text}'" for text in texts)
