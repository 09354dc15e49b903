"""ops.deliveries: for every delivery and night, what became of each source row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.conform import DUPLICATE, QUARANTINED, TAKEN, WAITING
from jobs.errors import DataRefused
from jobs.frames import local_frame, select_contract
from schemas.ops import DELIVERIES


@dataclass(frozen=True)
class Account:
    """One row of ops.deliveries: a delivery in one night. `taken_from` is the night that landed it."""

    night: date
    source: str
    delivery_id: str
    taken_from: date


@dataclass
class Counts:
    """Records, and source rows by what became of them."""

    records: int = 0
    delivered: int = 0
    accepted: int = 0
    quarantined: int = 0
    duplicate: int = 0
    waiting: int = 0
    by_bits: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Tally:
    """One group of verdicts, counted."""

    night: date
    landed: date
    source: str
    delivery_id: str
    outcome: str
    bits: int
    records: int
    source_rows: int


def tally(verdicts: DataFrame) -> list[Tally]:
    """The verdicts counted by night, delivery, outcome and reasons: a few rows for each delivery."""
    groups = ["night", "landed_date", "source", "delivery_id", "outcome", "bits"]
    counted = verdicts.groupBy(*groups).agg(
        F.count(F.lit(1)).alias("records"), F.sum("source_rows").alias("source_rows")
    )
    return [Tally(*row) for row in counted.collect()]


def accepted(posted: DataFrame) -> dict[tuple[date, str], tuple[int, int]]:
    """(night, delivery) → records and source rows, counted in the files that are about to be published."""
    rows = posted.where("source_rows > 0").groupBy("as_of_date", "delivery_id")
    counted = rows.agg(F.count(F.lit(1)).alias("records"), F.sum("source_rows").alias("source_rows")).collect()
    return {(row["as_of_date"], row["delivery_id"]): (row["records"], row["source_rows"]) for row in counted}


def refused(quarantine: DataFrame) -> dict[tuple[date, str], int]:
    """(night, delivery) → source rows, counted in the quarantine that is about to be published."""
    counted = quarantine.groupBy("as_of_date", "delivery_id").count().collect()
    return {(row["as_of_date"], row["delivery_id"]): row["count"] for row in counted}


def settle(
    delivered: Mapping[Account, int],
    landed_on: Mapping[str, Iterable[date]],
    tallies: Iterable[Tally],
    accepted: Mapping[tuple[date, str], tuple[int, int]],
    refused: Mapping[tuple[date, str], int],
) -> dict[Account, Counts]:
    """The accounts of the nights. Each figure comes from where it is counted on its own, so that a lost row shows.

    `delivered` comes from the manifests, `accepted` and `refused` from staged files, the rest from the verdicts.
    `landed_on`: delivery → nights that landed it (one; of a dump many, each of which keeps its rows).
    """
    counts: dict[Account, Counts] = defaultdict(Counts)
    sources: dict[str, str] = {account.delivery_id: account.source for account in delivered}
    for account, rows in delivered.items():
        counts[account].delivered = rows
    for group in tallies:
        sources[group.delivery_id] = group.source
        account = Account(group.night, group.source, group.delivery_id, group.landed)
        if group.outcome == WAITING:
            counts[account].waiting += group.source_rows
            counts[account].records += group.records
        if group.outcome in (QUARANTINED, DUPLICATE):
            counts[account].records += group.records
        if group.outcome == DUPLICATE:
            counts[account].duplicate += group.source_rows
        if group.outcome == QUARANTINED:
            counts[account].by_bits[group.bits] = counts[account].by_bits.get(group.bits, 0) + group.source_rows
        if group.outcome in (TAKEN, QUARANTINED, DUPLICATE) and group.night > group.landed:
            counts[account].waiting -= group.source_rows

    def account_of(night: date, delivery_id: str) -> Account:
        if delivery_id not in sources:
            raise DataRefused(
                f"raw of {night} holds rows of {delivery_id}, which is not of that night: "
                f"run `clm run --date {night} --stage land` first, or the backfill that did not end."
            )
        nights = set(landed_on.get(delivery_id, ()))
        landed = night if night in nights or not nights else min(nights)
        return Account(night, sources[delivery_id], delivery_id, landed)

    for (night, delivery_id), (records, rows) in accepted.items():
        counts[account_of(night, delivery_id)].accepted += rows
        counts[account_of(night, delivery_id)].records += records
    for (night, delivery_id), rows in refused.items():
        counts[account_of(night, delivery_id)].quarantined += rows
    return dict(counts)


def transform(spark: SparkSession, counts: Mapping[Account, Counts], feeds: Mapping[str, str]) -> DataFrame:
    """One row is one delivery in one night, in source rows; `feeds`: source → feed."""
    rows = [
        (
            account.night,
            account.delivery_id,
            account.source,
            feeds[account.source],
            account.taken_from,
            each.records,
            each.delivered,
            each.accepted,
            each.quarantined,
            each.duplicate,
            each.waiting,
            0,
        )
        for account, each in sorted(
            counts.items(), key=lambda item: (item[0].night, item[0].delivery_id, item[0].taken_from)
        )
    ]
    return select_contract(local_frame(spark, rows, DELIVERIES.ddl(nullable=True)), DELIVERIES)
