"""The customer score: limits against a plain Python count, marks written out, and what happens without a fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

import conf
from jobs.engines.base import Engine, learns, reads_profile_only
from jobs.engines.customer_score import LIMITS, CustomerScore
from jobs.frames import local_frame
from schemas.judgement import ENGINE_MODELS
from schemas.mart import CUSTOMER_PROFILE
from tests.jobs.rows import NIGHT, Row, table_frame

ENGINE: Engine = CustomerScore(conf.load(environ={}))
# Days, dates, whole rupees.
LEARNT = {
    "recency": (1, 7, 30, 90),
    "frequency": (0, 2, 5, 10),
    "monetary": (50, 100, 500, 1000),
}


def paid(customer: str = "anna", *, ago: int = 0, dates: int = 1, times: int = 1, minor: int = 10_000) -> Row:
    """A profile of one who last paid `ago` days before the night, and on `dates` of the last 90 dates."""
    return {
        "customer_id": customer,
        "first_transacting_date": date(2025, 1, 1),
        "last_transacting_date": NIGHT - timedelta(days=ago),
        "transacting_count": times,
        "transacting_amount_minor": minor,
        "transacting_days_0_63": (1 << dates) - 1 or None,
    }


def profile(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    return table_frame(spark, CUSTOMER_PROFILE, rows, {"as_of_date": NIGHT})


def models(spark: SparkSession, limits: Mapping[str, int]) -> DataFrame:
    """mart.engine_models as the runner gives it: the rows of the newest fit."""
    names = ("as_of_date", "engine", "version", "data_from", "fitted_through", "parameter", "value")
    assert names == ENGINE_MODELS.column_names
    rows = [
        (NIGHT, ENGINE.name, ENGINE.version, date(2025, 1, 1), NIGHT, parameter, Decimal(value))
        for parameter, value in limits.items()
    ]
    return local_frame(spark, rows, ENGINE_MODELS.ddl(nullable=True))


def learnt() -> dict[str, int]:
    return {
        f"{measure}_{share}": limit
        for measure, limits in LEARNT.items()
        for share, limit in zip((20, 40, 60, 80), limits, strict=True)
    }


def fitted(frame: DataFrame) -> dict[str, Decimal]:
    rows = ENGINE.fit({CUSTOMER_PROFILE.name: frame}, NIGHT)
    assert rows is not None
    assert rows.dtypes == [("data_from", "date"), ("parameter", "string"), ("value", "decimal(18,9)")]
    return {row["parameter"]: row["value"] for row in rows.collect()}


def scored(frame: DataFrame, limits: DataFrame) -> dict[str, Any]:
    rows = ENGINE.score({CUSTOMER_PROFILE.name: frame, ENGINE_MODELS.name: limits}, NIGHT)
    assert dict(rows.dtypes)["score"] == "bigint"
    return {
        row["customer_id"]: (row["score"], row["band"], json.loads(row["values"]), row["reasons"])
        for row in rows.collect()
    }


def marks(told: Any) -> tuple[int, int, int]:
    return told[2]["recency"], told[2]["frequency"], told[2]["monetary"]


# ---- what it says it is


def test_it_learns_and_needs_no_night_before() -> None:
    assert learns(ENGINE)
    assert reads_profile_only(ENGINE)
    assert len(LIMITS) == 12


# ---- limits


def test_a_limit_is_the_least_value_that_its_share_does_not_exceed(spark: SparkSession) -> None:
    # Of ten customers the second, the fourth, the sixth and the eighth have it, and no value lies between two of them.
    rows = [paid(f"c{n}", ago=n * n, dates=n // 4, minor=n * 10_000) for n in range(1, 11)]
    limits = fitted(profile(spark, rows))
    assert len(limits) == 12
    assert [limits[f"recency_{share}"] for share in (20, 40, 60, 80)] == [4, 16, 36, 64]
    assert [limits[f"frequency_{share}"] for share in (20, 40, 60, 80)] == [0, 1, 1, 2]
    assert [limits[f"monetary_{share}"] for share in (20, 40, 60, 80)] == [200, 400, 600, 800]


def test_dates_of_the_last_90_count(spark: SparkSession) -> None:
    # Bits of today, of 63, 64 and 89 days ago, and of 90, which is too long ago.
    first = 1 - (1 << 63)
    row = {**paid(), "transacting_days_0_63": first, "transacting_days_64_127": 1 | 1 << 25 | 1 << 26}
    assert fitted(profile(spark, [row]))["frequency_80"] == 4


def test_data_begins_with_the_first_date_that_anybody_paid(spark: SparkSession) -> None:
    rows = [paid("anna"), {**paid("bela"), "first_transacting_date": "2024-03-05"}, {"customer_id": "cleo"}]
    fit = ENGINE.fit({CUSTOMER_PROFILE.name: profile(spark, rows)}, NIGHT)
    assert fit is not None
    assert {row["data_from"] for row in fit.collect()} == {date(2024, 3, 5)}


def test_money_is_cut_to_three_digits_of_whole_rupees(spark: SparkSession) -> None:
    rows = [
        paid("less than a rupee", minor=99),
        paid("three payments of 33.33", times=3, minor=10_000),
        paid("123.45", minor=12_345),
        paid("1,234.99", minor=123_499),
        paid("more than a model's value holds", minor=10**15),
    ]
    limits = fitted(profile(spark, rows))
    assert [limits[f"monetary_{share}"] for share in (20, 40, 60, 80)] == [0, 33, 123, 1230]
    assert fitted(profile(spark, rows[4:]))["monetary_20"] == 999_000_000


def test_nobody_who_paid_is_nothing_learnt(spark: SparkSession) -> None:
    assert fitted(profile(spark, [{"customer_id": "anna"}])) == {}


def some_customers(seed: int, count: int = 97) -> list[Row]:
    chance = Random(seed)
    return [
        paid(
            f"c{n}",
            ago=chance.randrange(400),
            dates=chance.randint(0, 40),
            times=chance.randint(1, 9),
            minor=chance.randrange(10 ** chance.randint(3, 9)),
        )
        for n in range(count)
    ]


def test_limits_are_those_of_a_plain_count_whatever_the_partitions(spark: SparkSession) -> None:
    rows = some_customers(3)
    values = {
        "recency": sorted((NIGHT - row["last_transacting_date"]).days for row in rows),
        "frequency": sorted((row["transacting_days_0_63"] or 0).bit_count() for row in rows),
        "monetary": sorted(cut(row["transacting_amount_minor"] // row["transacting_count"] // 100) for row in rows),
    }
    expected = {
        f"{measure}_{share}": Decimal(ordered[-(-len(rows) * share // 100) - 1])
        for measure, ordered in values.items()
        for share in (20, 40, 60, 80)
    }
    assert fitted(profile(spark, rows)) == expected
    assert fitted(profile(spark, Random(4).sample(rows, len(rows))).repartition(6)) == expected


def cut(amount: int) -> int:
    text = str(amount)
    return int(text[:3] + "0" * (len(text) - 3))


# ---- scores


def test_the_best_and_the_worst(spark: SparkSession) -> None:
    rows = [
        paid("anna", ago=0, dates=12, times=2, minor=400_000),
        paid("bela", ago=91, dates=0, times=3, minor=300),
        {"customer_id": "cleo", "failed_count": 3},  # never paid: nothing is said of her
    ]
    found = scored(profile(spark, rows), models(spark, learnt()))
    assert set(found) == {"anna", "bela"}
    assert (found["anna"][:2], found["bela"][:2]) == ((1000, "best"), (0, "worst"))
    assert found["anna"][2:] == (
        {
            "average_payment_minor": 200_000,
            "days_since_transacting": 0,
            "frequency": 5,
            "monetary": 5,
            "recency": 5,
            "transacting_days_90": 12,
        },
        [],
    )
    assert list(found["anna"][2]) == sorted(found["anna"][2])


def test_who_is_on_a_limit_is_below_it(spark: SparkSession) -> None:
    on = {name: limits[1] for name, limits in LEARNT.items()}
    rows = [
        paid("on", ago=on["recency"], dates=on["frequency"], minor=on["monetary"] * 100),
        paid("over", ago=on["recency"] + 1, dates=on["frequency"] + 1, minor=(on["monetary"] + 1) * 100),
    ]
    found = scored(profile(spark, rows), models(spark, learnt()))
    assert marks(found["on"]) == (4, 2, 2)
    assert marks(found["over"]) == (3, 3, 3)


def test_all_thirteen_scores_and_their_bands(spark: SparkSession) -> None:
    # Marks 1 to 5: the days, dates and rupees that earn them by the limits learnt.
    days, dates, rupees = (91, 90, 30, 7, 1), (0, 2, 5, 10, 11), (50, 100, 500, 1000, 1010)
    rows = [
        paid(f"above_{n}", ago=days[n // 3], dates=dates[(n + 1) // 3], minor=rupees[(n + 2) // 3] * 100)
        for n in range(13)
    ]
    found = scored(profile(spark, rows), models(spark, learnt()))
    assert [sum(marks(found[f"above_{n}"])) - 3 for n in range(13)] == list(range(13))
    assert [found[f"above_{n}"][:2] for n in range(13)] == [
        (0, "worst"),
        (83, "worst"),
        (167, "worst"),  # 166.67
        (250, "weak"),
        (333, "weak"),
        (417, "middle"),
        (500, "middle"),
        (583, "middle"),
        (667, "good"),
        (750, "good"),
        (833, "best"),
        (917, "best"),
        (1000, "best"),
    ]


def test_neither_order_nor_partitions_nor_other_customers_matter(spark: SparkSession) -> None:
    rows, limits = some_customers(5), models(spark, learnt())
    whole = scored(profile(spark, rows), limits)
    assert len({told[0] for told in whole.values()}) > 5
    assert scored(profile(spark, Random(6).sample(rows, len(rows))).repartition(5), limits) == whole
    half = rows[::2]
    assert scored(profile(spark, half), limits) == {
        str(row["customer_id"]): whole[str(row["customer_id"])] for row in half
    }


def test_by_its_own_limits_a_fifth_has_each_mark(spark: SparkSession) -> None:
    rows = [paid(f"c{n}", ago=n, dates=1, minor=(n + 1) * 10_000) for n in range(50)]
    frame = profile(spark, rows)
    limits = models(spark, {parameter: int(value) for parameter, value in fitted(frame).items()})
    found = scored(frame, limits)
    for place in (0, 2):
        counted = [sum(marks(told)[place] == mark for told in found.values()) for mark in range(1, 6)]
        assert counted == [10] * 5


@pytest.mark.parametrize("missing", [set(LIMITS), {"monetary_80"}])
def test_without_a_whole_fit_nobody_is_scored(spark: SparkSession, missing: set[str]) -> None:
    limits = models(spark, {name: value for name, value in learnt().items() if name not in missing})
    assert scored(profile(spark, [paid()]), limits) == {}
