"""What the runner asks of an engine: each way to break the contract is named, and what hangs is given up."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import conf
from jobs.engines import checking
from jobs.engines.base import Engine
from jobs.engines.checking import TimedOut, faults, within
from jobs.engines.customer_score import CustomerScore
from jobs.engines.risk import RiskEngine
from jobs.errors import Failed
from jobs.frames import local_frame
from jobs.side_by_side import side_by_side
from schemas.judgement import ENGINE_MODELS
from schemas.mart import CUSTOMER_PROFILE
from tests.jobs.rows import NIGHT, table_frame

SETTINGS = conf.load(environ={})
CUSTOMERS = 40
SLEEP = "reflect('java.lang.Thread', 'sleep', 120 * 1000L)"
# What the jobs of a thread are known by.
GROUP = ("spark.jobGroup.id", "spark.job.description", "spark.job.interruptOnCancel")
RIGHT = {
    "score": "cast(transacting_count * 10 as bigint)",
    "band": "if(transacting_count > 50, 'much', 'little')",
    "values": "concat('{\"payments\":', transacting_count, '}')",
    "reasons": "cast(array() as array<string>)",
}


class Counting:
    """Somebody's engine that keeps its contract, but for the columns that it is made with."""

    name = "counting"
    version = "1"
    prefix = "counting"
    bands: tuple[str, ...] = ("little", "much")
    reads: tuple[str, ...] = (CUSTOMER_PROFILE.name,)

    def __init__(self, change: Callable[[DataFrame], DataFrame] = lambda rows: rows, **columns: str) -> None:
        self._columns = [f"{sql} as {name}" for name, sql in {**RIGHT, **columns}.items() if name != "customer_id"]
        self._customer_id = columns.get("customer_id", "customer_id")
        self._change = change

    def fit(self, frames: Mapping[str, DataFrame], through: date) -> None:
        """Nothing."""

    def score(self, frames: Mapping[str, DataFrame], as_of: date) -> DataFrame:
        rows = frames[CUSTOMER_PROFILE.name].selectExpr(f"{self._customer_id} as customer_id", *self._columns)
        return self._change(rows)


@pytest.fixture(scope="module")
def profile(spark: SparkSession) -> DataFrame:
    rows = [{"customer_id": f"c{n}", "transacting_count": n} for n in range(CUSTOMERS)]
    return table_frame(spark, CUSTOMER_PROFILE, rows, {"as_of_date": NIGHT}).localCheckpoint()


def said(engine: Engine, profile: DataFrame) -> list[str]:
    """As the runner asks: of the rows as they were written."""
    frames = {CUSTOMER_PROFILE.name: profile}
    return faults(engine, engine.score(frames, NIGHT).localCheckpoint(), frames, NIGHT)


def one(*customers: int, otherwise: str, then: str) -> str:
    names = ", ".join(f"'c{n}'" for n in customers)
    return f"if(customer_id in ({names}), {then}, {otherwise})"


# ---- the contract


def test_an_engine_that_keeps_the_contract_has_no_faults(profile: DataFrame) -> None:
    assert said(Counting(), profile) == []


def test_customers_may_be_left_out(profile: DataFrame) -> None:
    assert said(Counting(lambda rows: rows.where("score > 100")), profile) == []
    assert said(Counting(lambda rows: rows.where("false")), profile) == []


BAD: dict[str, tuple[Engine, str]] = {
    "a score outside": (
        Counting(score=one(3, 4, then="1001L", otherwise="5L")),
        "rows with a score outside 0 to 1000: 2.",
    ),
    "a score below 0": (Counting(score=one(3, then="-1L", otherwise="5L")), "rows with a score outside 0 to 1000: 1."),
    "no score": (Counting(score=one(3, then="null", otherwise="5L")), "rows without score: 1."),
    "no band": (Counting(band=one(3, then="null", otherwise="'much'")), "rows without band: 1."),
    "a band not its own": (
        Counting(band=one(3, 5, 8, then="'huge'", otherwise="'much'")),
        "rows with a band other than little, much: 3.",
    ),
    "no reasons": (
        Counting(reasons=one(3, then="null", otherwise="array('a')")),
        "rows without reasons, or with null among them: 1.",
    ),
    "null among the reasons": (
        Counting(reasons=one(3, then="array('a', null)", otherwise="array('a')")),
        "rows without reasons, or with null among them: 1.",
    ),
    "strangers": (
        Counting(lambda rows: rows.unionByName(rows.limit(1).withColumn("customer_id", F.lit("stranger")))),
        "scored customers who are not in mart.customer_profile: 1.",
    ),
    "a customer twice": (
        Counting(lambda rows: rows.unionByName(rows.where("customer_id = 'c3'"))),
        "customers scored more than once: 1.",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_breaks_the_contract_is_said_with_a_count(profile: DataFrame, bad: str) -> None:
    engine, sentence = BAD[bad]
    told = said(engine, profile)
    assert f"The engine counting has {sentence}" in told
    assert not any("c3" in each for each in told)
    # Nothing else is wrong with it; but who adds a stranger says it of the sample's rows as well.
    assert [each for each in told if "scored without the others" not in each] == [f"The engine counting has {sentence}"]


def test_without_customer_id_a_row_is_nobodys(profile: DataFrame) -> None:
    engine = Counting(customer_id="if(transacting_count < 2, null, customer_id)")
    assert "The engine counting has rows without customer_id: 2." in said(engine, profile)


LOOKS_ASIDE: dict[str, Engine] = {
    "chance": Counting(score="cast(rand() * 1000 as bigint)"),
    "chance of a seed": Counting(score="cast(rand(7) * 1000 as bigint)"),
    "chance in what it says": Counting(values="cast(rand() as string)"),
    "the place of a row": Counting(score="monotonically_increasing_id() % 1000"),
    "how many there are": Counting(score="count(*) over ()"),
    "the rank among all": Counting(score="cast(percent_rank() over (order by transacting_count) * 1000 as bigint)"),
    "the mean": Counting(band="if(transacting_count > avg(transacting_count) over (), 'much', 'little')"),
    "who is there": Counting(lambda rows: rows.limit(10)),
}


@pytest.mark.parametrize("aside", LOOKS_ASIDE)
def test_chance_and_looking_at_others_are_found_by_scoring_a_sample_alone(profile: DataFrame, aside: str) -> None:
    [told] = said(LOOKS_ASIDE[aside], profile)
    assert told.startswith(
        "The engine counting has customers told something else when one in 2 is scored without the others "
        "(by chance, or by looking at other rows): "
    )


def test_other_tables_are_sampled_by_customer_and_else_left_whole(
    spark: SparkSession, profile: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checking, "ONE_IN_AT_LEAST", 4)  # at one in 2 the hash of null would be in by itself
    given: list[Mapping[str, DataFrame]] = []

    class Reading(Counting):
        reads = (CUSTOMER_PROFILE.name, "core.bills", "core.app_events", ENGINE_MODELS.name)

        def score(self, frames: Mapping[str, DataFrame], as_of: date) -> DataFrame:
            given.append(frames)
            return super().score(frames, as_of)

    bills = profile.select("customer_id", F.lit("b").alias("bill_id"))
    events = local_frame(spark, [("c3",), (None,)], "customer_id string")
    models = local_frame(spark, [("a",), ("b",)], "parameter string")
    frames = {
        CUSTOMER_PROFILE.name: profile,
        "core.bills": bills,
        "core.app_events": events,
        ENGINE_MODELS.name: models,
        "core.devices": bills,
    }
    engine = Reading()
    assert faults(engine, engine.score(frames, NIGHT), frames, NIGHT) == []
    alone = given[-1]
    assert set(alone) == set(engine.reads)
    customers, billed = (
        {row["customer_id"] for row in alone[name].collect()} for name in (CUSTOMER_PROFILE.name, "core.bills")
    )
    assert 0 < len(customers) < CUSTOMERS
    assert billed == customers
    assert None in {row["customer_id"] for row in alone["core.app_events"].collect()}
    assert alone[ENGINE_MODELS.name].count() == 2


def test_of_many_customers_about_a_thousand_are_scored_again(
    profile: DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    ones_in: list[int] = []
    monkeypatch.setattr(checking, "_told_otherwise", lambda *args: ones_in.append(args[-1]) or 0)
    for customers in (0, 40, 5_000, 1_000_000, 200_000_000):
        monkeypatch.setattr(checking, "_figures", lambda *_, n=customers: {checking.CUSTOMERS: n})
        assert said(Counting(), profile) == []
    assert ones_in == [2, 2, 5, 1000, 1000]


def test_our_own_engines_keep_the_contract(spark: SparkSession) -> None:
    rows = [
        {
            "customer_id": f"c{n}",
            "first_transacting_date": "2025-01-01" if n % 3 else None,
            "last_transacting_date": f"2026-01-{1 + n % 31:02}" if n % 3 else None,
            "transacting_count": n % 3 * 4 or None,
            "transacting_amount_minor": n * n * 1000 or None,
            "reversed_count": n % 5 or None,
        }
        for n in range(CUSTOMERS)
    ]
    frames = {CUSTOMER_PROFILE.name: table_frame(spark, CUSTOMER_PROFILE, rows, {"as_of_date": NIGHT})}
    risk, customer_score = RiskEngine(SETTINGS), CustomerScore(SETTINGS)
    assert faults(risk, risk.score(frames, NIGHT), frames, NIGHT) == []
    frames[ENGINE_MODELS.name] = customer_score.fit(frames, NIGHT)
    scored = customer_score.score(frames, NIGHT)
    assert scored.count() == sum(n % 3 > 0 for n in range(CUSTOMERS))
    assert faults(customer_score, scored, frames, NIGHT) == []


def test_our_own_engines_are_made_without_spark() -> None:
    made = (
        "import conf; from pyspark import SparkContext; from jobs.engines.risk import RiskEngine; "
        "from jobs.engines.customer_score import CustomerScore; settings = conf.load(environ={}); "
        "print(RiskEngine(settings).bands, CustomerScore(settings).bands); "
        "assert SparkContext._active_spark_context is None and SparkContext._gateway is None"
    )
    subprocess.run([sys.executable, "-c", made], check=True, capture_output=True, timeout=120)


# ---- time


def sleeping(spark: SparkSession, seconds: int = 120) -> DataFrame:
    """A frame whose one task sleeps."""
    return spark.range(1).selectExpr("id", SLEEP.replace("120", str(seconds)) + " as slept")


def group_of(spark: SparkSession) -> tuple[str | None, ...]:
    return tuple(spark.sparkContext.getLocalProperty(key) for key in GROUP)


@pytest.fixture
def group(spark: SparkSession) -> Iterator[tuple[str | None, ...]]:
    """Of which the jobs of this thread are already."""
    spark.sparkContext.setJobGroup("the night", "of the runner")
    yield group_of(spark)
    for key in GROUP:
        spark.sparkContext._jsc.setLocalProperty(key, None)


def active_jobs(spark: SparkSession) -> list[int]:
    return list(spark.sparkContext.statusTracker().getActiveJobsIds())


def ends_without_jobs(spark: SparkSession) -> bool:
    """Cancelled tasks take a moment to end."""
    return any(not active_jobs(spark) or time.sleep(0.1) for _ in range(100))


def was_cancelled(given_up: BaseException) -> bool:
    """It did not come to its end by itself: then nothing would have been raised in it."""
    return given_up.__cause__ is not None


def test_the_result_of_what_is_in_time_is_given_and_nothing_stays(spark: SparkSession, group: Any) -> None:
    threads = threading.active_count()
    inside: list[Any] = []

    def work() -> int:
        inside.append(group_of(spark))
        return spark.range(5).count()

    assert within(spark, 60, work, name="quick") == 5
    [(id_, *others)] = inside
    assert id_.startswith("quick ")
    assert others == ["quick", "true"]
    assert group_of(spark) == group
    assert threading.active_count() == threads


def test_an_engine_that_hangs_is_given_up(spark: SparkSession, profile: DataFrame, group: Any) -> None:
    threads = threading.active_count()
    sleepy = Counting(values=SLEEP)
    with pytest.raises(TimedOut, match=r"^The engine sleepy: given up after 0\.5 s, ") as given_up:
        within(spark, 0.5, lambda: said(sleepy, profile), name="The engine sleepy")
    assert was_cancelled(given_up.value)
    assert ends_without_jobs(spark)
    assert group_of(spark) == group
    assert threading.active_count() == threads
    assert spark.range(3).count() == 3  # and the thread can go on


def test_so_is_one_of_a_thread_that_the_work_has_begun(spark: SparkSession) -> None:
    hangs = partial(sleeping(spark).collect)
    with pytest.raises(TimedOut):
        within(spark, 0.5, lambda: side_by_side(spark, [hangs, hangs], 2), name="two")
    assert ends_without_jobs(spark)


def test_so_is_one_that_another_needs_first(spark: SparkSession) -> None:
    """What is broadcast is computed by a thread of Spark's own."""
    slow = sleeping(spark)
    with pytest.raises(TimedOut):
        within(spark, 0.5, lambda: spark.range(9).join(F.broadcast(slow), "id").collect(), name="broadcast")
    assert ends_without_jobs(spark)


def test_so_is_one_in_python(spark: SparkSession) -> None:
    sleep = F.udf(lambda _: time.sleep(120), "long")
    with pytest.raises(TimedOut):
        within(spark, 3, lambda: spark.range(1).select(sleep("id")).collect(), name="in Python")
    assert ends_without_jobs(spark)


def test_work_that_is_over_its_time_between_two_jobs_cannot_begin_another(spark: SparkSession) -> None:
    def work() -> None:
        time.sleep(1)
        sleeping(spark).collect()

    with pytest.raises(TimedOut) as given_up:
        within(spark, 0.3, work, name="between")
    assert was_cancelled(given_up.value)


def test_too_late_is_too_late_even_if_it_comes_to_an_end(spark: SparkSession) -> None:
    with pytest.raises(TimedOut) as given_up:
        within(spark, 0.1, lambda: time.sleep(0.5), name="late")
    assert not was_cancelled(given_up.value)


def test_the_error_of_an_engine_that_raises_is_raised_as_it_is(
    spark: SparkSession, profile: DataFrame, group: Any
) -> None:
    raising = Counting(score="raise_error('no such column')")
    with pytest.raises(PySparkException, match="no such column"):
        within(spark, 60, lambda: said(raising, profile), name="raising")
    assert group_of(spark) == group
    assert issubclass(TimedOut, Failed)


def test_jobs_of_other_threads_go_on(spark: SparkSession) -> None:
    def given_up() -> int:
        with pytest.raises(TimedOut):
            within(spark, 0.5, lambda: sleeping(spark).collect(), name="given up")
        return 0

    def goes_on() -> int:
        return len(sleeping(spark, 2).collect())

    assert side_by_side(spark, [goes_on, given_up], 2) == [1, 0]
    assert side_by_side(spark, [lambda: within(spark, 60, goes_on, name="other"), given_up], 2) == [1, 0]
    assert ends_without_jobs(spark)
