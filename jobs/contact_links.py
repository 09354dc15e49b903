"""core.contact_links: which entries of address books are customers; found once, and never taken back."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.calendar import BEFORE
from jobs.frames import select_contract
from schemas.identity import CONTACT_LINKS

ENTRY = ("contact_token", "customer_id")
VERSION = (*ENTRY, "updated_at", "row_hash", "is_deleted")


def transform(
    contacts: DataFrame,
    links: DataFrame,
    *,
    contacts_before: DataFrame | None,
    links_before: DataFrame | None,
) -> DataFrame:
    """One row is one address-book entry, on the night on which both it and the owner of its number are known.

    The night on which the entry was first told, or the first on which its number was linked to any customer,
    whichever is later. It is looked at on that night and no other: deleted by then, the number nobody's by then or
    the person's own, it is no link, and an entry that comes back after it was deleted is not found again.

    `contacts` and `links` (core.identity_links) hold the nights to tell, one or a range of them; the others are
    core.contacts_state and core.identity_links_state of the night before the first, None where there is none.
    """
    held = _held(links, links_before)
    told = contacts.select("as_of_date", *VERSION)
    if contacts_before is not None:
        # Address books are many times larger than all else: only those with a newly linked number are looked up.
        fresh = held.where(f"linked_on > date'{BEFORE}'").select("contact_token").distinct()
        known = contacts_before.join(F.broadcast(fresh), "contact_token", "left_semi")
        told = told.unionByName(known.select(F.lit(BEFORE).alias("as_of_date"), *VERSION))
    found = _found(told, held)
    if contacts_before is not None:
        # The number was linked before: an entry that was known then as well has been looked at.
        was_known = contacts_before.select(*ENTRY, F.lit(BEFORE).alias("linked_on"))
        found = found.join(was_known, [*ENTRY, "linked_on"], "left_anti")
    return select_contract(found, CONTACT_LINKS)


def _held(links: DataFrame, links_before: DataFrame | None) -> DataFrame:
    """One row is whose one phone number was on the nights from `held_from` until before `held_until`.

    `linked_on`: the night that first linked the number to anybody. The numbers of which these nights tell nothing
    need no shuffle.
    """
    told = links.where("id_type = 'phone'")
    quiet: DataFrame | None = None
    if links_before is not None:
        before = links_before.where("id_type = 'phone'").withColumn("as_of_date", F.lit(BEFORE))
        touched = F.broadcast(told.select("id_token").distinct())
        told = told.unionByName(before.join(touched, "id_token", "left_semi").select(*told.columns))
        quiet = before.join(touched, "id_token", "left_anti").where("valid_to is null")
        quiet = quiet.withColumns({"held_until": F.lit(None).cast("date"), "linked_on": F.lit(BEFORE)})
    told = told.repartition("id_token")
    link = Window.partitionBy("id_token", "customer_id", "valid_from").orderBy("as_of_date")
    spans = told.withColumns(
        {
            "held_until": F.lead("as_of_date").over(link),
            "linked_on": F.min("as_of_date").over(Window.partitionBy("id_token")),
        }
    ).where("valid_to is null")
    if quiet is not None:
        spans = spans.unionByName(quiet.select(*spans.columns))
    return spans.selectExpr(
        "id_token as contact_token",
        "customer_id as contact_customer_id",
        "as_of_date as held_from",
        "held_until",
        "linked_on",
    )


def _found(told: DataFrame, held: DataFrame) -> DataFrame:
    """One row is one entry that was there on the night it was looked at, when its number was another customer's."""
    rows = told.join(held, "contact_token", "inner")
    first_told = F.min("as_of_date").over(Window.partitionBy(*ENTRY))
    rows = rows.withColumn("night", F.greatest(first_told, "linked_on")).where(
        "as_of_date <= night and held_from <= night and coalesce(night < held_until, true)"
    )
    newest = F.expr("max_by(coalesce(is_deleted, false), struct(updated_at, row_hash)) as is_gone")
    entries = rows.groupBy(*ENTRY, "contact_customer_id", "linked_on", "night").agg(newest)
    return entries.where(f"not is_gone and customer_id <> contact_customer_id and night > date'{BEFORE}'").selectExpr(
        "night as as_of_date", *ENTRY, "contact_customer_id", "linked_on"
    )
