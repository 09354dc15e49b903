"""What can be wrong with a delivered row, by the reason it is to be quarantined for."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.simulate.plan import Format

# Reason -> whether it takes a file that can hold any text: Parquet has no room for half a date.
OF_PAYMENTS = {
    "customer_id_missing": False,
    "occurred_at_missing": False,
    "occurred_at_invalid": True,
    "before_1970": False,
    "in_the_future": False,
    "product_invalid": False,
    "direction_missing": False,
    "status_invalid": False,
    "amount_minor_invalid": True,
    "amount_zero": False,
    "amount_negative": False,
    "amount_fraction": True,
}
OF_CUSTOMERS = {"customer_id_missing": False, "registered_at_missing": False, "registered_at_invalid": True}


def weights(flaws: Mapping[str, bool], file_format: Format) -> dict[str, float]:
    """Equal parts for those that a file of the format can hold."""
    return {reason: 1.0 for reason, needs_text in flaws.items() if file_format != "parquet" or not needs_text}


def reasons(reason: Column) -> Column:
    """As `core.quarantine` holds them: an array, empty where there is none."""
    return F.when(reason.isNull(), F.array().cast("array<string>")).otherwise(F.array(reason))
