"""Triggers and frames for the tests of the selection: a test names only what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, Row, SparkSession

import conf
from conf import CapSettings, Trigger
from jobs import selection
from jobs.eligible import ELIGIBLE
from jobs.engines.base import engines, score_columns
from jobs.frames import local_frame
from jobs.rules.book import compile_book
from jobs.rules.triggers import TriggerRule
from schemas.acting import CONTACT_HISTORY
from schemas.core import POSTED
from tests.jobs.rows import NIGHT, table_frame

SHIPPED = conf.load(environ={})
ZONE = "Asia/Kolkata"
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
CONSENTS = POSTED["consents"]

TRIGGER: Mapping[str, Any] = {
    "about": "Made up.",
    "owner": "tests",
    "over": "profiles",
    "when": "recharge_count >= 1",
    "channels": ("push",),
    "message_class": "promotional",
    "priority": 1,
    "repeat": {"kind": "cooldown", "days": 7},
    "valid_days": 1,
    "goal": "transfer",
    "goal_days": 7,
    "matches": ({"recharge_count": 1},),
    "excludes": ({},),
}


def trigger(name: str = "offer", **changes: Any) -> dict[str, Any]:
    return {**TRIGGER, "name": name, **changes}


def triggers(*wanted: Mapping[str, Any]) -> tuple[TriggerRule, ...]:
    """Checked as the conf's are."""
    own = tuple(Trigger.model_validate(each) for each in wanted)
    settings = SHIPPED.model_copy(update={"triggers": tuple(sorted(own, key=lambda each: each.name))})
    return compile_book(settings, score_columns(engines(settings))).triggers


def caps(*wanted: Mapping[str, Any], share: float = 0.0, key: str = "tests") -> CapSettings:
    return CapSettings.model_validate({"holdout": {"share": share, "key": key}, "cap": tuple(wanted)})


def eligible(spark: SparkSession, rows: Iterable[Mapping[str, Any]]) -> DataFrame:
    """Who is eligible: a row names its customer; trigger, subject and rank where they matter."""
    told: list[tuple[Any, ...]] = []
    for row in rows:
        whole = {"as_of_date": NIGHT, "trigger": "offer", "subject": "", "rank": 0.0, "goal_date": None, **row}
        named = f"{whole['trigger']}/{whole['customer_id']}/{whole['subject']}/{whole['as_of_date']}"
        told.append((*(whole.get(name) for name in COLUMNS[:-2]), "{}", named))
    return local_frame(spark, told, ELIGIBLE)


COLUMNS = [part.split(" ")[0] for part in ELIGIBLE.split(", ")]


def selected(
    spark: SparkSession,
    rows: Iterable[Mapping[str, Any]],
    rules: Sequence[TriggerRule],
    limits: CapSettings | None = None,
    *,
    consents: Iterable[Mapping[str, Any]] | None = None,
    contacts: Iterable[Mapping[str, Any]] = (),
    unreachable: Iterable[tuple[Any, ...]] = (),
    guarded: Iterable[tuple[date, str]] = (),
) -> list[Row]:
    """What the selection says of the rows; by default everybody has consented to everything long ago.

    `unreachable`: customer, "class/channel" or None for all, the night that learnt it, and when it happened.
    """
    found = eligible(spark, rows)
    given = consents
    if given is None:
        customers = sorted({row["customer_id"] for row in rows})
        given = [
            {"customer_id": customer, "purpose": purpose, "channel": channel}
            for customer in customers
            for purpose in ("promotional", "service")
            for channel in ("push", "sms", "email")
        ]
    long_ago = {"as_of_date": "2025-01-01", "valid_from": "2025-01-01 00:00", "updated_at": "2025-01-01 00:00"}
    past = {"trigger": "offer", "subject": "", "channel": "push", "message_class": "promotional"}
    prepared = selection.prepared(
        found,
        rules,
        zone=ZONE,
        consents=table_frame(spark, CONSENTS, list(given), long_ago),
        unreachable=local_frame(
            spark,
            [(who, key, True, at[0] if at else LONG_AGO, 0, night) for who, key, night, *at in unreachable],
            "customer_id string, key string, is_closed boolean, updated_at timestamp, row_hash bigint, as_of_date date",
        ),
        contacts=table_frame(spark, CONTACT_HISTORY, list(contacts), past),
        guarded=list(guarded),
    )
    told = selection.transform(prepared, rules, limits or caps())
    return told.orderBy("as_of_date", "trigger", "customer_id", "subject").collect()


def steps(told: Iterable[Row]) -> dict[str, str]:
    """Customer → step, of those whom one trigger is about."""
    return {row["customer_id"]: row["step"] for row in told}


def ago(days: int) -> str:
    return str(NIGHT - timedelta(days=days))
