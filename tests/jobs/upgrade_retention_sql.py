"""mart.upgrade_retention once more, in plain DuckDB, from spec §3 and the textbook forms of the formulas.

Written apart from the lake: masks are spelled out into dates, strata are joined, weights are shares.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb

QUERY = """
with d as (select date '{as_of}' as d, 1.959964::double as z),
window_ as (select d - 119 - {close_after} - 59 as first_from, d - 119 - {close_after} as first_to from d),
people as (
  select row_number() over () as id, * from {profiles}, window_ where first_date between first_from and first_to
), seen as (
  select id, d - i::int as day from people, d, range(128) as bits(i)
  where (case when i < 64 then any_days_0_63 >> i else any_days_64_127 >> (i - 64) end) & 1 = 1
), early as (
  select id, n from people, range(31) as days(n) where (first_days >> n) & 1 = 1
), facts as (
  select p.*, exists (from seen s where s.id = p.id and s.day between p.first_date + 90 and p.first_date + 119) as came,
    (select count(*) from early e where e.id = p.id) as stratum
  from people p
), placed as (
  select method, stratum, came, case
      when first_transfer_date - first_date <= h then 'upgraded'
      when first_recharge_date - first_date <= h and not exists (
        from (values (first_bill_date), (first_merchant_date), (first_marketplace_date), (first_wallet_date)) as o(day)
        where day - first_date <= h) then 'stayed'
      else 'out' end as grp
  from facts, (values ('naive', 119), ('landmark', 30)) as methods(method, h)
), cells as (
  select stratum,
    count(*) filter (grp = 'stayed') as n0, count(*) filter (grp = 'upgraded') as n1,
    avg(came::int) filter (grp = 'stayed') as p0, avg(came::int) filter (grp = 'upgraded') as p1
  from placed where method = 'landmark' group by stratum
), kept as (
  select *, n1 / sum(n1) over () as w from cells where n0 > 0 and n1 > 0
), grouped as (
  select method, grp, count(*) as n, count(*) filter (came) as r from placed where grp <> 'out' group by all
  union all
  select 'matched', grp, count(*), count(*) filter (came)
  from placed join kept using (stratum) where method = 'landmark' and grp <> 'out' group by grp
), nine as (
  select * from (values ('naive', 119), ('landmark', 30), ('matched', 30)) as m(method, h),
    (values ('stayed'), ('upgraded'), ('difference')) as g(grp)
), counted as (
  select method, h, grp, coalesce(n, 0) as n, coalesce(r, 0) as r, r / n as p
  from nine left join grouped using (method, grp) where grp <> 'difference'
), scored as (
  select *, (p + z * z / (2 * n) - z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n) as l,
    (p + z * z / (2 * n) + z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n) as u
  from counted, d
), standard as (
  select sum(w * p0) as p0, sum(w * (p1 - p0)) as diff, z * sqrt(sum(w * w * p0 * (1 - p0) / n0)) as e0,
    z * sqrt(sum(w * w * (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0))) as e
  from kept, d group by z
), answers as (
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
select d, 'recharge_to_transfer', method, grp, n::bigint, r::bigint, {rate}, {low}, {high}, h, first_from, first_to,
  ((select count(*) from people) - sum(n) filter (grp <> 'difference') over (partition by method))::bigint
from answers, d, window_ order by method, grp
"""


def nine_rows(database: duckdb.DuckDBPyConnection, profiles: str, *, as_of: date, close_after: int) -> list[Any]:
    """The rows as tuples in the order of the table's columns, by method and group; `profiles` is a table's name."""
    rounded = {name: _rounded(value) for name, value in {"rate": "p", "low": "l", "high": "u"}.items()}
    query = QUERY.format(as_of=as_of, close_after=close_after, profiles=profiles, **rounded)
    return database.execute(query).fetchall()


def _rounded(share: str) -> str:
    within = f"greatest(if(grp = 'difference', -1, 0), least(1, {share}))"
    # Both skip nulls.
    return f"if({share} is null, null, round({within}::decimal(18, 14), 6)::decimal(9, 6))"
