"""The last part of the stage know: the bills and plans that fall due, folded from snapshot to snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame

from jobs import dues
from jobs.calendar import hops
from jobs.frames import local_frame
from jobs.runner import Night
from schemas.core import POSTED
from schemas.dues import DUES

ONE_DAY = timedelta(days=1)


def fold_dues(night: Night) -> None:
    """The snapshots of these nights, each from the one before them and what the nights since told."""
    kept = night.ledger.kept_days(DUES.name, night.first_night, night.first - ONE_DAY)
    since = max(kept, default=None)
    for days in hops(night.snapshot_days(DUES.name)):
        _hop(night, since, days)
        since = days[-1]


def _hop(night: Night, since: date | None, days: Sequence[date]) -> None:
    start = since + ONE_DAY if since else night.first_night
    looked_back = max(night.first_night, start - timedelta(days=dues.LOOK_BACK))
    previous = night.lake.read_day(DUES.name, since) if since else None
    snapshots = [
        dues.transform(
            previous,
            _posted(night, "bills", start, day),
            _posted(night, "transactions", looked_back, day),
            since=since,
            as_of=day,
        )
        for day in days
    ]
    staged = night.stage(DUES.name, reduce(DataFrame.unionByName, snapshots), days, is_day_by_day=True)
    night.judge(staged)
    night.refuse_failures()
    made_from = night.digests(DUES.name, since, since) if since else {}
    upstreams = {day: [*made_from.values()] for day in days}
    for feed, first in (("bills", start), ("transactions", looked_back)):
        for then, each in night.digests(f"core.{feed}", first, days[-1]).items():
            for day in days:
                upstreams[day] += [each] if then <= day else []
    night.publish(staged, upstreams, announced_empty=days)


def _posted(night: Night, feed: str, first: date, last: date) -> DataFrame:
    if not night.settings.sources_of(feed):
        return local_frame(night.spark, [], POSTED[feed].ddl(nullable=True))
    return night.lake.read(f"core.{feed}", known_on=last, since=first)
