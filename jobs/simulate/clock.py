"""Local wall-clock seconds since 1970-01-01, so that no session time zone can shift a simulated day."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

DAY = 86_400
# The simulated app lives in Asia/Kolkata, which has no summer time.
OFFSET = "+05:30"
AHEAD = 19_800


def day_of(seconds: Column) -> Column:
    """The day number (int) of a wall-clock second."""
    return F.floor(seconds / F.lit(DAY)).cast("int")


def at(day: Column, second: Column) -> Column:
    """The wall-clock second (bigint) of a second of a day."""
    return day.cast("bigint") * F.lit(DAY) + second.cast("bigint")


def date_of(day: Column) -> Column:
    return F.date_from_unix_date(day.cast("int"))


def wall_clock(seconds: Column, between: str = " ") -> Column:
    """Text such as `2026-01-31 10:00:00`."""

    def two(number: Column) -> Column:
        return F.lpad(number.cast("string"), 2, "0")

    second = F.pmod(seconds, F.lit(DAY)).cast("int")
    time = F.concat(
        two(F.floor(second / F.lit(3600))),
        F.lit(":"),
        two(F.floor(second / F.lit(60)) % F.lit(60)),
        F.lit(":"),
        two(second % F.lit(60)),
    )
    return F.concat(date_of(day_of(seconds)).cast("string"), F.lit(between), time)


def instant(seconds: Column) -> Column:
    return F.concat(wall_clock(seconds), F.lit(OFFSET)).cast("timestamp")
