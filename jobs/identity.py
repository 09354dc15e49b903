"""core.identity_links: whose device, phone and e-mail address it is; deterministic only, nobody is ever merged.

- A *device* is a customer's since the earliest time both were told of together. A new version is appended where
  the link is new or begins earlier than was known. It is never closed: a device may be several customers' at once.
- A *phone* or *e-mail address* is a customer's since the version of the registration that brought it, until the
  customer's next version without it or the next customer's claim of it, whichever is earlier: a recycled number
  closes one link and opens another. Versions advance by (updated_at, row hash); one that is older than what was
  known before its night changes nothing, and neither does one that brings the number known already. Of two claims
  of one moment the one of the greater customer id is the later.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import reduce

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.calendar import BEFORE
from jobs.frames import select_contract
from schemas.identity import IDENTITY_LINKS, IDENTITY_LINKS_STATE

LINK = tuple(name for name in IDENTITY_LINKS.column_names if name != "as_of_date")
ONE = ("id_type", "id_token", "customer_id", "valid_from")


def transform(
    transactions: DataFrame,
    app_events: DataFrame,
    devices: DataFrame,
    customers: DataFrame,
    *,
    customers_before: DataFrame | None,
    links_before: DataFrame | None,
) -> DataFrame:
    """One row is one link that a night told or changed, in its newest version.

    The four feeds hold the nights to tell, one or a range of them; `customers_before` and `links_before` are
    core.customers_state and core.identity_links_state of the night before the first, None where there is none.
    """
    seen = _sightings(transactions, app_events, devices)
    links = _of_devices(seen, links_before).unionByName(_of_numbers(_claims(customers, customers_before), links_before))
    return select_contract(links, IDENTITY_LINKS)


def snapshots(previous: DataFrame | None, links: DataFrame, *, days: Sequence[date]) -> DataFrame:
    """One row is one link in its newest version known on one of `days`; a device has one per customer.

    `previous` is the state of a day before them, `links` all versions that came after it.
    """
    rows = links.select(*IDENTITY_LINKS.column_names)
    if previous is not None:
        rows = rows.unionByName(previous.select(*IDENTITY_LINKS.column_names))
    known_on = F.filter(F.array(*(F.lit(day) for day in days)), lambda day: day >= F.col("as_of_date"))
    rows = rows.withColumns({"day": F.explode(known_on), "since": F.expr("if(id_type = 'device', null, valid_from)")})
    newest = F.max_by(F.struct("valid_from", "valid_to", "evidence"), "as_of_date").alias("newest")
    folded = rows.groupBy("day", "id_type", "id_token", "customer_id", "since").agg(newest)
    return select_contract(
        folded.selectExpr("day as as_of_date", "id_type", "id_token", "customer_id", "newest.*"), IDENTITY_LINKS_STATE
    )


def _sightings(transactions: DataFrame, app_events: DataFrame, devices: DataFrame) -> DataFrame:
    """One row is the earliest time that one night told of one device with one customer, and the feed that told it."""
    times = {"transactions": "occurred_at", "app_events": "occurred_at", "devices": "updated_at"}
    told = [
        frame.where("device_id is not null and customer_id is not null").selectExpr(
            "as_of_date",
            "device_id as id_token",
            "customer_id",
            f"struct({times[feed]} as at, '{feed}' as evidence) seen",
        )
        for feed, frame in zip(times, (transactions, app_events, devices), strict=True)
    ]
    rows = reduce(DataFrame.unionByName, told)
    return rows.groupBy("id_token", "customer_id", "as_of_date").agg(F.min("seen").alias("seen"))


def _of_devices(sightings: DataFrame, links_before: DataFrame | None) -> DataFrame:
    """One row is one link of a device that is new, or begins earlier than any night before knew."""
    nights_before = (
        Window.partitionBy("id_token", "customer_id").orderBy("as_of_date").rowsBetween(Window.unboundedPreceding, -1)
    )
    rows = sightings.withColumn("known_from", F.min("seen.at").over(nights_before)).where(
        "known_from is null or seen.at < known_from"
    )
    if links_before is not None:
        known = links_before.where("id_type = 'device'").selectExpr(
            "id_token", "customer_id", "valid_from as held_from"
        )
        rows = rows.join(known, ["id_token", "customer_id"], "left").where("held_from is null or seen.at < held_from")
    return rows.selectExpr(
        "as_of_date",
        "'device' as id_type",
        "id_token",
        "customer_id",
        "seen.at as valid_from",
        "cast(null as timestamp) as valid_to",
        "seen.evidence",
    )


def _claims(versions: DataFrame, before: DataFrame | None) -> DataFrame:
    """One row is one customer's claim or release of a phone or e-mail address, on the night that told it.

    `position`: its place among all the customer's claims and releases.
    """
    numbers = {name: f"if(coalesce(is_deleted, false), null, {name}) as {name}" for name in ("phone", "email")}
    columns = ("customer_id", "updated_at", "row_hash", *numbers.values())
    rows = versions.selectExpr("as_of_date", *columns)
    if before is not None:
        told = versions.select("customer_id").distinct()
        known = before.join(told, "customer_id", "left_semi").selectExpr(f"date'{BEFORE}' as as_of_date", *columns)
        rows = rows.unionByName(known)
    in_order = Window.partitionBy("customer_id").orderBy("as_of_date", "updated_at", "row_hash")
    newest_before = F.max(F.struct("updated_at", "row_hash")).over(in_order.rowsBetween(Window.unboundedPreceding, -1))
    rows = rows.withColumn("newest_before", newest_before).where(
        "newest_before is null or struct(updated_at, row_hash) > newest_before"
    )
    rows = rows.withColumns({f"{name}_before": F.lag(name).over(in_order) for name in numbers})
    rows = rows.withColumn("position", F.row_number().over(in_order)).where(f"as_of_date > date'{BEFORE}'")
    moves = ", ".join(
        f"if({token} is not null and not {name} <=> {name}_before, "
        f"struct('{name}' as id_type, {token} as id_token, {is_claim} as is_claim), null)"
        for name in numbers
        for token, is_claim in ((f"{name}_before", "false"), (name, "true"))
    )
    return rows.selectExpr(
        "as_of_date",
        "customer_id",
        "updated_at as at",
        "position",
        f"inline(filter(array({moves}), move -> move is not null))",
    )


def _of_numbers(claims: DataFrame, links_before: DataFrame | None) -> DataFrame:
    """One row is one link of a phone or e-mail address that a night opened, or closed at another time than before.

    A link on a night: what its own customer last did with it, and the claim of another that follows it in time.
    So the links of a number are seen together, once for each night that told something of it.
    """
    moves = claims.withColumns({"evidence": F.lit("customers"), "valid_to": F.lit(None).cast("timestamp")})
    if links_before is not None:
        told = claims.select("id_type", "id_token").distinct()
        held = links_before.where("id_type <> 'device'").join(told, ["id_type", "id_token"], "left_semi")
        moves = moves.unionByName(
            held.selectExpr(
                f"date'{BEFORE}' as as_of_date", *LINK, "valid_from as at", "0 as position", "true as is_claim"
            ).drop("valid_from")
        )
    # One shuffle: all that follows is of one number.
    moves = moves.repartition("id_type", "id_token")
    number = Window.partitionBy("id_type", "id_token")
    whose = Window.partitionBy("id_type", "id_token", "customer_id").orderBy("as_of_date", "position", "at", "is_claim")
    moves = moves.withColumns(
        {
            "nights": F.array_sort(F.collect_set("as_of_date").over(number)),
            "valid_from": F.last(F.when(F.col("is_claim"), F.col("at")), ignorenulls=True).over(whose),
            "ended_at": F.expr("if(is_claim, valid_to, at)"),
        }
    )
    return _changes(_on_nights(moves.where("valid_from is not null")))


def _on_nights(moves: DataFrame) -> DataFrame:
    """One row is one link as it stood on one of the nights that told something of its number."""
    link = Window.partitionBy(*ONE).orderBy("as_of_date", "position", "is_claim")
    stands = moves.withColumn("until", F.lead("as_of_date").over(link)).where("until is null or until > as_of_date")
    stands = stands.withColumn(
        "night", F.explode(F.expr("filter(nights, night -> night >= as_of_date and coalesce(night < until, true))"))
    )
    next_claim = Window.partitionBy("id_type", "id_token", "night").orderBy("valid_from", "customer_id")
    return stands.withColumn("valid_to", F.least("ended_at", F.lead("valid_from").over(next_claim)))


def _changes(stands: DataFrame) -> DataFrame:
    """One row is one link on a night that opened it or changed its end."""
    in_order = Window.partitionBy(*ONE).orderBy("night")
    rows = stands.withColumns({"was_to": F.lag("valid_to").over(in_order), "was": F.lag("night").over(in_order)})
    rows = rows.where(f"night > date'{BEFORE}' and (was is null or not valid_to <=> was_to)")
    return rows.selectExpr("night as as_of_date", *LINK)
