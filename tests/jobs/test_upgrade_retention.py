"""mart.upgrade_retention: who is compared, and a DuckDB query that says the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from random import Random

import duckdb
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import Row as Told
from pyspark.sql import functions as F

from jobs import upgrade_retention
from schemas.mart import CUSTOMER_PROFILE
from schemas.table import lint
from schemas.upgrade import GROUPS, METHODS, TABLES, UPGRADE_RETENTION
from tests.jobs.rows import Row, cells, table_frame
from tests.oracle.upgrade import nine_rows

NIGHT = date(2026, 7, 31)
CLOSE_AFTER = 7
FIRST_TO = date(2026, 3, 27)  # 119 + 7 days before the night
FIRST_FROM = date(2026, 1, 27)  # the first of the 60 dates that end there
OTHERS = ("bill", "merchant", "marketplace", "wallet")
Nine = dict[tuple[str, str], Told]


def signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word


def customer(*, first: date = FIRST_TO, active: Iterable[int] = (0,), **paid: int | None) -> Row:
    """A profile as of the night; active days and first payments by family are days after `first`."""
    positions = [(NIGHT - first).days - n for n in active]
    mask = sum(1 << position for position in positions if 0 <= position < 128)
    return {
        "first_date": first,
        "first_days": sum(1 << n for n in active if n < 63) or None,
        "any_days_0_63": signed(mask & (2**64 - 1)) or None,
        "any_days_64_127": signed(mask >> 64) or None,
        **{f"first_{family}_date": first + timedelta(days=n) for family, n in paid.items() if n is not None},
    }


def people(kind: str, retained: int, customers: int, *, active_days: int = 1) -> list[Row]:
    """Customers who stayed or upgraded on day 0, by each method; of them so many retained."""
    early = range(active_days)
    paid = {"recharge": 0, **({"transfer": 0} if kind == "upgraded" else {})}
    came, gone = customer(active=[*early, 100], **paid), customer(active=early, **paid)
    return [came] * retained + [gone] * (customers - retained)


def profiles(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    return table_frame(
        spark, CUSTOMER_PROFILE, [{"as_of_date": NIGHT, "customer_id": n, **row} for n, row in enumerate(rows)]
    )


def nine(spark: SparkSession, rows: Sequence[Row], *, close_after: int = CLOSE_AFTER) -> Nine:
    """The rows by method and group: always the same nine, and nobody looked at is lost or counted twice."""
    frame = upgrade_retention.transform(profiles(spark, rows), close_after=close_after, days=[NIGHT])
    found = frame.collect()
    told = {(row["method"], row["grp"]): row for row in found}
    assert len(found) == len(told) == 9
    last = NIGHT - timedelta(days=119 + close_after)
    looked_at = sum(last - timedelta(days=60) < row["first_date"] <= last for row in rows if row["first_date"])
    for method in METHODS:
        stayed, upgraded, out = counts(told, method)
        assert stayed + upgraded + out == looked_at
        assert {told[method, grp]["customers_out"] for grp in GROUPS} == {out}
        difference = told[method, "difference"]
        assert (difference["customers"], difference["retained"]) == (stayed + upgraded, None)
    return told


def counts(told: Nine, method: str) -> tuple[int, int, int]:
    """Customers who stayed, who upgraded, and who are out."""
    stayed, upgraded = told[method, "stayed"], told[method, "upgraded"]
    return stayed["customers"], upgraded["customers"], stayed["customers_out"]


def shares(told: Nine, method: str, grp: str) -> tuple[str, ...]:
    return tuple(str(told[method, grp][name]) for name in ("rate", "low", "high"))


def test_the_table_keeps_the_house_rules() -> None:
    assert lint(TABLES) == []


# ---- who is compared

# By group on day 30 and on day 119: customers by their first payments, as days after the first date.
PLACED: dict[tuple[str, str], dict[str, dict[str, int]]] = {
    ("stayed", "stayed"): {
        "a recharge and nothing else": {"recharge": 0},
        "the first recharge on day 30": {"recharge": 30},
        "a transfer after day 119 is not looked at": {"recharge": 0, "transfer": 120},
        "neither is a bill": {"recharge": 0, "bill": 120},
    },
    ("stayed", "upgraded"): {
        "a transfer after day 30 is not known at the landmark": {"recharge": 0, "transfer": 31},
        "a transfer on day 119": {"recharge": 0, "transfer": 119},
    },
    ("stayed", "out"): {
        "a bill after day 30 is not known at the landmark": {"recharge": 0, "bill": 31},
        "a bill on day 119": {"recharge": 0, "bill": 119},
    },
    ("upgraded", "upgraded"): {
        "a transfer on day 30": {"recharge": 0, "transfer": 30},
        "who sends money need not have recharged": {"transfer": 0},
        "and may pay for other things": {"transfer": 9, "bill": 3},
    },
    ("out", "stayed"): {
        "a first recharge after day 30 is too late for the landmark": {"recharge": 31},
        "the first recharge on day 119": {"recharge": 119},
    },
    ("out", "out"): {
        "a first recharge after day 119 is too late": {"recharge": 120},
        "who paid a bill on day 30 did not stay with recharges": {"recharge": 0, "bill": 30},
        **{f"who paid for {other} did not either": {"recharge": 0, other: 5} for other in OTHERS},
        "a bill and no recharge": {"bill": 0},
        "the app alone": {},
    },
}


@pytest.mark.parametrize(("landmark", "naive"), PLACED)
def test_first_payments_decide_about_the_group(spark: SparkSession, landmark: str, naive: str) -> None:
    placed = [customer(**paid) for paid in PLACED[landmark, naive].values()]
    told = nine(spark, placed)
    for method, place in (("landmark", landmark), ("naive", naive)):
        assert counts(told, method)[("stayed", "upgraded", "out").index(place)] == len(placed)


def test_sixty_first_dates_are_looked_at(spark: SparkSession) -> None:
    days = (FIRST_FROM - timedelta(days=1), FIRST_FROM, FIRST_TO, FIRST_TO + timedelta(days=1))
    told = nine(spark, [*(customer(first=day, recharge=0) for day in days), {"first_date": None}])
    assert counts(told, "naive") == (2, 0, 0)
    assert {(row["first_from"], row["first_to"]) for row in told.values()} == {(FIRST_FROM, FIRST_TO)}
    assert {row["as_of_date"] for row in told.values()} == {NIGHT}
    assert [told[method, "stayed"]["landmark_day"] for method in METHODS] == [119, 30, 30]


@pytest.mark.parametrize("close_after", [0, 7, 39])  # 0 and 39: the mask's first and last bit
def test_retained_is_who_was_active_in_days_90_to_119(spark: SparkSession, close_after: int) -> None:
    last = NIGHT - timedelta(days=119 + close_after)
    firsts = (last - timedelta(days=59), last)
    gone = [customer(first=first, active=(0, day), recharge=0) for first in firsts for day in (89, 120)]
    came = [customer(first=first, active=(0, day), transfer=0) for first in firsts for day in (90, 119)]
    told = nine(spark, [*gone, *came], close_after=close_after)
    for method in ("naive", "landmark"):
        stayed, upgraded = told[method, "stayed"], told[method, "upgraded"]
        assert (stayed["customers"], stayed["retained"]) == (4, 0)
        assert (upgraded["customers"], upgraded["retained"]) == (4, 4)


@pytest.mark.parametrize(
    ("active", "is_matched"),
    [
        ((0, 5), True),  # as many days as who stayed, though others
        ((0, 30), True),  # day 30 counts
        ((0, 31), False),  # day 31 does not
        ((0,), False),
    ],
)
def test_matched_are_equally_active_up_to_day_30(spark: SparkSession, active: Sequence[int], is_matched: bool) -> None:
    told = nine(spark, [customer(active=(0, 12, 40), recharge=0), customer(active=active, recharge=0, transfer=20)])
    assert counts(told, "matched") == ((1, 1, 0) if is_matched else (0, 0, 2))
    assert counts(told, "landmark") == (1, 1, 0)


def test_a_first_date_told_too_late_to_have_a_bit_is_a_day_of_no_activity(spark: SparkSession) -> None:
    told = nine(spark, [{**customer(recharge=0), "first_days": None}, customer(active=(31,), transfer=3)])
    assert counts(told, "matched") == (1, 1, 0)


def test_strata_without_both_groups_are_dropped_and_counted(spark: SparkSession) -> None:
    rows = [
        *people("stayed", 1, 4),
        *people("upgraded", 1, 2),
        *people("stayed", 3, 3, active_days=2),
        *people("upgraded", 5, 5, active_days=3),
        customer(),
    ]
    told = nine(spark, rows)
    assert counts(told, "landmark") == (7, 7, 1)
    assert counts(told, "matched") == (4, 2, 9)
    assert [told["matched", grp]["retained"] for grp in GROUPS] == [None, 1, None]
    assert [str(told["matched", grp]["rate"]) for grp in GROUPS] == ["0.250000", "0.500000", "0.250000"]


# ---- no customers


def test_without_customers_there_are_nine_rows_without_rates(spark: SparkSession) -> None:
    for rows in ([], [customer()]):
        told = nine(spark, rows)
        assert {(row["customers"], row["rate"], row["low"], row["high"]) for row in told.values()} == {
            (0, None, None, None)
        }
        assert {row["customers_out"] for row in told.values()} == {len(rows)}
        assert [told[method, "upgraded"]["retained"] for method in METHODS] == [0, 0, 0]


@pytest.mark.parametrize(("there", "missing"), [("stayed", "upgraded"), ("upgraded", "stayed")])
def test_with_one_group_empty_there_is_no_difference(spark: SparkSession, there: str, missing: str) -> None:
    told = nine(spark, people(there, 1, 2))
    for method in ("naive", "landmark"):
        assert shares(told, method, there)[0] == "0.500000"
        assert shares(told, method, missing) == shares(told, method, "difference") == ("None",) * 3
    assert {shares(told, "matched", grp) for grp in GROUPS} == {("None",) * 3}
    assert counts(told, "matched") == (0, 0, 2)


# ---- hand-made numbers


def test_the_example_of_the_documentation(spark: SparkSession) -> None:
    # Weights 20/80 and 60/80. Stayed: 0.25 x 0.3 + 0.75 x 0.6 = 0.525, of variance 0.25² x 0.3 x 0.7 / 80
    # + 0.75² x 0.6 x 0.4 / 20 = 0.0069140625. Upgraded: 50/80 = 0.625, of variance 0.25² x 0.4 x 0.6 / 20
    # + 0.75² x 0.7 x 0.3 / 60 = 0.00271875. Difference: 0.1, reaching 1.959964 x sqrt(0.0096328125) = 0.192364.
    rows = [
        *people("stayed", 24, 80, active_days=3),
        *people("upgraded", 8, 20, active_days=3),
        *people("stayed", 12, 20, active_days=10),
        *people("upgraded", 42, 60, active_days=10),
    ]
    told = nine(spark, rows)
    assert shares(told, "landmark", "stayed")[0] == "0.360000"
    assert shares(told, "landmark", "upgraded")[0] == "0.625000"
    assert shares(told, "landmark", "difference") == ("0.265000", "0.118277", "0.396281")
    assert shares(told, "matched", "stayed") == ("0.525000", "0.362027", "0.687973")
    assert shares(told, "matched", "upgraded") == shares(told, "landmark", "upgraded")
    assert shares(told, "matched", "difference") == ("0.100000", "-0.092364", "0.292364")


def test_matched_intervals_end_where_shares_do(spark: SparkSession) -> None:
    # 0.8 reaches 1.959964 x sqrt(2 x 0.9 x 0.1 / 10) = 0.262957 beyond, 0.1 and 0.9 reach 0.185939.
    told = nine(spark, [*people("stayed", 1, 10), *people("upgraded", 9, 10)])
    assert shares(told, "matched", "stayed") == ("0.100000", "0.000000", "0.285939")
    assert shares(told, "matched", "difference") == ("0.800000", "0.537043", "1.000000")
    told = nine(spark, [*people("stayed", 9, 10), *people("upgraded", 1, 10)])
    assert shares(told, "matched", "stayed") == ("0.900000", "0.714061", "1.000000")
    assert shares(told, "matched", "difference") == ("-0.800000", "-1.000000", "-0.537043")


# ---- many


def made_up(seed: int, customers: int) -> list[Row]:
    """Customers of 91 first dates, in and around the window; the more active send money more often."""
    random = Random(seed)

    def one() -> Row:
        first = FIRST_TO - timedelta(days=random.randint(-15, 75))
        lasts = min(random.choice((2, 10, 60, 130)), (NIGHT - first).days + 1)
        share = random.choice((0.05, 0.1, 0.3))
        active = [n for n in range(lasts) if n == 0 or random.random() < share]

        def some(chance: float) -> int | None:
            return random.choice((*active, 30, 31, 119, 120)) if random.random() < chance else None

        paid = {"recharge": some(0.9), "transfer": some(0.2 + share), **{other: some(0.06) for other in OTHERS}}
        return customer(first=first, active=active, **paid)

    return [one() for _ in range(customers)]


@pytest.mark.parametrize(("seed", "close_after"), [(1, 7), (2, 0), (3, 39)])
def test_duckdb_has_the_same_nine_rows(spark: SparkSession, seed: int, close_after: int) -> None:
    frame = profiles(spark, made_up(seed, 600))
    found = upgrade_retention.transform(frame, close_after=close_after, days=[NIGHT]).orderBy("method", "grp")
    with duckdb.connect() as database:
        database.register("profiles", frame.toArrow())
        expected = nine_rows(database, "profiles", as_of=NIGHT, close_after=close_after)
    rows = [tuple(row) for row in found.collect()]
    assert rows == expected
    customers = {(row["method"], row["grp"]): row["customers"] for row in found.collect()}
    assert min(customers.values()) > 30
    assert customers["matched", "difference"] < customers["landmark", "difference"]  # some strata are dropped


def test_the_order_of_the_rows_does_not_matter(spark: SparkSession) -> None:
    rows = made_up(4, 300)
    told = nine(spark, rows)
    Random(5).shuffle(rows)
    for parts in (1, 7):
        spread = profiles(spark, rows).repartition(parts)
        again = upgrade_retention.transform(spread, close_after=CLOSE_AFTER, days=[NIGHT]).collect()
        assert {(row["method"], row["grp"]): row for row in again} == told


def test_the_frame_is_as_declared(spark: SparkSession) -> None:
    frame = upgrade_retention.transform(profiles(spark, []), close_after=CLOSE_AFTER, days=[NIGHT])
    assert frame.dtypes == [(column.name, column.type) for column in UPGRADE_RETENTION.columns]


def test_days_at_once_are_the_days_one_by_one(spark: SparkSession) -> None:
    days = [NIGHT - timedelta(days=31), NIGHT]
    rows = [*people("stayed", 2, 5), *people("upgraded", 3, 4)]
    # The day before a month sees other first dates, and none of these customers.
    frame = profiles(spark, rows).unionByName(profiles(spark, rows[:3]).withColumn("as_of_date", F.lit(days[0])))
    one_by_one = [
        row
        for day in days
        for row in cells(
            upgrade_retention.transform(
                frame.where(F.col("as_of_date") == F.lit(day)), close_after=CLOSE_AFTER, days=[day]
            )
        )
    ]
    at_once = upgrade_retention.transform(frame, close_after=CLOSE_AFTER, days=days)
    assert cells(at_once) == sorted(one_by_one, key=str)
    assert at_once.count() == 18
