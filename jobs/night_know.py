"""The stage know: what the nights told about each customer."""

from __future__ import annotations

from datetime import date

from pyspark.sql import DataFrame

from jobs import daily
from jobs.frames import local_frame
from jobs.runner import Night
from schemas.core import POSTED


def run(night: Night) -> None:
    feeds = [feed for feed in ("transactions", "customers") if night.settings.sources_of(feed)]
    told = daily.transform(_posted(night, "transactions"), _posted(night, "customers"))
    staged = night.stage("core.customer_daily", told)
    empty = _nights_without_rows(night, feeds)
    night.judge(staged, empty)
    night.refuse_failures()
    night.publish(staged, night.upstreams([f"core.{feed}" for feed in feeds]), announced_empty=empty)


def _posted(night: Night, feed: str) -> DataFrame:
    if not night.settings.sources_of(feed):
        return local_frame(night.spark, [], POSTED[feed].ddl(nullable=True))
    return night.lake.read(f"core.{feed}", known_on=night.last, since=night.first)


def _nights_without_rows(night: Night, feeds: list[str]) -> set[date]:
    """Nights on which core has no rows, so that customer_daily cannot have any either."""
    published = [night.ledger.published(f"core.{feed}", night.first, night.last) for feed in feeds]
    return {day for day in night.days if all(of_feed[day].rows == 0 for of_feed in published if day in of_feed)}
