"""The stage know: what the nights told about each customer, their histories, and the windows that close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame

from jobs import cohorts, daily, profile
from jobs.calendar import days_between, hops
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
    # Of the days of this run only its own snapshots are good: one that was there before may be stale.
    kept = night.ledger.kept_days(CUSTOMER_PROFILE.name, night.first_night, night.first - ONE_DAY)
    since = max(kept, default=None)
    for days in hops(night.snapshot_days(CUSTOMER_PROFILE.name)):
        _hop(night, since, days)
        since = days[-1]


def _posted(night: Night, feed: str) -> DataFrame:
    if not night.settings.sources_of(feed):
        return local_frame(night.spark, [], POSTED[feed].ddl(nullable=True))
    return night.lake.read(f"core.{feed}", known_on=night.last, since=night.first)


def _nights_without_rows(night: Night, feeds: list[str]) -> set[date]:
    """Nights on which core has no rows, so that customer_daily cannot have any either."""
    published = [night.ledger.published(f"core.{feed}", night.first, night.last) for feed in feeds]
    return {day for day in night.days if all(of_feed[day].rows == 0 for of_feed in published if day in of_feed)}


def _hop(night: Night, since: date | None, days: Sequence[date]) -> None:
    """The profiles of `days`, all from the one of `since`, and the windows that closed after it."""
    start = since + ONE_DAY if since else night.first_night
    previous = night.lake.read_day(CUSTOMER_PROFILE.name, since) if since else None
    told = {day: night.lake.read(CUSTOMER_DAILY.name, known_on=day, since=start) for day in days}
    profiles = [profile.transform(previous, told[day], since=since, as_of=day) for day in days]
    staged = night.stage(CUSTOMER_PROFILE.name, reduce(DataFrame.unionByName, profiles), days, is_day_by_day=True)
    night.judge(staged)
    night.refuse_failures()
    kept = night.digests(CUSTOMER_PROFILE.name, since, since) if since else {}
    from_days = night.digests(CUSTOMER_DAILY.name, start, days[-1]) | kept
    night.publish(staged, {day: [each for then, each in from_days.items() if then <= day] for day in days})
    _close(night, start, days, {day: staged.digest(day) for day in days})


def _close(night: Night, start: date, days: Sequence[date], digests: Mapping[date, str]) -> None:
    """The windows that closed from `start` on, each seen from the next profile."""
    closing = [day for day in days_between(start, days[-1]) if day in night.days]
    seen_from = {day: min(each for each in days if each >= day) for day in closing}
    windows = [
        cohorts.transform(
            night.lake.read_day(CUSTOMER_PROFILE.name, day),
            night.settings.cohorts,
            close_after=night.settings.lake.close_after,
            days=[each for each in closing if seen_from[each] == day],
        )
        for day in days
    ]
    closed = night.stage(RETENTION_COHORTS.name, reduce(DataFrame.unionByName, windows), closing)
    night.judge(closed)
    night.refuse_failures()
    own = {day: Upstream(table=CUSTOMER_PROFILE.name, day=day, digest=digest) for day, digest in digests.items()}
    night.publish(closed, {each: [own[seen_from[each]]] for each in closing}, announced_empty=closing)
