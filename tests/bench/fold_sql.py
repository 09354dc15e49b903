"""The fold of one night as a user of DuckDB would write it: one statement, from the lake's files to a file.

Written from what the contract says, not from the lake's code: two answers that can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from schemas.core import FAMILIES
from schemas.mart import ACTIVITIES, CUSTOMER_PROFILE, PAID_FAMILIES

OTHER_SUMS = (
    *("reversed_count", "reversed_amount_minor", "failed_count", "pending_count"),
    *("received_count", "received_amount_minor"),
)
SUMS = (*(f"{family}_{what}" for family in PAID_FAMILIES for what in ("count", "amount_minor")), *OTHER_SUMS)
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


def fold(yesterday: Sequence[str], tonight: Sequence[str], as_of: date) -> str:
    """A select of the profile of `as_of` from the files of the day before and of that night's customer_daily."""
    names = [f"{activity}_days_{span}" for activity in ACTIVITIES for span in SPANS]
    masks = [f"nullif({name}, 0) as {name}" for name in names]
    return f"""
        with rows as (
            select *, date '{as_of}' - event_date as ago,
                {_total("count")} as transacting_count, {_total("amount_minor")} as transacting_amount_minor
            from {files(tonight)}
        ), told as (
            select customer_id, {_list(_told())} from rows group by customer_id
        ), merged as (
            select customer_id, {_list(_merged())}
            from {files(yesterday)} as p full join told as t using (customer_id)
        ), profile as (
            select * replace ({_list(masks)}),
                date '{as_of}' as as_of_date,
                nullif(known_active_days + bit_count(new_0) + bit_count(new_1), 0) as active_days,
                nullif(
                    coalesce(moved_up(known_first_days, known_first_date - first_date), 0)
                    | coalesce(list_bit_or([nth_bit(d - first_date) for d in dates if d - first_date < 63]), 0),
                    0
                ) as first_days,
                case when first_date is null then null
                    {" ".join(f"when first_{family}_date = first_date then '{family}'" for family in FAMILIES)}
                    else 'app' end as first_product
            from merged
        )
        select {", ".join(CUSTOMER_PROFILE.column_names)} from profile
    """


def files(paths: Sequence[str]) -> str:
    """The rows of these files; the date in their folder is a column."""
    return f"read_parquet({list(paths)}, hive_partitioning = true)"


def _list(expressions: Iterable[str]) -> str:
    return ", ".join(expressions)


def _total(what: str) -> str:
    """Of the families; null where none has any."""
    some = _list(f"{family}_{what}" for family in FAMILIES)
    total = " + ".join(f"coalesce({family}_{what}, 0)" for family in FAMILIES)
    return f"case when coalesce({some}) is not null then {total} end"


def _told() -> list[str]:
    """Bits count back from tonight; `dates` are those that have one."""
    expressions = [
        "min(registered_at) as registered_at",
        "max(largest_transfer_minor) as largest_transfer_minor",
        *(f"sum({name})::bigint as {name}" for name in SUMS),
        "list(event_date) filter (is_active and ago < 128) as dates",
    ]
    on_date = {family: f"{family}_count is not null" for family in FAMILIES}
    for activity, is_active in {**on_date, "transacting": "is_transacting", "any": "is_active"}.items():
        expressions += [
            f"min(event_date) filter ({is_active}) as first_{activity}",
            f"max(event_date) filter ({is_active}) as last_{activity}",
            f"bit_or(nth_bit(ago)) filter ({is_active}) as {activity}_0",
            f"bit_or(nth_bit(ago - 64)) filter ({is_active}) as {activity}_1",
        ]
    return expressions


def _merged() -> list[str]:
    expressions = [
        "least(p.registered_at, t.registered_at) as registered_at",
        "greatest(p.largest_transfer_minor, t.largest_transfer_minor) as largest_transfer_minor",
        *(f"coalesce(p.{name} + t.{name}, p.{name}, t.{name}) as {name}" for name in SUMS),
        "least(p.first_date, t.first_any) as first_date",
        "p.first_date as known_first_date",
        "p.first_days as known_first_days",
        "coalesce(p.active_days, 0) as known_active_days",
        "t.dates",
    ]
    for activity in ACTIVITIES:
        youngest, oldest = (f"coalesce(p.{activity}_days_{span}, 0)" for span in SPANS)
        known = (f"a_day_older({youngest})", f"(a_day_older({oldest}) | ({youngest} < 0)::bigint)")
        new = [f"coalesce(t.{activity}_{j}, 0)" for j in (0, 1)]
        expressions += [
            f"least(p.first_{activity}_date, t.first_{activity}) as first_{activity}_date",
            f"greatest(p.last_{activity}_date, t.last_{activity}) as last_{activity}_date",
            f"{known[0]} | {new[0]} as {activity}_days_0_63",
            f"{known[1]} | {new[1]} as {activity}_days_64_127",
        ]
        if activity == "any":
            expressions += [f"{new[j]} & ~{known[j]} as new_{j}" for j in (0, 1)]
    return expressions
