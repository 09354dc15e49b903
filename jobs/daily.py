"""core.customer_daily: what tonight told about each customer, by event date."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from conf import TrackingPlan
from jobs import signals
from jobs.frames import select_contract
from schemas.columns import RAILS
from schemas.core import CUSTOMER_DAILY, FAMILIES
from schemas.customer_daily import BILL_CATEGORIES

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
    for category in BILL_CATEGORIES:
        figures[f"{category}_count"] = _counted(by_family["bill"] & (F.col("category") == category))
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


def _of_bills(bills: DataFrame) -> DataFrame:
    return bills.groupBy(*KEY).agg(
        F.count(F.lit(1)).alias("bill_version_count"),
        _counted(F.col("status") == "paid").alias("bill_paid_count"),
        F.max("due_date").alias("bill_last_due_date"),
    )


def _rows_of(frame: DataFrame, name: str) -> DataFrame:
    return frame.groupBy(*KEY).agg(F.count(F.lit(1)).alias(name))


def transform(told: Mapping[str, DataFrame], plan: TrackingPlan, *, zone: str) -> DataFrame:
    """One row is what one night told about one customer on one event date; any signal makes a row.

    `told` is what the nights told, by name: the feeds; `contact_links`; and `owned`, activity on devices from before
    it was known whose they are, in the columns of this table. What is not there tells nothing.

    One aggregate per feed, then one over their few rows: a chain of full joins would shuffle all columns each time.
    """
    parts: list[DataFrame] = []
    if "transactions" in told:
        parts.append(_of_transactions(told["transactions"]))
    if "customers" in told:
        parts.append(_of_customers(told["customers"]))
    if "bills" in told:
        parts.append(_of_bills(told["bills"]))
    for feed, name in (("contacts", "contact_count"), ("consents", "consent_count")):
        if feed in told:
            parts.append(_rows_of(told[feed], name))
    if "contact_links" in told:
        links = told["contact_links"].withColumn("event_date", F.col("as_of_date"))
        parts.append(_rows_of(links, "contact_linked_count"))
    owned = [told["owned"]] if "owned" in told else []
    used = [*([signals.of_events(told["app_events"], plan, zone=zone)] if "app_events" in told else []), *owned]
    seen = [*([signals.of_devices(told["devices"])] if "devices" in told else []), *owned]
    if used:
        parts.append(signals.app_per(_of_known(used, signals.APP_SUMS, ("app_last_at",)), KEY))
    devices = None
    if seen:
        rows = _of_known(seen, signals.DEVICE_SUMS, (*signals.SEEN, *signals.FACTS))
        parts.append(signals.usage_per(rows, KEY))
        devices = signals.newest_device_per(rows, KEY)
    return select_contract(_together(parts, devices), CUSTOMER_DAILY)


def _of_known(frames: list[DataFrame], *columns: tuple[str, ...]) -> DataFrame:
    """The rows of customers, one frame below the other."""
    names = [name for group in columns for name in group]
    rows = reduce(DataFrame.unionByName, [frame.select(*KEY, *names) for frame in frames])
    return rows.where("customer_id is not null")


def _together(parts: list[DataFrame], devices: DataFrame | None) -> DataFrame:
    """The parts side by side; each column but the key is in one of them only."""
    columns = [column for column in CUSTOMER_DAILY.columns if column.name not in (*KEY, *signals.FACTS)]
    found = {name for part in parts for name in part.columns}
    whole = reduce(lambda left, right: left.unionByName(right, allowMissingColumns=True), parts)
    beside = whole.groupBy(*KEY).agg(
        *(
            F.expr(f"max(cast({column.name} as {column.type}))").alias(column.name)
            for column in columns
            if column.name in found and column.name not in signals.SEEN
        )
    )
    if devices is not None:
        beside = beside.join(devices, list(KEY), "left")
    is_transacting = "coalesce(is_transacting, false)" if "is_transacting" in found else "false"
    is_used = "foreground_event_count is not null" if "foreground_event_count" in found else "false"
    missing = [column for column in CUSTOMER_DAILY.columns if column.name not in beside.columns]
    return beside.withColumns({column.name: F.lit(None).cast(column.type) for column in missing}).withColumns(
        {"is_transacting": F.expr(is_transacting), "is_active": F.expr(f"{is_transacting} or {is_used}")}
    )
