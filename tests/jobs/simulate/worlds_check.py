"""The comparison of recharge-only customers with those who moved up to sending money, from deliveries, in plain DuckDB.

Written apart from the lake: successful debits, the first date is the first active date, three methods side by side as
spec §3 has them in mart.upgrade_retention.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb


@dataclass(frozen=True)
class Compared:
    """Retained in days 90 to 119 of those who stayed and who upgraded, and the difference matched on activity."""

    naive_stayed: float
    naive_upgraded: float
    landmark_stayed: float
    landmark_upgraded: float
    matched: float
    customers: int


FACTS = """
create or replace temp table paid as
select user_id, created::date as day, product
from read_csv('{out}/payments/*/*.csv.gz', all_varchar = true, union_by_name = true)
where state = 'OK' and flow = 'debit' and user_id <> '' and try_cast(created as timestamp) is not null
  and try_cast(rupees as decimal(14,2)) > 0;
create or replace temp table facts as
with newcomers as (
  select user_id, min(registered::timestamptz) as registered
  from read_json('{out}/customers/*/*.jsonl.gz', columns = {{user_id: 'varchar', registered: 'varchar'}})
  where user_id is not null and registered is not null and registered <> 'last week'
  group by user_id having min(registered::timestamptz)::date >= date '{first}'
), firsts as (
  select user_id, min(day) as f, min(day) filter (product = 'recharge') as recharge,
    min(day) filter (product = 'p2p_transfer') as transfer,
    min(day) filter (product not in ('recharge', 'p2p_transfer')) as other
  from paid join newcomers using (user_id) group by user_id
)
select user_id, any_value(f) as f, any_value(recharge) as recharge, any_value(transfer) as transfer,
  any_value(other) as other, bool_or(day between f + 90 and f + 119) as retained,
  count(distinct day) filter (day between f and f + 30) as active_days
from firsts join paid using (user_id)
where f between date '{first}' and date '{last}' group by user_id;
"""

GROUPS = """
select coalesce(transfer <= f + {h}, false) as upgraded,
  coalesce(recharge <= f + {h}, false) and coalesce(least(transfer, other) > f + {h}, true) as stayed,
  retained, active_days
from facts
"""


def compare(out: Path, first: date, last: date) -> Compared:
    """Of newcomers with a first date from `first` to `last`; deliveries must reach 119 days beyond."""
    with duckdb.connect() as db:
        db.execute(FACTS.format(out=out, first=first, last=last))

        def rates(h: int) -> tuple[float, float, int]:
            row = db.execute(
                f"""select avg(retained::int) filter (stayed), avg(retained::int) filter (upgraded), count(*)
                from ({GROUPS.format(h=h)})"""
            ).fetchone()
            assert row is not None
            return row

        naive, landmark = rates(119), rates(30)
        matched = db.execute(
            f"""with strata as (
                select active_days,
                  avg(retained::int) filter (upgraded) as p1, avg(retained::int) filter (stayed) as p0,
                  count(*) filter (upgraded) as n1, count(*) filter (stayed) as n0
                from ({GROUPS.format(h=30)}) group by active_days)
            select sum(n1 * (p1 - p0)) / sum(n1) from strata where n1 > 0 and n0 > 0"""
        ).fetchone()
        assert matched is not None
        return Compared(naive[0], naive[1], landmark[0], landmark[1], matched[0], naive[2])


if __name__ == "__main__":
    import sys

    print(compare(Path(sys.argv[1]), date.fromisoformat(sys.argv[2]), date.fromisoformat(sys.argv[3])))
