"""What app events and device rows say of one person on one day, whether the person is a customer or a device."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import TrackingPlan
from jobs.frames import select_contract
from schemas.columns import ICONS, SCREEN_GROUPS, USAGE_CATEGORIES
from schemas.customer_daily import APP, DEVICE_DAILY, DEVICE_FACTS
from schemas.table import PARTITION

OTHER = "other"
NIGHT_HOURS = (22, 6)

# Each is a sum over the rows, but for the newest.
APP_SUMS = tuple(column.name for column in APP if column.type == "bigint")
DEVICE_SUMS = ("screen_minutes", *(f"usage_{category}_minutes" for category in USAGE_CATEGORIES))
FACTS = tuple(column.name for column in DEVICE_FACTS)
SEEN = ("device_updated_at", "device_row_hash")


def of_events(events: DataFrame, plan: TrackingPlan, *, zone: str) -> DataFrame:
    """One row is one app event as its share of `APP`; null where it has none. What is not in front has no share."""
    group_of = {group: [screen for screen, its in plan.screens.items() if its == group] for group in SCREEN_GROUPS}
    first, last = NIGHT_HOURS
    hour = f"hour(from_utc_timestamp(occurred_at, '{zone}'))"
    figures = {
        "foreground_event_count": "1L",
        "session_count": "if(action = 'session_start', 1L, null)",
        "night_event_count": f"if({hour} >= {first} or {hour} < {last}, 1L, null)",
        "app_last_at": "occurred_at",
    }
    known = _among("screen", [screen for group, screens in group_of.items() if group != OTHER for screen in screens])
    for group, screens in group_of.items():
        is_of_group = f"not coalesce({known}, false)" if group == OTHER else _among("screen", screens)
        figures[f"dwell_{group}_ms"] = f"if({is_of_group}, dwell_ms, null)"
    own = [icon for icon in ICONS if icon != OTHER]
    for icon in own:
        figures[f"icon_{icon}_count"] = f"if(icon = '{icon}', 1L, null)"
    figures[f"icon_{OTHER}_count"] = f"if(icon is not null and not {_among('icon', own)}, 1L, null)"
    return events.selectExpr(
        PARTITION,
        "customer_id",
        "device_id",
        "event_date",
        *(f"if(coalesce(is_foreground, true), {figure}, null) as {name}" for name, figure in figures.items()),
    )


def of_devices(devices: DataFrame) -> DataFrame:
    """One row is one device row in the columns of `DEVICE`."""
    facts = {name: name.removeprefix("device_") for name in FACTS if name != "device_id"}
    return devices.selectExpr(
        PARTITION,
        "customer_id",
        "device_id",
        "event_date",
        "updated_at as device_updated_at",
        "row_hash as device_row_hash",
        *(f"{column} as {name}" for name, column in facts.items()),
        *(f"cast({name} as bigint) as {name}" for name in DEVICE_SUMS),
    )


def app_per(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    """One row is what the rows of one `key` say together of the app."""
    sums = [f"sum({name}) as {name}" for name in APP_SUMS]
    return rows.groupBy(*key).agg(*(F.expr(each) for each in (*sums, "max(app_last_at) as app_last_at")))


def usage_per(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    """One row is how long the devices of one `key` were used, in minutes."""
    return rows.groupBy(*key).agg(*(F.expr(f"sum({name}) as {name}") for name in DEVICE_SUMS))


def newest_device_per(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    """One row is the device of one `key` that was seen last: its facts, when, and the row's hash, which settles ties.

    Apart from the sums, because an aggregate that holds strings is sorted and not hashed.
    """
    kept = ", ".join((*SEEN, *(name for name in FACTS if name not in key)))
    newest = F.expr(f"max_by(struct({kept}), struct({', '.join(SEEN)})) as newest")
    return rows.where("device_updated_at is not null").groupBy(*key).agg(newest).select(*key, "newest.*")


def of_unknown_people(events: DataFrame, devices: DataFrame, plan: TrackingPlan, *, zone: str) -> DataFrame:
    """core.device_daily: one row is what one night told about one device on one date by rows without a customer."""
    key = (PARTITION, "device_id", "event_date")
    used = of_events(events.where("customer_id is null and device_id is not null"), plan, zone=zone)
    seen = of_devices(devices.where("customer_id is null"))
    told = app_per(used, key).join(
        usage_per(seen, key).join(newest_device_per(seen, key), list(key)), list(key), "full"
    )
    return select_contract(told, DEVICE_DAILY)


def _among(column: str, values: Sequence[str]) -> str:
    if not values:
        return "false"
    quoted = ", ".join("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in values)
    return f"{column} in ({quoted})"
