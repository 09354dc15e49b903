"""What rules read of a profile: bits and dates as counts and days, against counting by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from random import Random

from pyspark.sql import SparkSession

from jobs.rules.columns import RETURN_DAYS, SPANS, facts, read
from jobs.rules.language import Type
from schemas.mart import CUSTOMER_PROFILE
from tests.jobs.rows import NIGHT, ZONE, Row, table_frame

FACTS = facts(zone=ZONE)


def signed(word: int) -> int | None:
    return (word - 2**64 if word >= 2**63 else word) or None


def mask(name: str, days: Sequence[int]) -> dict[str, int | None]:
    """The two words of a mask with these days before the night."""
    bits = sum(1 << day for day in set(days) if day < 128)
    return {f"{name}_days_0_63": signed(bits % 2**64), f"{name}_days_64_127": signed(bits >> 64)}


def told(spark: SparkSession, rows: Sequence[Row], *names: str) -> list[tuple[object, ...]]:
    defaults = {"as_of_date": NIGHT}
    frame = table_frame(
        spark, CUSTOMER_PROFILE, [{"customer_id": f"{n:04}", **defaults, **row} for n, row in enumerate(rows)]
    )
    wanted = read(FACTS, set(names))
    return [tuple(row[name] for name in names) for row in frame.orderBy("customer_id").selectExpr(*wanted).collect()]


def days_away(active: Sequence[int], first: date | None) -> int | None:
    """Counted by hand: the distance from the oldest date of the last fourteen days to the one before it."""
    seen = sorted({day for day in active if day < 128})
    recent = [day for day in seen if day < RETURN_DAYS]
    if not recent:
        return None
    older = [day for day in seen if day > recent[-1]]
    if older:
        return older[0] - recent[-1]
    return 128 - recent[-1] if first is not None and first < NIGHT - timedelta(days=recent[-1]) else None


def test_counts_and_gaps_are_those_of_counting_by_hand(spark: SparkSession) -> None:
    chance = Random(3)
    histories = [[], [0], [13], [14], [127], [0, 63], [0, 64], [13, 73], [13, 72], [0, 127], [5, 200]]
    histories += [
        [day for day in range(200) if chance.random() < share]
        for share in (0.01, 0.02, 0.05, 0.3, 1.0)
        for _ in range(12)
    ]
    rows = [
        {**mask("any", days), "first_date": NIGHT - timedelta(days=max(days)) if days else None} for days in histories
    ]
    names = (*(f"active_days_{span}" for span in SPANS), "days_away_before_return")
    expected = [
        (
            *(len({day for day in days if day < span}) for span in SPANS),
            days_away(days, NIGHT - timedelta(days=max(days)) if days else None),
        )
        for days in histories
    ]
    assert told(spark, rows, *names) == expected


def test_days_are_counted_back_from_the_night_and_null_is_never(spark: SparkSession) -> None:
    rows = [
        {"last_upi_date": NIGHT, "last_app_date": NIGHT - timedelta(days=30), "first_date": "2025-01-31"},
        {},
    ]
    assert told(spark, rows, "days_since_upi", "days_since_app_open", "days_since_first") == [
        (0, 30, 365),
        (None, None, None),
    ]


def test_the_day_of_a_registration_is_the_lakes(spark: SparkSession) -> None:
    # Half past one in the night in India.
    assert told(spark, [{"registered_at": f"{NIGHT - timedelta(days=1)} 20:00"}], "days_since_registered") == [(0,)]


def test_what_there_is_none_of_is_zero(spark: SparkSession) -> None:
    counts = sorted(name for name, column in FACTS.items() if not column.is_nullable)
    [row] = told(spark, [{}], *counts)
    assert set(row) == {0}
    families = {"recharge_count": 2, "transfer_count": 1}
    assert told(spark, [families], "family_count", "recharge_count") == [(2, 2)]


def test_every_column_is_described_and_can_be_told(spark: SparkSession) -> None:
    assert len(FACTS) >= 80
    for column in FACTS.values():
        assert len(column.about.split()) > 2, column.name
        assert column.type in (Type.NUMBER, Type.MONEY, Type.TEXT), column.name
    told(spark, [{}], *FACTS)


def test_only_what_never_falls_is_called_so() -> None:
    falling = {name for name, column in FACTS.items() if not column.is_lifetime}
    assert {name for name in FACTS if "_days_" in name or name.startswith("days_")} <= falling
    assert all(name.endswith(("_count", "_minor", "_ms", "_minutes", "active_days")) for name in FACTS.keys() - falling)
