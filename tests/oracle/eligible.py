"""Who meets a trigger: one pass over the customers and one over what they have to pay, however many triggers."""

from __future__ import annotations

from collections.abc import Sequence

from conf import Trigger
from tests.oracle.expressions import quoted
from tests.oracle.night import Night
from tests.oracle.rules import PREFIXES, columns_of, evidence, facts, translated

JUDGED = {"lifecycle", "level", "upgraded_from"}
# Goals that days_since_… calls by another name.
SAID = {"any": "active", "app": "app_open"}


def engines_of(trigger: Trigger) -> list[str]:
    """The engines whose scores the trigger reads."""
    read = _read_by(trigger)
    return [
        engine
        for engine, prefix in PREFIXES.items()
        if read & {f"{prefix}_score", f"{prefix}_band", f"{prefix}_reasons"}
    ]


def find(night: Night, triggers: Sequence[Trigger]) -> None:
    """Make `eligible`: one row for each customer and subject that met a trigger.

    `rank` is null where it cannot be told; `days_since_goal` where the goal was never reached, and for dues.
    """
    over = {kind: [trigger for trigger in triggers if trigger.over == kind] for kind in ("profiles", "dues")}
    found = [
        f"""
            select customer_id, subject, unnest({_met(night, over[kind])}, recursive := true)
            from {relation(night, over[kind])}"""
        for kind, relation in (("profiles", _profiles), ("dues", _dues))
        if over[kind]
    ]
    night.sql.execute(
        """
        create or replace temp table eligible (
            customer_id varchar, subject varchar, "trigger" varchar, rank double, evidence varchar,
            days_since_goal bigint, trigger_id varchar
        )
        """
    )
    for each in found:
        night.sql.execute(
            f"""
            insert into eligible by name
            select *,
                sha256(concat_ws(chr(31), "trigger", customer_id, subject, '{night.day}'))[:32] as trigger_id
            from ({each})
            """
        )


def _met(night: Night, triggers: Sequence[Trigger]) -> str:
    """The triggers that a row meets, as a list: each with what the night needs of the row."""
    currency = night.settings.lake.currency
    each = ", ".join(
        f"""
            case when {translated(trigger.when, currency)} then {{
                'trigger': {quoted(trigger.name)},
                'rank': {translated(trigger.rank_by, currency)}::double,
                'evidence': {evidence(trigger.evidence)},
                'days_since_goal': {_days_since(trigger)}::bigint
            }} end"""
        for trigger in triggers
    )
    return f"list_filter([{each}], lambda trigger: trigger is not null)"


def _days_since(trigger: Trigger) -> str:
    return "null" if trigger.over == "dues" else f"days_since_{SAID.get(trigger.goal, trigger.goal)}"


def _profiles(night: Night, triggers: Sequence[Trigger]) -> str:
    """The customers, each a subject of their own, which has no name."""
    return f"(select *, '' as subject from {_facts(night, triggers)})"


def _facts(night: Night, triggers: Sequence[Trigger]) -> str:
    """The customers, joined with scores and segments where a trigger reads them."""
    is_judged = any(_read_by(trigger) & JUDGED or "in_segment" in trigger.when.lower() for trigger in triggers)
    return facts(night, is_scored=any(map(engines_of, triggers)), is_judged=is_judged)


def _dues(night: Night, triggers: Sequence[Trigger]) -> str:
    """The open bills and plans with their customers. What looks forward counts from the date on which it is sent."""
    return f"""(
        select customer.*, due_id as subject, kind as due_kind, category as due_category, biller_id as due_biller_id,
            amount_minor as due_amount_minor, due_date - (date '{night.day}' + 1) as days_to_due
        from {night.tables.on("mart.dues", night.day)} as due
            join {_facts(night, triggers)} as customer using (customer_id)
        where due.state = 'open'
    )"""


def _read_by(trigger: Trigger) -> set[str]:
    return {*columns_of(trigger.when, trigger.rank_by), *trigger.evidence}
