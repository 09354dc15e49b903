"""What must come out of the Complete Journey campaigns: the known counts, and a second computation of them in DuckDB.

DuckDB reads the grocer's files itself, with the beginnings of the campaigns where the grocer wrote them.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb

FOLDER = Path("completejourney")
CAMPAIGNS, REDEMPTIONS = FOLDER / "campaigns.parquet", FOLDER / "coupon_redemptions.parquet"
DESCRIPTIONS = FOLDER / "campaign_descriptions.parquet"
FILES = (CAMPAIGNS, REDEMPTIONS, DESCRIPTIONS)
# The first campaign began, and the last coupon was redeemed.
FIRST, LAST = date(2016, 11, 14), date(2017, 12, 31)

KNOWN = {
    "campaigns, delivered": 6_589,
    "coupon_redemptions, delivered": 2_102,
    "campaign 13, targeted": 1_077,
    "campaign 13, redeemed": 196,
    "campaign 18, targeted": 1_133,
    "campaign 18, redeemed": 214,
    "all campaigns, targeted": 1_559,
    "all campaigns, redeemed": 410,
    "redeemed without being targeted": 0,
}

TARGETED = """
create temp table targeted as
select campaign_id, household_id, cast(start_date as date) as day
from read_parquet(?) as campaigns join read_parquet(?) as descriptions using (campaign_id)
where day >= ?
"""

REDEEMED = """
create temp table redeemed as
select campaign_id, household_id, cast(redemption_date as date) as day from read_parquet(?) where day >= ?
"""

ROWS = """
select
    'campaigns' as source, count(*) as delivered, count(distinct (campaign_id, household_id)) as accepted
from targeted
union all
select 'coupon_redemptions', count(*), count(distinct (campaign_id, household_id, day)) from redeemed
"""

HOUSEHOLDS = """
with stages as (
    select 'targeted' as stage, campaign_id, household_id from targeted
    union all
    select 'redeemed', campaign_id, household_id from redeemed
)
select
    if(grouping(campaign_id) = 1, 'all campaigns', 'campaign ' || campaign_id) as campaign,
    count(distinct household_id) filter (stage = 'targeted') as targeted,
    count(distinct household_id) filter (stage = 'redeemed') as redeemed
from stages
group by grouping sets ((campaign_id), ())
order by grouping(campaign_id), campaign_id::int
"""

UNTARGETED = """
select count(distinct (campaign_id, household_id)) from redeemed anti join targeted using (campaign_id, household_id)
"""

# A day is told as its midnight where the stores are.
TIMES = """
select 'sent' as outcome, timezone('America/New_York', day::timestamp) as time, count(*) as triggers
from targeted
group by time
union all
select 'converted', timezone('America/New_York', day::timestamp), count(distinct (campaign_id, household_id))
from redeemed
group by all
"""


def computed(data: Path, since: date = FIRST) -> dict[str, int]:
    """The figures of `since` and later: of the files, of the campaigns, and what became of triggers at each instant."""
    with duckdb.connect() as connection:
        connection.execute("set threads = 2")
        connection.execute("set timezone = 'UTC'")
        connection.execute(TARGETED, [str(data / CAMPAIGNS), str(data / DESCRIPTIONS), since])
        connection.execute(REDEEMED, [str(data / REDEMPTIONS), since])
        figures: dict[str, int] = {}
        for source, delivered, accepted in connection.execute(ROWS).fetchall():
            figures |= {f"{source}, delivered": delivered, f"{source}, accepted": accepted}
            figures |= {f"{source}, quarantined": 0, f"{source}, duplicate": delivered - accepted}
            figures[f"{source}, waiting"] = 0
        ((figures["redeemed without being targeted"],),) = connection.execute(UNTARGETED).fetchall()
        for campaign, targeted, redeemed in connection.execute(HOUSEHOLDS).fetchall():
            figures |= {f"{campaign}, targeted": targeted, f"{campaign}, redeemed": redeemed}
        for outcome, time, triggers in connection.execute(TIMES).fetchall():
            figures[f"{outcome} at {time:%Y-%m-%d %H:%M:%S}"] = triggers
    return figures
