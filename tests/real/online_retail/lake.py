"""A temporary lake of the Online Retail dump, onboarded by the configuration beside this file, and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import Settings
from jobs.ledger import Ledger
from tests.real.onboarding import lake_of, onboard, one_row

DUMP = Path("online_retail") / "online_retail.parquet"
# What a night learned of the shop; their digests do not depend on how the nights were run.
TABLES = (
    "raw.online_retail",
    "core.transactions",
    "core.quarantine",
    "core.customer_daily",
    "mart.retention_cohorts",
    "ops.deliveries",
)
SNAPSHOTS = ("mart.customer_profile",)


@dataclass(frozen=True)
class Shop:
    """One lake below `root`, with a landing folder that holds the dump."""

    root: Path
    settings: Settings

    @classmethod
    def begin(cls, root: Path, data: Path) -> Shop:
        """Copy the dump out of `data`; the lake is still empty."""
        return cls(root, onboard(root, data, (DUMP,), Path(__file__).parent / "conf"))

    def digests(self, days: Sequence[date], tables: Sequence[str] = TABLES) -> dict[str, str]:
        """ "core.transactions 2011-12-08" → its digest, as `clm digest` prints it."""
        ledger = Ledger.open(self.settings.ledger_url)
        return {
            f"{table} {day}": publication.digest
            for table in tables
            for day, publication in ledger.published(table, min(days), max(days)).items()
            if day in days
        }

    def figures(self, last: date) -> dict[str, int]:
        """What the lake says by `last`, under the names of `expected.computed`: each from the table that owns it."""
        lake = lake_of(self.settings)

        def known(table: str) -> DataFrame:
            return lake.read(table, known_on=last)

        raw, posted = known("raw.online_retail"), known("core.transactions")
        figures = _accounts(known("ops.deliveries"))
        figures |= one_row(
            raw.agg(
                F.count_distinct("InvoiceNo").alias("delivered, invoices"),
                F.count_distinct("as_of_date").alias("dates with invoices"),
            )
        )
        figures |= one_row(
            posted.agg(
                F.count(F.lit(1)).alias("accepted, invoices"),
                F.count_if(F.col("status") == "success").alias("accepted, sales"),
                F.count_if(F.col("status") == "reversed").alias("accepted, cancellations"),
            )
        )
        figures |= _refused(known("core.quarantine"))
        return figures | _months(known("core.customer_daily"), posted)

    def retention(self, known_on: date) -> dict[str, int]:
        """Every complete month of first sales, under the names of `expected.retention`."""
        lake = lake_of(self.settings)
        told = lake.read("mart.retention", known_on=known_on).where("grain = 'month' and slice = 'all' and is_complete")
        return {
            f"{row['cohort_start']:%Y-%m} {row['period']} {name}": row[name]
            for row in told.collect()
            for name in ("customers", "retained")
        }


def _accounts(deliveries: DataFrame) -> dict[str, int]:
    return one_row(
        deliveries.agg(
            *(F.sum(name).alias(f"{name}, rows") for name in ("delivered", "accepted", "duplicate", "waiting"))
        )
    )


def _refused(quarantine: DataFrame) -> dict[str, int]:
    """Source rows and invoices set aside, by reason; counted in the quarantine itself, not in the accounts."""
    reasons = [F.array_contains("reasons", name) for name in ("customer_id_missing", "amount_zero")]
    groups = {
        "quarantined": F.lit(True),
        "quarantined for customer_id_missing": reasons[0],
        "quarantined for amount_zero": reasons[1],
        "quarantined for both": reasons[0] & reasons[1],
    }
    invoice = F.get_json_object("row", "$.InvoiceNo")
    rows = [F.count_if(is_in).alias(f"{name}, rows") for name, is_in in groups.items()]
    invoices = [F.count_distinct(F.when(is_in, invoice)).alias(f"{name}, invoices") for name, is_in in groups.items()]
    return one_row(quarantine.agg(*rows, *invoices))


def _months(daily: DataFrame, posted: DataFrame) -> dict[str, int]:
    """By month of the event date: sales from what is known of each customer, cancellations from the postings."""
    month = F.date_format("event_date", "yyyy-MM").alias("month")
    sales = daily.groupBy(month).agg(
        F.count_distinct(F.when(F.col("is_transacting"), F.col("customer_id"))).alias("customers with a sale"),
        F.coalesce(F.sum("marketplace_count"), F.lit(0)).alias("sales"),
        F.coalesce(F.sum("marketplace_amount_minor"), F.lit(0)).alias("sales, pence"),
    )
    is_cancellation = F.col("status") == "reversed"
    cancellations = posted.groupBy(month).agg(
        F.count_if(is_cancellation).alias("cancellations"),
        F.coalesce(F.sum(F.when(is_cancellation, F.col("amount_minor"))), F.lit(0)).alias("cancellations, pence"),
    )
    return {
        f"{row['month']} {name}": value
        for row in sales.join(cancellations, "month", "full").collect()
        for name, value in row.asDict().items()
        if name != "month"
    }
