"""The stage know: what the nights told about each customer, their histories, and the windows that close."""

from __future__ import annotations

from datetime import date, timedelta

from pyspark.sql import DataFrame

from jobs import cohorts, daily, profile
from jobs.calendar import days_between, snapshot_days
from jobs.frames import local_frame
from jobs.ledger_records import Upstream
from jobs.runner import Night
from schemas.core import CUSTOMER_DAILY, POSTED
from schemas.mart import CUSTOMER_PROFILE, RETENTION_COHORTS

ONE_DAY = timedelta(days=1)


def run(night: Night) -> None:
    feeds = [feed for feed in ("transactions", "customers") if night.settings.sources_of(feed)]
    told = daily.transform(_posted(night, "transactions"), _posted(night, "customers"))
    staged = night.stage(CUSTOMER_DAILY.name, told)
    empty = _nights_without_rows(night, feeds)
    night.judge(staged, empty)
    night.refuse_failures()
    night.publish(staged, night.upstreams([f"core.{feed}" for feed in feeds]), announced_empty=empty)
    for day in snapshot_days(night.first, night.last):
        _hop(night, day)


def _posted(night: Night, feed: str) -> DataFrame:
    if not night.settings.sources_of(feed):
        return local_frame(night.spark, [], POSTED[feed].ddl(nullable=True))
    return night.lake.read(f"core.{feed}", known_on=night.last, since=night.first)


def _nights_without_rows(night: Night, feeds: list[str]) -> set[date]:
    """Nights on which core has no rows, so that customer_daily cannot have any either."""
    published = [night.ledger.published(f"core.{feed}", night.first, night.last) for feed in feeds]
    return {day for day in night.days if all(of_feed[day].rows == 0 for of_feed in published if day in of_feed)}


def _hop(night: Night, day: date) -> None:
    """The profile of `day`, from the newest one before it, and the windows that closed since then."""
    kept = night.digests(CUSTOMER_PROFILE.name, night.first_night, day - ONE_DAY)
    since = max(kept, default=None)
    start = since + ONE_DAY if since else night.first_night
    previous = night.lake.read_day(CUSTOMER_PROFILE.name, since) if since else None
    told = night.lake.read(CUSTOMER_DAILY.name, known_on=day, since=start)
    staged = night.stage(CUSTOMER_PROFILE.name, profile.transform(previous, told, since=since, as_of=day), [day])
    night.judge(staged)
    night.refuse_failures()
    made_from = list(night.digests(CUSTOMER_DAILY.name, start, day).values())
    night.publish(staged, {day: [*made_from, *([kept[since]] if since else [])]})

    closing = [each for each in days_between(start, day) if each in night.days]
    profiles = night.lake.read_day(CUSTOMER_PROFILE.name, day)
    close_after = night.settings.lake.close_after
    windows = cohorts.transform(profiles, night.settings.cohorts, close_after=close_after, days=closing)
    closed = night.stage(RETENTION_COHORTS.name, windows, closing)
    night.judge(closed)
    night.refuse_failures()
    own = Upstream(table=CUSTOMER_PROFILE.name, day=day, digest=staged.digest(day))
    night.publish(closed, {each: [own] for each in closing}, announced_empty=closing)
