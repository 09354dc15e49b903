"""icon_order_v1: the icons of each customer's home screen, those that are tapped most first."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.columns import ICONS
from schemas.lists import ICON_ORDER_V1

# So many taps are some visits: an order from fewer would change with every tap, and hide what was not found yet.
OWN_TAPS = 20
# So many are of many customers as a rule: in fewer the taste of some would be the order of all.
COHORT_TAPS = 1_000
COUNTS = tuple(f"icon_{icon}_count" for icon in ICONS)


def transform(profile: DataFrame, segments: DataFrame) -> DataFrame:
    """One row is one customer ever seen, with the icons to show in their order, and those to hide.

    `profile` and `segments` are mart.customer_profile and mart.customer_segments of one night. Own taps decide where
    there are enough (OWN_TAPS), else those of all customers of the level (COHORT_TAPS), else the order of ICONS, which
    settles ties too. Only own taps hide what is never tapped.
    """
    taps = ", ".join(f"coalesce({count}, 0)" for count in COUNTS)
    customers = profile.selectExpr("customer_id", *COUNTS, f"array({taps}) as own").join(
        segments.select("customer_id", "level"), "customer_id", "left"
    )
    totals = ", ".join(f"coalesce(sum({count}), 0)" for count in COUNTS)
    levels = customers.groupBy("level").agg(F.expr(f"array({totals}) as cohort"))
    rows = customers.join(F.broadcast(levels), "level", "left")
    basis = (
        f"case when {_sum('own')} >= {OWN_TAPS} then 'own' when {_sum('cohort')} >= {COHORT_TAPS} then 'cohort' "
        "else 'default' end"
    )
    rows = rows.selectExpr("*", f"{basis} as basis").selectExpr(
        "*", f"case basis when 'own' then own when 'cohort' then cohort else array_repeat(0L, {len(ICONS)}) end as taps"
    )
    placed = ", ".join(
        f"struct(-taps[{place}] as minus_taps, {place} as place, '{icon}' as icon)" for place, icon in enumerate(ICONS)
    )
    # What is never tapped comes last, so that the hidden ones are the rest of the line.
    told = rows.selectExpr(
        "customer_id",
        "basis",
        f"sort_array(array({placed})).icon as line",
        f"if(basis = 'own', size(array_remove(own, 0L)), {len(ICONS)}) as shown",
    ).selectExpr("*", "slice(line, 1, shown) as icons", f"slice(line, shown + 1, {len(ICONS)} - shown) as hidden")
    return told.selectExpr(*(f"cast({column.name} as {column.type}) as {column.name}" for column in ICON_ORDER_V1))


def _sum(taps: str) -> str:
    return " + ".join(f"{taps}[{place}]" for place in range(len(ICONS)))
