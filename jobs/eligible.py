"""Who meets which trigger, about what: the first step of the selection, and the only one over all customers."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame

from expectations.figures import literal
from jobs.rules.triggers import TriggerRule

SEPARATOR = "\\u001f"
ELIGIBLE = (
    "as_of_date date, trigger string, customer_id string, subject string, rank double, goal_date date, "
    "evidence string, trigger_id string"
)


def transform(rows: DataFrame, dues: DataFrame | None, triggers: Sequence[TriggerRule]) -> DataFrame:
    """One row is one customer who meets one trigger about one subject on one night (`ELIGIBLE`).

    `rows` has one row for each customer and night, with what triggers read by its name, `segments`, and the profile's
    last_<activity>_date of their goals; `dues` one for each open due, with the columns of dues by name and due_id.
    `rank` is null where it cannot be told; `goal_date` is the last date with the trigger's goal. A trigger counts from
    its effective_from on.
    """
    of_customers = _met(rows.selectExpr("*", "'' as due_id"), [each for each in triggers if each.policy.over != "dues"])
    of_dues = [each for each in triggers if each.policy.over == "dues"]
    if dues is None or not of_dues:
        return of_customers
    return of_customers.unionByName(_met(dues.join(rows, ["as_of_date", "customer_id"]), of_dues))


def _met(rows: DataFrame, triggers: Sequence[TriggerRule]) -> DataFrame:
    met = ", ".join(f"if({_when(trigger)}, {_told(trigger)}, null)" for trigger in triggers)
    none = "cast(array() as array<struct<trigger: string, rank: double, goal_date: date, evidence: string>>)"
    found = f"array_compact(array({met}))" if met else none
    told = rows.selectExpr("as_of_date", "customer_id", "due_id as subject", f"inline({found})")
    named = ", ".join(("trigger", "customer_id", "subject", "cast(as_of_date as string)"))
    trigger_id = f"left(sha2(concat_ws('{SEPARATOR}', {named}), 256), 32) as trigger_id"
    return told.selectExpr(
        "as_of_date", "trigger", "customer_id", "subject", "rank", "goal_date", "evidence", trigger_id
    )


def _when(trigger: TriggerRule) -> str:
    since = trigger.policy.effective_from
    return (f"as_of_date >= date'{since}' and " if since else "") + trigger.predicate.spark


def _told(trigger: TriggerRule) -> str:
    evidence = ", ".join(f"'{name}', {name}" for name in sorted(trigger.policy.evidence))
    json = f"to_json(named_struct({evidence}), map('ignoreNullFields', 'false'))" if evidence else "'{}'"
    return (
        f"named_struct('trigger', {literal(trigger.name)}, 'rank', {trigger.rank.spark}, "
        f"'goal_date', last_{trigger.policy.goal}_date, 'evidence', {json})"
    )
