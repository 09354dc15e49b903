"""core.customer_daily: what tonight told about each customer, by event date."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from jobs.frames import select_contract
from schemas.columns import RAILS
from schemas.core import CUSTOMER_DAILY, FAMILIES

KEY = ("as_of_date", "customer_id", "event_date")


def _counted(is_counted: Column) -> Column:
    """How many; null for none, since three quarters of these cells are empty and nulls cost nothing."""
    return F.nullif(F.count_if(is_counted), F.lit(0))


def _sum(is_counted: Column) -> Column:
    return F.sum(F.when(is_counted, F.col("amount_minor")))


def _newest(is_counted: Column, time: str = "occurred_at") -> Column:
    return F.max(F.when(is_counted, F.col(time)))


def _of_transactions(transactions: DataFrame) -> DataFrame:
    def told(status: str, direction: str) -> Column:
        return (F.col("status") == status) & (F.col("direction") == direction)

    paid = told("success", "debit")
    received = told("success", "credit")
    undone = told("reversed", "debit")
    by_family = {family: paid & F.col("product").isin(*products) for family, products in FAMILIES.items()}
    by_rail = {rail: paid & (F.col("rail") == rail) for rail in RAILS}
    figures: dict[str, Column] = {"is_transacting": F.max(paid)}
    for family, is_family in by_family.items():
        figures[f"{family}_count"] = _counted(is_family)
        figures[f"{family}_amount_minor"] = _sum(is_family)
        figures[f"{family}_last_at"] = _newest(is_family)
    for rail, is_rail in by_rail.items():
        figures[f"rail_{rail}_count"] = _counted(is_rail)
        figures[f"rail_{rail}_amount_minor"] = _sum(is_rail)
    for status in ("pending", "failed"):
        figures[f"{status}_count"] = _counted(told(status, "debit"))
        figures[f"{status}_last_at"] = _newest(told(status, "debit"))
    figures["reversed_count"] = _counted(undone)
    figures["reversed_amount_minor"] = _sum(undone)
    figures["reversed_last_at"] = _newest(undone, "updated_at")
    figures["received_count"] = _counted(received)
    figures["received_amount_minor"] = _sum(received)
    sent = by_family["transfer"]
    figures["largest_transfer_minor"] = F.max(F.when(sent, F.col("amount_minor")))
    return transactions.groupBy(*KEY).agg(*(column.alias(name) for name, column in figures.items()))


def _of_customers(customers: DataFrame) -> DataFrame:
    return customers.groupBy(*KEY).agg(F.min("registered_at").alias("registered_at"))


def transform(transactions: DataFrame, customers: DataFrame) -> DataFrame:
    """One row is what one night told about one customer on one event date; any signal makes a row.

    One aggregate per feed, then a join on the key they are already shuffled by.
    """
    told = _of_transactions(transactions).join(_of_customers(customers), list(KEY), "full")
    is_transacting = F.coalesce("is_transacting", F.lit(False))
    return select_contract(
        told.withColumns({"is_transacting": is_transacting, "is_active": is_transacting}), CUSTOMER_DAILY
    )
