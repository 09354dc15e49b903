"""The last part of the stage know: the bills and plans that fall due, folded from snapshot to snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce

from pyspark.sql import DataFrame

from jobs import dues
from jobs.runner import Night
from schemas.dues import DUES

ONE_DAY = timedelta(days=1)


def fold_dues(night: Night) -> None:
    """The snapshots of these nights, each from the one before them and what the nights since told."""
    for since, days in night.hops(DUES.name):
        _hop(night, since, days)


def _hop(night: Night, since: date | None, days: Sequence[date]) -> None:
    start = since + ONE_DAY if since else night.first_night
    looked_back = max(night.first_night, start - timedelta(days=dues.LOOK_BACK))
    previous = night.lake.read_day(DUES.name, since) if since else None
    snapshots = [
        dues.transform(
            previous,
            night.posted("bills", start, day),
            night.posted("transactions", looked_back, day),
            since=since,
            as_of=day,
        )
        for day in days
    ]
    staged = night.audited(DUES.name, reduce(DataFrame.unionByName, snapshots), days, is_laid_out=True)
    made_from = night.digests(DUES.name, since, since) if since else {}
    upstreams = {day: [*made_from.values()] for day in days}
    for feed, first in (("bills", start), ("transactions", looked_back)):
        for then, each in night.digests(f"core.{feed}", first, days[-1]).items():
            for day in days:
                upstreams[day] += [each] if then <= day else []
    night.publish(staged, upstreams, announced_empty=days)
