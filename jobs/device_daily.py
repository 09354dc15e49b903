"""Whose activity it was, that was told of a device without saying of whom: joins the customer once it is known."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.customer_daily import APP, DEVICE
from schemas.table import PARTITION

# A link to the device may begin so many days after the activity: she looked around before she registered.
BEFORE_LINK = 3
# Nobody is looked for later than so many nights after the activity. Neither the rows of a date nor the links that
# begin on it or after it are told earlier than the night before it, so all that can matter is in as many nights.
LOOK_BACK = 35
SIGNALS = tuple(column.name for column in (*APP, *DEVICE))


def owned(device_rows: DataFrame, links: DataFrame, *, zone: str, first: date, last: date) -> DataFrame:
    """One row is what was told of one device on one date, joined on one of the nights first … last to a customer.

    It is hers whose link to the device begins on its date or at most three days after it, and joins her on the
    first night on which both are known; of several such links known on that night to the one that begins first,
    then to the least customer id. What was found once stays: only the night a row joins on depends on the order
    of arrival, and who is found where links become earlier later on.

    `device_rows` (core.device_daily) and `links` (core.identity_links) are logs of the nights first − `LOOK_BACK`
    … last. In the columns of core.customer_daily: as_of_date is the night it joins; one customer and date may have
    several rows, of devices and of nights that told.
    """
    # One shuffle of each side by device; all that follows is of one device.
    versions = links.where(f"id_type = 'device' and as_of_date <= date'{last}'").selectExpr(
        "id_token as device_id",
        "customer_id",
        "as_of_date as known_on",
        "valid_from",
        f"cast(from_utc_timestamp(valid_from, '{zone}') as date) as begins_on",
    )
    in_order = Window.partitionBy("device_id", "customer_id").orderBy("known_on")
    versions = versions.repartition("device_id").withColumn("known_until", F.lead("known_on").over(in_order))
    rows = device_rows.where(f"{PARTITION} <= date'{last}'").withColumnRenamed(PARTITION, "told_on")
    matched = rows.join(versions, "device_id", "inner").where(
        f"begins_on between event_date and date_add(event_date, {BEFORE_LINK})"
    )
    # A version counts from when it is known until a later night tells another of the same link.
    matched = matched.withColumn(PARTITION, F.greatest("told_on", "known_on")).where(
        f"(known_until is null or {PARTITION} < known_until) and {PARTITION} < date_add(event_date, {LOOK_BACK})"
    )
    of_row = Window.partitionBy("device_id", "told_on", "event_date").orderBy(PARTITION, "valid_from", "customer_id")
    found = matched.withColumn("place", F.row_number().over(of_row)).where(
        f"place = 1 and {PARTITION} between date'{first}' and date'{last}'"
    )
    return found.select(PARTITION, "customer_id", "event_date", *SIGNALS)
