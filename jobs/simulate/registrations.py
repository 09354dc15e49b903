"""The customers feed: registrations, profile changes and deletions, and what goes wrong with them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.simulate import flaws
from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY, date_of, day_of
from jobs.simulate.plan import Format, Simulation

ORDER = ("changed", "user_id", "version")
TRUTH = ("delivery_date", "user_id", "version", "kind", "event_date", "answer", "answered_on", "reasons")


def delivered_versions(people: DataFrame, simulation: Simulation, file_format: Format) -> DataFrame:
    """One row per delivered row of the customers source, with its truth beside it.

    The first delivery holds every version there was before the first day.
    """
    draw = Chance(simulation.seed, ("number", "version"))
    return _delivered(_versions(people), draw, simulation, file_format).filter(
        F.col("delivery_day").between(simulation.first_day, simulation.last_day)
    )


def _versions(people: DataFrame) -> DataFrame:
    """One row per version of a customer, up to the deletion."""
    moments = {"registered": "registered_at", "kyc": "kyc_at", "language": "language_at", "deleted": "deleted_at"}
    versions = F.array(
        *(F.struct(F.lit(name).alias("version"), F.col(column).alias("changed")) for name, column in moments.items())
    )
    changed, deleted_at = F.col("changed"), F.col("deleted_at")
    return (
        people.withColumn("next_change_at", F.least("kyc_at", "language_at", "deleted_at"))
        .select("*", F.inline(versions))
        .filter(changed.isNotNull() & (deleted_at.isNull() | (changed <= deleted_at)))
        .select(
            "number",
            "user_id",
            "version",
            "next_change_at",
            F.col("registered_at").alias("registered"),
            "changed",
            F.when(changed >= F.col("kyc_at"), "full").otherwise("minimum").alias("kyc"),
            F.when(changed >= F.col("language_at"), F.col("later_language"))
            .otherwise(F.col("language"))
            .alias("language"),
            "city_tier",
            "region",
            (F.col("version") == "deleted").alias("deleted"),
        )
    )


def _delivered(versions: DataFrame, draw: Chance, simulation: Simulation, file_format: Format) -> DataFrame:
    shares = simulation.mess
    kinds = {"late": shares.late, "duplicate": shares.duplicate, "broken": shares.broken}
    first_day, changed_day = F.lit(simulation.first_day), day_of(F.col("changed"))
    is_backlog = changed_day < first_day
    # Only what is still the newest version the next day: an older one delivered again is no duplicate, but news.
    is_newest_for_days = (F.col("version") == "registered") & (
        F.col("next_change_at").isNull() | (F.col("next_change_at") > F.col("changed") + F.lit(3 * DAY))
    )
    drawn, mess, is_copy, flaw = F.col("drawn"), F.col("mess"), F.col("is_copy"), F.col("flaw")
    is_impossible = ((drawn == "late") & is_backlog) | ((drawn == "duplicate") & (is_backlog | ~is_newest_for_days))
    days_off = F.when(mess == "late", draw.whole("late days", 1, 3)).when(is_copy, draw.whole("copy days", 0, 1))
    copies = F.when(mess == "duplicate", F.array(F.lit(False), F.lit(True))).otherwise(F.array(F.lit(False)))
    delivery_date = date_of(F.col("delivery_day"))
    return (
        versions.withColumn("drawn", draw.choose("mess", kinds | {"clean": max(0.0, 1 - sum(kinds.values()))}))
        .withColumn("mess", F.when(is_impossible, "clean").otherwise(drawn))
        .withColumn("is_copy", F.explode(copies))
        .withColumns(
            {
                "flaw": F.when(mess == "broken", draw.choose("flaw", flaws.weights(flaws.OF_CUSTOMERS, file_format))),
                "delivery_day": F.greatest(changed_day, first_day) + F.coalesce(days_off, F.lit(0)),
            }
        )
        .withColumns(
            {
                "user_id": F.when(flaw.isNull() | (flaw != "customer_id_missing"), F.col("user_id")),
                "registered": F.when(flaw.isNull() | (flaw != "registered_at_missing"), F.col("registered")),
                "registered_text": F.when(flaw == "registered_at_invalid", "last week"),
                "kind": F.when((mess == "duplicate") & ~is_copy, "clean").otherwise(mess),
                "delivery_date": delivery_date,
                "event_date": date_of(changed_day),
                "answer": F.when(flaw.isNotNull(), "quarantined").when(is_copy, "duplicate").otherwise("accepted"),
                "answered_on": delivery_date,
                "reasons": flaws.reasons(flaw),
            }
        )
    )
