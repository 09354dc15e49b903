"""upgrade: mart.upgrade_retention, by the textbook forms of the formulas: strata are joined, weights are shares."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import duckdb

from conf import Settings
from tests.oracle.night import Night
from tests.oracle.retention import words

FIRST_DATES = 60
RETAINED_FROM, RETAINED_TO = 90, 119
# n customers, r of them retained, p their share, l and u the ends of its interval; h the landmark's day.
QUERY = """
with normal as (select 1.959964::double as z),
windows as (select unnest({windows}::struct(first_date date, newest bigint, oldest bigint)[], recursive := true)),
people as (
    select first_transfer_date - first_date as transfer, first_recharge_date - first_date as recharge,
        least(first_bill_date, first_merchant_date, first_marketplace_date, first_wallet_date) - first_date as other,
        coalesce(any_days_0_63 & newest <> 0 or any_days_64_127 & oldest <> 0, false) as came,
        coalesce(bit_count(first_days & (1::bigint << 31) - 1), 0) as stratum
    from {profiles} join windows using (first_date)
),
placed as (
    select method, stratum, came,
        case
            when transfer <= h then 'upgraded'
            when recharge <= h and not coalesce(other <= h, false) then 'stayed'
            else 'out'
        end as grp
    from people, (values ('naive', 119), ('landmark', 30)) as methods(method, h)
),
cells as (
    select stratum,
        count(*) filter (grp = 'stayed') as n0, count(*) filter (grp = 'upgraded') as n1,
        avg(came::int) filter (grp = 'stayed') as p0, avg(came::int) filter (grp = 'upgraded') as p1
    from placed where method = 'landmark' group by stratum
),
kept as (
    select *, n1 / sum(n1) over () as w from cells where n0 > 0 and n1 > 0
),
grouped as (
    select method, grp, count(*) as n, count(*) filter (came) as r from placed where grp <> 'out' group by all
    union all
    select 'matched', grp, count(*), count(*) filter (came)
    from placed join kept using (stratum) where method = 'landmark' and grp <> 'out' group by grp
),
nine as (
    select * from (values ('naive', 119), ('landmark', 30), ('matched', 30)) as m(method, h),
        (values ('stayed'), ('upgraded'), ('difference')) as g(grp)
),
counted as (
    select method, h, grp, coalesce(n, 0) as n, coalesce(r, 0) as r, r / n as p
    from nine left join grouped using (method, grp) where grp <> 'difference'
),
scored as (
    select *, (p + z * z / (2 * n) - z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n) as l,
        (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n) as u
    from counted, normal
),
standard as (
    select sum(w * p0) as p0, sum(w * (p1 - p0)) as diff, z * sqrt(sum(w * w * p0 * (1 - p0) / n0)) as e0,
        z * sqrt(sum(w * w * (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0))) as e
    from kept, normal group by z
),
answers as (
    select method, h, grp, n, r, p, l, u from scored where (method, grp) <> ('matched', 'stayed')
    union all
    select method, h, grp, n, null, p0, p0 - e0, p0 + e0
    from scored left join standard on true where (method, grp) = ('matched', 'stayed')
    union all
    select method, h, 'difference', s.n + u.n, null, u.p - s.p,
        u.p - s.p - sqrt((u.p - u.l) ** 2 + (s.u - s.p) ** 2), u.p - s.p + sqrt((u.u - u.p) ** 2 + (s.p - s.l) ** 2)
    from scored s join scored u using (method, h)
    where s.grp = 'stayed' and u.grp = 'upgraded' and method <> 'matched'
    union all
    select method, h, 'difference', sum(n), null, any_value(diff), any_value(diff - e), any_value(diff + e)
    from scored left join standard on true where method = 'matched' group by method, h
)
select date '{as_of}' as as_of_date, 'recharge_to_transfer' as question, method, grp,
    n::bigint as customers, r::bigint as retained, {rate} as rate, {low} as low, {high} as high, h as landmark_day,
    date '{first_from}' as first_from, date '{first_to}' as first_to,
    ((select count(*) from people) - sum(n) filter (grp <> 'difference') over (partition by method))::bigint
        as customers_out
from answers order by method, grp
"""


def writes(settings: Settings) -> list[str]:
    return ["mart.upgrade_retention"]


def run(night: Night) -> None:
    """Nine rows: who stayed, who upgraded and the difference, by each of three methods."""
    profiles = night.tables.on("mart.customer_profile", night.day)
    night.tables.write(
        "mart.upgrade_retention",
        night.day,
        _query(profiles, as_of=night.day, close_after=night.settings.lake.close_after),
    )


def nine_rows(database: duckdb.DuckDBPyConnection, profiles: str, *, as_of: date, close_after: int) -> list[Any]:
    """The rows as tuples in the order of the table's columns, by method and group; `profiles` is a table's name."""
    return database.execute(_query(profiles, as_of=as_of, close_after=close_after)).fetchall()


def _query(profiles: str, *, as_of: date, close_after: int) -> str:
    first_to = as_of - timedelta(days=RETAINED_TO + close_after)
    firsts = [first_to - timedelta(days=days) for days in range(FIRST_DATES)]
    windows: list[dict[str, str | int]] = []
    for first in firsts:
        closed = (as_of - first).days - RETAINED_TO
        newest, oldest = words(RETAINED_TO - RETAINED_FROM + 1, ago=closed)
        windows.append({"first_date": str(first), "newest": newest, "oldest": oldest})
    return QUERY.format(
        as_of=as_of,
        windows=windows,
        profiles=profiles,
        first_from=firsts[-1],
        first_to=first_to,
        rate=_rounded("p"),
        low=_rounded("l"),
        high=_rounded("u"),
    )


def _rounded(share: str) -> str:
    """Half up to six decimals, within what a share or a difference of shares can be."""
    within = f"greatest(if(grp = 'difference', -1, 0), least(1, {share}))"
    # greatest and least skip nulls.
    return f"if({share} is null, null, round({within}::decimal(18, 14), 6)::decimal(9, 6))"
