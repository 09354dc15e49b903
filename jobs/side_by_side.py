"""Work of a night that does not depend on one another: while one table is planned, another is computed."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Event, current_thread
from typing import Any, TypeVar, cast

from pyspark import inheritable_thread_target
from pyspark.sql import SparkSession

from jobs.errors import DataRefused

Result = TypeVar("Result")


def side_by_side(spark: SparkSession, work: Iterable[Callable[[], Result]], at_once: int) -> list[Result]:
    """What each piece of work returns, in order; at most `at_once` are under way.

    Where one raises, no other is begun and those under way end. The first error in order is raised; where all of them
    refuse data, one that says what each has said.
    """
    pieces = list(work)
    if at_once == 1 or len(pieces) < 2:
        return [piece() for piece in pieces]
    is_over = Event()

    def carry_out(piece: Callable[[], Result]) -> Result | None:
        if is_over.is_set():
            return None
        # Else the many tasks of one table's write would all go before the one of another's small question.
        spark.sparkContext.setLocalProperty("spark.scheduler.pool", current_thread().name)
        try:
            return piece()
        except BaseException:
            is_over.set()
            raise

    def target() -> Callable[..., Any]:
        # Spark's own properties go with a thread; made anew for each piece, or all would share one set of them.
        return inheritable_thread_target(spark)(carry_out)

    with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="table") as pool:
        begun = [pool.submit(contextvars.copy_context().run, target(), piece) for piece in pieces]
        try:
            errors = [error for each in begun if (error := each.exception()) is not None]
        except BaseException:
            is_over.set()
            raise
    if len(errors) > 1 and all(isinstance(error, DataRefused) for error in errors):
        raise DataRefused("\n".join(map(str, errors))) from errors[0]
    for error in errors:
        raise error
    return [cast("Result", each.result()) for each in begun]
