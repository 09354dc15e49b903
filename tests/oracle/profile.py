"""profile: mart.customer_profile, folded from the snapshot of the night before and what tonight told.

A column is a sum, the least, the greatest, the newest or a mask of days, or follows from those.
"""

from __future__ import annotations

from collections.abc import Iterable

from conf import Settings
from schemas.customer_daily import APP, BILL, CONTACT, DEVICE, DEVICE_FACTS, FAMILIES
from schemas.mart import ACTIVITIES, HABITS
from tests.oracle.night import Night

GREATEST = ("largest_transfer_minor", "app_last_at", "bill_last_due_date")
# The newest by the first two of them.
NEWEST = ("device_updated_at", "device_row_hash", *(column.name for column in DEVICE_FACTS))
SAME_NAMED_SUMS = (
    *(f"{family}_{measure}" for family in FAMILIES for measure in ("count", "amount_minor")),
    *("reversed_count", "reversed_amount_minor", "failed_count", "pending_count"),
    *("received_count", "received_amount_minor"),
    *(column.name for column in (*APP, *DEVICE, *BILL, CONTACT) if column.name not in (*GREATEST, *NEWEST)),
)
# Sums of the profile, and what of core.customer_daily is summed up.
SUMS = {
    **{name: name for name in SAME_NAMED_SUMS},
    **{f"{habit}_count": column for habit, column in HABITS.items()},
    **{
        f"transacting_{measure}": f"list_sum([{', '.join(f'{family}_{measure}' for family in FAMILIES)}])"
        for measure in ("count", "amount_minor")
    },
}
# What makes a date one of the activity.
IS_ACTIVITY = {
    **{family: f"{family}_count > 0" for family in FAMILIES},
    "transacting": "is_transacting",
    "app": "foreground_event_count > 0",
    "any": "is_active",
}
SPANS = ("0_63", "64_127")
# DuckDB raises where a shift would lose a bit or reach the sign: both are taken apart first.
MACROS = """
    create or replace temp macro nth_bit(n) as
        case when n between 0 and 62 then 1::bigint << n when n = 63 then -9223372036854775808 end;
    create or replace temp macro a_day_older(word) as
        (word & 4611686018427387903) << 1 | if(word & 4611686018427387904 <> 0, -9223372036854775808, 0);
    create or replace temp macro moved_up(bits_63, days) as
        case when days = 0 then bits_63 when days < 63 then (bits_63 & (1::bigint << (63 - days)) - 1) << days end;
"""


def writes(settings: Settings) -> list[str]:
    return ["mart.customer_profile"]


def run(night: Night) -> None:
    """One row is one customer ever seen, with all that is known on the night."""
    night.sql.execute(MACROS)
    masks = [f"{activity}_days_{span}" for activity in ACTIVITIES for span in SPANS]
    night.tables.write(
        "mart.customer_profile",
        night.day,
        f"""
        with daily as (
            select *, date '{night.day}' - event_date as ago from {night.tables.on("core.customer_daily", night.day)}
        ),
        told as (select customer_id, {_list(_told())} from daily group by customer_id),
        merged as (
            select customer_id, {_list(_merged())}
            from {night.tables.on("mart.customer_profile", night.before)} as p full join told as t using (customer_id)
        )
        select merged.* replace ({_list(f"nullif({mask}, 0) as {mask}" for mask in masks)}),
            nullif(known_active_days + bit_count(new_0) + bit_count(new_1), 0) as active_days,
            nullif(
                coalesce(moved_up(known_first_days, known_first_date - first_date), 0)
                    | coalesce(list_bit_or([nth_bit(day - first_date) for day in dates if day - first_date < 63]), 0),
                0
            ) as first_days,
            case
                when first_date is null then null
                {" ".join(f"when first_{family}_date = first_date then '{family}'" for family in FAMILIES)}
                else 'app'
            end as first_product
        from merged
        """,
    )


def _list(expressions: Iterable[str]) -> str:
    return ", ".join(expressions)


def _told() -> Iterable[str]:
    """What tonight's rows of a customer come to. Bits count back from tonight; `dates` are those that have one."""
    yield "min(registered_at) as registered_at"
    yield "list(event_date) filter (is_active and ago < 128) as dates"
    for name in GREATEST:
        yield f"max({name}) as {name}"
    for name, summed in SUMS.items():
        yield f"sum({summed})::bigint as {name}"
    for habit, column in HABITS.items():
        yield f"max(event_date) filter ({column} > 0) as last_{habit}"
    for activity, is_activity in IS_ACTIVITY.items():
        yield f"min(event_date) filter ({is_activity}) as first_{activity}"
        yield f"max(event_date) filter ({is_activity}) as last_{activity}"
        yield f"bit_or(nth_bit(ago)) filter ({is_activity}) as {activity}_0"
        yield f"bit_or(nth_bit(ago - 64)) filter ({is_activity}) as {activity}_1"
    newest = ", ".join(f"{name} := {name}" for name in NEWEST)
    yield f"max(struct_pack({newest})) filter (device_updated_at is not null) as device"


def _merged() -> Iterable[str]:
    """What was known (`p`) and what was told (`t`) together."""
    yield "least(p.registered_at, t.registered_at) as registered_at"
    yield "least(p.first_date, t.first_any) as first_date"
    yield "p.first_date as known_first_date"
    yield "p.first_days as known_first_days"
    yield "coalesce(p.active_days, 0) as known_active_days"
    yield "t.dates"
    for name in GREATEST:
        yield f"greatest(p.{name}, t.{name}) as {name}"
    for name in SUMS:
        yield f"coalesce(p.{name} + t.{name}, p.{name}, t.{name}) as {name}"
    for habit in HABITS:
        yield f"greatest(p.last_{habit}_date, t.last_{habit}) as last_{habit}_date"
    for activity in ACTIVITIES:
        youngest, oldest = (f"coalesce(p.{activity}_days_{span}, 0)" for span in SPANS)
        known = (f"a_day_older({youngest})", f"(a_day_older({oldest}) | ({youngest} < 0)::bigint)")
        new = [f"coalesce(t.{activity}_{word}, 0)" for word in (0, 1)]
        yield f"least(p.first_{activity}_date, t.first_{activity}) as first_{activity}_date"
        yield f"greatest(p.last_{activity}_date, t.last_{activity}) as last_{activity}_date"
        for word, span in enumerate(SPANS):
            yield f"{known[word]} | {new[word]} as {activity}_days_{span}"
            if activity == "any":
                yield f"{new[word]} & ~{known[word]} as new_{word}"
    is_newer = """
        t.device is not null and (
            p.device_updated_at is null
            or (t.device.device_updated_at, t.device.device_row_hash) > (p.device_updated_at, p.device_row_hash)
        )"""
    for name in NEWEST:
        yield f"if({is_newer}, t.device.{name}, p.{name}) as {name}"
