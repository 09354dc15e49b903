"""Independent work side by side: results in order, a limit, and a clean end when one of them fails."""

from __future__ import annotations

import io
import threading
from functools import partial

import pytest
from pyspark.sql import SparkSession

from jobs.errors import DataRefused
from jobs.progress import Lines
from jobs.side_by_side import side_by_side


def test_results_come_in_the_order_of_the_work(spark: SparkSession):
    second_is_done = threading.Event()

    def first() -> str:
        assert second_is_done.wait(10)
        return "first"

    def second() -> str:
        second_is_done.set()
        return "second"

    assert side_by_side(spark, [first, second], 2) == ["first", "second"]


def test_no_more_are_under_way_than_allowed(spark: SparkSession):
    under_way, most = 0, 0
    lock, both = threading.Lock(), threading.Barrier(2)

    def work() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        both.wait(10)  # Breaks, and fails the test, if only one is ever under way.
        with lock:
            under_way -= 1

    side_by_side(spark, [work] * 6, 2)
    assert most == 2


def test_each_has_a_turn_at_the_cores_of_its_own(spark: SparkSession):
    """Else the one task of a small question waits for all the tasks of what was asked before it."""
    both = threading.Barrier(2)

    def pool() -> str | None:
        both.wait(10)
        return spark.sparkContext.getLocalProperty("spark.scheduler.pool")

    assert spark.conf.get("spark.scheduler.mode") == "FAIR"
    assert len({*side_by_side(spark, [pool, pool], 2), None}) == 3
    assert spark.sparkContext.getLocalProperty("spark.scheduler.pool") is None


def test_after_an_error_nothing_new_begins_and_what_is_under_way_ends(spark: SparkSession):
    done: list[str] = []
    is_under_way, has_failed = threading.Event(), threading.Event()

    def fail() -> None:
        assert is_under_way.wait(10)
        has_failed.set()
        raise ValueError("the first")

    def go_on() -> None:
        is_under_way.set()
        assert has_failed.wait(10)
        threading.Event().wait(0.2)
        done.append("under way")

    def never() -> None:
        done.append("begun after the error")

    with pytest.raises(ValueError, match="the first"):
        side_by_side(spark, [fail, go_on, never], 2)
    assert done == ["under way"]


def test_what_two_refuse_is_said_by_one_error(spark: SparkSession):
    both = threading.Barrier(2)

    def refuse(why: str) -> None:
        both.wait(10)
        raise DataRefused(why)

    with pytest.raises(DataRefused, match="a lacks a row\nb has one too many"):
        side_by_side(spark, [partial(refuse, "a lacks a row"), partial(refuse, "b has one too many")], 2)


def test_one_at_a_time_stops_at_the_first_error(spark: SparkSession):
    done: list[str] = []

    def fail() -> None:
        raise ValueError("the first")

    with pytest.raises(ValueError, match="the first"):
        side_by_side(spark, [fail, lambda: done.append("begun after the error")], 1)
    assert done == []


def test_steps_within_are_told_below_the_step_around_them(spark: SparkSession):
    told = io.StringIO()
    progress = Lines(told)

    def work(name: str) -> None:
        with progress.step(name):
            pass

    with progress.step("all of them"):
        side_by_side(spark, [partial(work, name) for name in ("one", "two")], 2)
    lines = sorted(line[10:].partition(" …")[0] for line in told.getvalue().splitlines())
    assert lines == ["  one", "  two", "all of them"]


def test_spark_answers_from_each_of_them(spark: SparkSession):
    assert side_by_side(spark, [spark.range(n).count for n in range(4)], 2) == [0, 1, 2, 3]
