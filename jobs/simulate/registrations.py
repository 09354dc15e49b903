"""The customers feed: registrations, profile changes and deletions, and what goes wrong with them."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.simulate.chance import Chance
from jobs.simulate.clock import DAY, date_of, day_of
from jobs.simulate.plan import Format, Simulation

ORDER = ("changed", "user_id", "version")
TRUTH = ("delivery_date", "user_id", "version", "kind", "event_date", "answer", "answered_on", "reasons")

# Reason under which a broken version is quarantined -> whether it takes a file that can hold any text.
FLAWS = {"customer_id_missing": False, "registered_at_invalid": True}


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
    first_day = F.lit(simulation.first_day)
    changed_day = day_of(F.col("changed"))
    # Only what is still the newest version the next day: an older one delivered again is no duplicate, but news.
    can_repeat = (
        (F.col("version") == "registered")
        & (changed_day >= first_day)
        & (F.col("next_change_at").isNull() | (F.col("next_change_at") > F.col("changed") + F.lit(3 * DAY)))
    )
    kind, flaw = F.col("kind"), F.col("flaw")
    copies = F.when(kind == "duplicate", F.array(F.lit(False), F.lit(True))).otherwise(F.array(F.lit(False)))
    is_late = (kind == "late") & (changed_day >= first_day)
    return (
        versions.withColumn("kind", _kind(draw, simulation))
        .withColumn("kind", F.when((kind == "duplicate") & ~can_repeat, "clean").otherwise(kind))
        .withColumn("kind", F.when((kind == "late") & (changed_day < first_day), "clean").otherwise(kind))
        .withColumn("flaw", F.when(kind == "broken", draw.choose("flaw", _flaws(file_format))))
        .withColumn("is_copy", F.explode(copies))
        .withColumn("kind", F.when((kind == "duplicate") & ~F.col("is_copy"), "clean").otherwise(kind))
        .withColumn(
            "delivery_day",
            F.greatest(changed_day, first_day)
            + F.when(is_late, draw.whole("late days", 1, 3)).otherwise(0)
            + F.when(F.col("is_copy"), draw.whole("copy days", 0, 1)).otherwise(0),
        )
        .withColumn("delivery_date", date_of(F.col("delivery_day")))
        .withColumn("event_date", date_of(changed_day))
        .withColumn("user_id", F.when(flaw == "customer_id_missing", None).otherwise(F.col("user_id")))
        .withColumn("registered_text", F.when(flaw == "registered_at_invalid", "last week"))
        .withColumn(
            "answer",
            F.when(flaw.isNotNull(), "quarantined").when(F.col("is_copy"), "duplicate").otherwise("accepted"),
        )
        .withColumn("answered_on", F.col("delivery_date"))
        .withColumn("reasons", F.when(flaw.isNull(), F.array().cast("array<string>")).otherwise(F.array(flaw)))
    )


def _kind(draw: Chance, simulation: Simulation) -> Column:
    mess = simulation.mess
    shares = {"late": mess.late, "duplicate": mess.duplicate, "broken": mess.broken}
    return draw.choose("kind", shares | {"clean": max(0.0, 1 - sum(shares.values()))})


def _flaws(file_format: Format) -> dict[str, float]:
    return {reason: 1.0 for reason, needs_text in FLAWS.items() if file_format != "parquet" or not needs_text}
