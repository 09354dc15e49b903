"""icon_order_v1: whose taps decide, in which order icons stand, and what is hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

import pytest
from pyspark.sql import SparkSession

from jobs import icon_order
from jobs.frames import local_frame
from jobs.icon_order import COHORT_TAPS, OWN_TAPS
from schemas.columns import ICONS
from schemas.lists import ICON_ORDER_V1
from schemas.mart import CUSTOMER_PROFILE
from tests.jobs.rows import table_frame

# A customer: the level, and the taps by icon.
Customer = tuple[str | None, Mapping[str, int | None]]
Order = tuple[list[str], list[str], str]


def told(spark: SparkSession, customers: Sequence[tuple[str, Customer]]) -> dict[str, Order]:
    counts = [
        {"customer_id": name, **{f"icon_{icon}_count": taps for icon, taps in tapped.items()}}
        for name, (_, tapped) in customers
    ]
    levels = [(name, level) for name, (level, _) in customers if level is not None]
    frame = icon_order.transform(
        table_frame(spark, CUSTOMER_PROFILE, counts), local_frame(spark, levels, "customer_id string, level string")
    )
    assert frame.columns == [column.name for column in ICON_ORDER_V1]
    rows = frame.collect()
    found = {row["customer_id"]: (row["icons"], row["hidden"], row["basis"]) for row in rows}
    assert len(found) == len(rows)
    return found


def others(*named: str) -> list[str]:
    """The icons that are not named, in the default order."""
    return [icon for icon in ICONS if icon not in named]


def test_own_taps_decide_where_there_are_enough(spark: SparkSession) -> None:
    orders = told(
        spark,
        [
            ("enough", ("visitor", {"shop": OWN_TAPS - 1, "recharge": 1})),
            ("too_few", ("visitor", {"shop": OWN_TAPS - 2, "recharge": 1})),
            ("ties", ("visitor", {"shop": 10, "bills": 10, "offers": 15, "wallet": 10})),
            ("all_tapped", ("visitor", dict.fromkeys(ICONS, 3) | {"other": 4})),
        ],
    )
    assert orders == {
        # Twenty taps: the most tapped first, and what is never tapped is hidden.
        "enough": (["shop", "recharge"], others("shop", "recharge"), "own"),
        # Nineteen say too little to move or hide anything, and so do the few of the level.
        "too_few": ([*ICONS], [], "default"),
        # As often tapped, so in the default order.
        "ties": (["offers", "bills", "wallet", "shop"], others("offers", "bills", "wallet", "shop"), "own"),
        # Nothing is left to hide.
        "all_tapped": (["other", *others("other")], [], "own"),
    }


def test_else_those_of_the_level_where_these_are_enough(spark: SparkSession) -> None:
    orders = told(
        spark,
        [
            ("many", ("premium", {"wallet": COHORT_TAPS - 301, "history": 300})),
            ("one", ("premium", {"bills": 1})),
            ("registered", ("premium", {})),
            ("fewer", ("visitor", {"wallet": COHORT_TAPS - 1})),
            ("of_them", ("visitor", {})),
            ("nobody_judged", (None, {"shop": OWN_TAPS - 1})),
        ],
    )
    of_level = (["wallet", "history", "bills", *others("wallet", "history", "bills")], [], "cohort")
    assert orders == {
        "many": (["wallet", "history"], others("wallet", "history"), "own"),
        # A thousand taps of the level, the customer's own the last of them; nothing is hidden for what others do.
        "one": of_level,
        # Also who has never used the app.
        "registered": of_level,
        "fewer": (["wallet"], others("wallet"), "own"),
        # 999 of the level.
        "of_them": ([*ICONS], [], "default"),
        # Of no level.
        "nobody_judged": ([*ICONS], [], "default"),
    }


def expected(name: str, customers: Mapping[str, Customer]) -> Order:
    """The same said in Python."""
    level, tapped = customers[name]
    own = {icon: tapped.get(icon) or 0 for icon in ICONS}
    if sum(own.values()) >= OWN_TAPS:
        shown = sorted((icon for icon in ICONS if own[icon]), key=lambda icon: -own[icon])
        return shown, others(*shown), "own"
    of_level = {
        icon: sum(taps.get(icon) or 0 for other, taps in customers.values() if other == level) for icon in ICONS
    }
    if level is not None and sum(of_level.values()) >= COHORT_TAPS:
        return sorted(ICONS, key=lambda icon: -of_level[icon]), [], "cohort"
    return [*ICONS], [], "default"


@pytest.mark.parametrize("seed", range(3))
def test_every_icon_is_shown_or_hidden_once_whatever_the_order_of_rows(spark: SparkSession, seed: int) -> None:
    chance = Random(seed)

    def customer() -> Customer:
        taps: dict[str, Any] = {icon: chance.choice([None, 0, 1, 2, 3, 20]) for icon in ICONS if chance.random() < 0.4}
        return chance.choices(["visitor", "premium", "rare", None], [60, 60, 5, 5])[0], taps

    customers = {f"c{number}": customer() for number in range(300)}
    orders = told(spark, [*customers.items()])
    assert {basis for _, _, basis in orders.values()} == {"own", "cohort", "default"}
    assert orders == {name: expected(name, customers) for name in customers}
    assert all(sorted(shown + hidden) == sorted(ICONS) for shown, hidden, _ in orders.values())
    assert told(spark, chance.sample([*customers.items()], len(customers))) == orders
