"""Which triggers a customer met on a night and where each ended, with the values that decided it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from jobs.engines.base import Engine
from jobs.explain import Condition, answered, conditions_of
from jobs.funnel import eligible_on, open_dues, prepared_of, rows_on
from jobs.lake import Lake
from jobs.pipeline import stepped_on
from jobs.rules.book import RuleBook
from jobs.rules.language import Predicate
from jobs.rules.triggers import TriggerRule
from schemas.acting import SELECTED, SELECTIONS, TRIGGER_STATUS
from schemas.judgement import CUSTOMER_SEGMENTS
from schemas.ops import EXPORTS

SHOWN_CONTACTS = 3


@dataclass(frozen=True)
class TriggerEnd:
    """A trigger, and about one subject where the customer's way ended; `step` is None where they did not meet it.

    `decided`: what that step goes by; empty where the facts of the night are no longer kept. `receipt`: what a
    list told of it last ("send", "cancel: stopped"); None where none has a receipt.
    """

    name: str
    about: str
    subject: str = ""
    step: str | None = None
    channel: str | None = None
    evidence: Mapping[str, Any] = field(default_factory=dict)
    conditions: Sequence[Condition] = ()
    decided: Mapping[str, Any] = field(default_factory=dict)
    receipt: str | None = None


def ends(lake: Lake, book: RuleBook, engines: Sequence[Engine], customer: str, day: date) -> list[TriggerEnd]:
    """All triggers by name; those that were met as the night stored it, the others by the rules as they are now."""
    if not lake.ledger.published(SELECTIONS.name, day, day):
        return []
    stored = (
        lake.read_day(SELECTIONS.name, day).where(F.col("customer_id") == F.lit(customer)).orderBy("subject").collect()
    )
    has_status = bool(lake.ledger.published(TRIGGER_STATUS.name, day, day))
    status = lake.read_day(TRIGGER_STATUS.name, day).collect() if has_status and stored else []
    held = {row["trigger"]: row["why"] for row in status}
    receipts = _receipts(lake, day, [row["trigger_id"] for row in stored])
    tables = (*stepped_on(lake.settings), CUSTOMER_SEGMENTS.name)
    has_facts = all(lake.ledger.published(table, day, day) for table in tables)
    looked_up = _looked_up(lake, book, engines, customer, day) if has_facts else {}
    seen = _seen(lake, book, engines, customer, day) if has_facts else []
    found: list[TriggerEnd] = []
    for trigger in book.triggers:
        own = [row for row in stored if row["trigger"] == trigger.name]
        for row in own:
            why = looked_up.get((trigger.name, row["subject"]))
            decided = dict(_decided(trigger, row["step"], why, held.get(trigger.name))) if why else {}
            end = _ended(row, receipts.get(row["trigger_id"]), trigger.policy.about)
            found.append(replace(end, conditions=_conditions(trigger, seen, row["subject"]), decided=decided))
        if not own:
            found.append(TriggerEnd(trigger.name, trigger.policy.about, conditions=_conditions(trigger, seen, None)))
    known = {trigger.name for trigger in book.triggers}
    gone = [row for row in stored if row["trigger"] not in known]
    return found + [_ended(row, receipts.get(row["trigger_id"]), "conf has no such trigger any more.") for row in gone]


def _ended(row: Row, receipt: str | None, about: str) -> TriggerEnd:
    """A row of mart.selections."""
    return TriggerEnd(
        name=row["trigger"],
        about=about,
        subject=row["subject"],
        step=row["step"],
        channel=row["channel"],
        evidence=json.loads(row["evidence"]),
        receipt=receipt,
    )


def _receipts(lake: Lake, day: date, trigger_ids: Sequence[str]) -> dict[str, str]:
    """trigger_id → what the newest receipt says of it."""
    if not trigger_ids or not lake.ledger.published(EXPORTS.name, day, day):
        return {}
    told = lake.read_day(EXPORTS.name, day).where(F.col("trigger_id").isin(*trigger_ids)).orderBy("generation")
    return {row["trigger_id"]: ": ".join(filter(None, (row["action"], row["reason"]))) for row in told.collect()}


def _looked_up(
    lake: Lake, book: RuleBook, engines: Sequence[Engine], customer: str, day: date
) -> dict[tuple[str, str], Row]:
    """(trigger, subject) → what decides of it, of all that the customer meets."""
    found = eligible_on(lake, book, engines, [day], customer)
    return {(row["trigger"], row["subject"]): row for row in prepared_of(lake, book, found, (), [day]).collect()}


def _seen(lake: Lake, book: RuleBook, engines: Sequence[Engine], customer: str, day: date) -> list[dict[str, Any]]:
    """What triggers see: the customer, and then each open due; answers of conditions stand under their text."""
    rows = rows_on(lake, book, engines, [day], customer)
    told = _answered(
        rows.selectExpr("*", "'' as due_id"), [each for each in book.triggers if each.policy.over != "dues"]
    )
    due_rows = open_dues(lake, [day])
    if due_rows is None:
        return told
    joined = due_rows.join(rows, ["as_of_date", "customer_id"]).orderBy("days_to_due")
    return told + _answered(joined, [each for each in book.triggers if each.policy.over == "dues"])


def _answered(rows: DataFrame, triggers: Sequence[TriggerRule]) -> list[dict[str, Any]]:
    return answered(rows, [part for trigger in triggers for part in _parts(trigger.predicate)])


def _parts(predicate: Predicate) -> Sequence[Predicate]:
    return predicate.parts or (predicate,)


def _conditions(trigger: TriggerRule, seen: Sequence[Mapping[str, Any]], subject: str | None) -> list[Condition]:
    """The conditions on the subject; where there is none on the due that meets most of them."""
    own = [row for row in seen if (row["due_id"] != "") == (trigger.policy.over == "dues")]
    if subject is not None:
        own = [row for row in own if row["due_id"] == subject]
    told = max(own, key=lambda row: sum(bool(row.get(part.text)) for part in _parts(trigger.predicate)), default=None)
    if told is None:
        return []
    return conditions_of(trigger.predicate, told)


def _decided(trigger: TriggerRule, step: str, row: Row, why_held: str | None) -> Iterator[tuple[str, Any]]:
    """What the step goes by, in words that need no other table."""
    policy = trigger.policy
    contacts = sorted(row["told_before"] or (), key=lambda told: told["day"], reverse=True)
    about_it = [told for told in contacts if (told["trigger"], told["subject"]) == (trigger.name, row["subject"])]
    match step:
        case "no_consent":
            yield "asks for", ", ".join(f"{policy.message_class}/{channel}" for channel in policy.channels)
            yield "consented to", ", ".join(sorted(row["consented"] or ())) or "nothing"
        case "suppressed":
            yield (
                "closed",
                "everything: the customer was deleted" if row["is_closed"] else ", ".join(row["closed"] or ()),
            )
        case "cooling_down":
            yield "last contact", str(about_it[0]["day"]) if about_it else None
            again = f"after {policy.repeat.days} days" if policy.repeat.days else "never"
            yield "again", again
        case "converted":
            yield "last contact", str(about_it[0]["day"]) if about_it else None
            yield f"last {policy.goal}", str(row["goal_date"])
        case "capped":
            shown = contacts[:SHOWN_CONTACTS]
            yield "contacts before", ", ".join(f"{told['day']} {told['key']}" for told in shown) or "only that night's"
        case "over_budget":
            yield "rank", row["rank"]
            yield "the budget pays for", row["most"]
        case "held_out":
            yield "share held out", policy.holdout
        case "size_guard":
            yield "held back", why_held
        case _ if step == SELECTED:
            yield "contacts before", len(contacts)
        case _:
            return
