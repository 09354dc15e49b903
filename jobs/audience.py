"""audience_v1: whom ad platforms are told to reach for each trigger, and what has changed since they were told last.

An audience is a state, not a message: whoever a trigger selected over AUDIENCE_CHANNEL is in it for its valid days.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.frames import local_frame
from jobs.lists import AUDIENCE_CHANNEL
from jobs.rules.triggers import TriggerRule
from schemas.acting import SELECTED
from schemas.lists import AUDIENCE_SNAPSHOT_V1, AUDIENCE_V1
from schemas.table import Column

POLICY = "audience string, key string, valid_days int"
OF_MEMBER = ["audience", "customer_ref"]


def holding(selections: DataFrame, triggers: Sequence[TriggerRule], *, day: date) -> DataFrame:
    """One row is one customer whom one audience holds on the night `day`, by its key ("purpose/channel").

    Each of the `selections` holds for its trigger's valid_days, of which its own night is the first. `since_date` is
    the send date of the oldest that does.
    """
    policies = local_frame(selections.sparkSession, map(_policy, triggers), POLICY)
    chosen = selections.where((F.col("step") == SELECTED) & (F.col("channel") == AUDIENCE_CHANNEL))
    rows = chosen.withColumnRenamed("trigger", "audience").join(F.broadcast(policies), "audience")
    night = f"date'{day}'"
    held = rows.where(f"as_of_date <= {night} and date_add(as_of_date, valid_days) > {night}")
    first = F.expr("date_add(min(as_of_date), 1) as since_date")
    return held.groupBy("audience", "key", "customer_id").agg(first)


def behind(accepted: DataFrame, customers: DataFrame, hashes: DataFrame, triggers: Sequence[TriggerRule]) -> DataFrame:
    """One row is one customer who may be behind a ref that was `accepted`: as `holding`, and the customer_ref.

    Customers who share a phone are one to the destination, so each of them may be.
    """
    policies = local_frame(accepted.sparkSession, map(_policy, triggers), POLICY)
    tokens = hashes.selectExpr("token", "sha256 as customer_ref").distinct()
    had = customers.selectExpr("customer_id", "explode(array(phone, email)) as token")
    rows = accepted.join(tokens, "customer_ref").join(had, "token").join(F.broadcast(policies), "audience")
    return rows.select("audience", "key", "customer_id", "since_date", "customer_ref").distinct()


def members(holding: DataFrame, customers: DataFrame, consented: DataFrame, hashes: DataFrame) -> DataFrame:
    """One row is one customer_ref in one audience: what the destination should hold.

    `holding` as the function of that name gives it; `customers` are the newest versions of registrations; `consented`
    what is consented to, a row for each customer_id and key; `hashes` are restricted.contact_hashes: that of the
    phone, else of the e-mail address.
    """
    known = customers.where("not coalesce(is_deleted, false)").select("customer_id", "phone", "email")
    allowed = holding.join(consented, ["customer_id", "key"], "left_semi").join(known, "customer_id")
    contacts = allowed.selectExpr("audience", "customer_id", "since_date", "explode(array(phone, email)) as token")
    # Whose number and address have no hash is left out: nobody could match them.
    refs = (
        contacts.join(hashes.select("token", "kind", "sha256", "as_of_date"), "token")
        .groupBy("audience", "customer_id", "since_date")
        .agg(F.expr("max_by(sha256, struct(kind = 'phone', as_of_date)) as customer_ref"))
    )
    # Customers who share a phone are one to the destination.
    return _told(refs.groupBy(*OF_MEMBER).agg(F.min("since_date").alias("since_date")), AUDIENCE_SNAPSHOT_V1)


def staying(behind: DataFrame, customers: DataFrame, consented: DataFrame) -> DataFrame:
    """One row is one customer_ref that stays in an audience that nobody is added to: someone behind it may."""
    known = customers.where("not coalesce(is_deleted, false)").select("customer_id")
    may = behind.join(consented, ["customer_id", "key"], "left_semi").join(known, "customer_id", "left_semi")
    return _told(may.groupBy(*OF_MEMBER).agg(F.min("since_date").alias("since_date")), AUDIENCE_SNAPSHOT_V1)


def changes(members: DataFrame, accepted: DataFrame | None) -> DataFrame:
    """One row is one customer_ref to add to one audience, or to remove from it.

    `accepted` is what the destination accepted last, in the columns of `members`; None before the first delivery,
    which is a baseline and only adds.
    """
    compared = _compared(members, accepted).where("is_member <> is_accepted")
    return _told(compared.selectExpr("*", "if(is_member, 'add', 'remove') as action"), AUDIENCE_V1)


def snapshot(members: DataFrame, accepted: DataFrame | None) -> DataFrame:
    """One row is one customer_ref in one audience once the `changes` of the same arguments are accepted."""
    return _told(_compared(members, accepted).where("is_member"), AUDIENCE_SNAPSHOT_V1)


def _policy(trigger: TriggerRule) -> tuple[str, str, int]:
    return trigger.name, f"{trigger.policy.message_class}/{AUDIENCE_CHANNEL}", trigger.policy.valid_days


def _compared(members: DataFrame, accepted: DataFrame | None) -> DataFrame:
    """One row is one customer_ref that an audience had or should have; who stays keeps the accepted since_date."""
    before = members.limit(0) if accepted is None else accepted
    now = members.selectExpr(*OF_MEMBER, "since_date as now")
    both = now.join(before.selectExpr(*OF_MEMBER, "since_date as was"), OF_MEMBER, "full")
    return both.selectExpr(
        *OF_MEMBER,
        "coalesce(was, now) as since_date",
        "was is not null as is_accepted",
        "now is not null as is_member",
    )


def _told(rows: DataFrame, columns: Sequence[Column]) -> DataFrame:
    return rows.selectExpr(*(f"cast({column.name} as {column.type}) as {column.name}" for column in columns))
