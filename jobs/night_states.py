"""Snapshots that a night folds from the versions of a log: core.<feed>_state, and who owns which id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from pyspark.sql import DataFrame

from jobs import identity, state
from jobs.ledger_records import Upstream
from jobs.pipeline import snapshot_of
from jobs.runner import Night
from schemas.identity import IDENTITY_LINKS, IDENTITY_LINKS_STATE
from schemas.table import Table

ONE_DAY = timedelta(days=1)


class Fold(Protocol):
    """The snapshots of `days`, from the one of a day before them and all versions that came after it."""

    def __call__(self, previous: DataFrame | None, versions: DataFrame, /, *, days: Sequence[date]) -> DataFrame: ...


@dataclass(frozen=True)
class Versions:
    """A log of versions, the snapshot of the newest ones, and how that is folded."""

    log: str
    snapshot: str
    fold: Fold

    def before(self, night: Night) -> DataFrame | None:
        """The snapshot of the day before the nights, made where it is not kept; None where nothing was told before."""
        yesterday = night.first - ONE_DAY
        if not night.ledger.published(self.log, night.first_night, yesterday):
            return None
        nearest = max(night.ledger.kept_days(self.snapshot, night.first_night, yesterday), default=None)
        if nearest is None:
            # None so old is kept, or an earlier run of this night has let it go: the log still knows.
            told = night.lake.read(self.log, known_on=yesterday, since=night.first_night)
            return self.fold(None, told, days=[yesterday])
        kept = night.lake.read_day(self.snapshot, nearest)
        if nearest == yesterday:
            return kept
        return self.fold(kept, night.lake.read(self.log, known_on=yesterday, since=nearest + ONE_DAY), days=[yesterday])

    def publish(self, night: Night) -> None:
        """Make and publish the snapshots of the nights; the log of these nights is published already."""
        days = night.snapshot_days(self.snapshot)
        versions = night.lake.read(self.log, known_on=night.last, since=night.first)
        staged = night.audited(self.snapshot, self.fold(self.before(night), versions, days=days), days)
        kept = night.ledger.kept_days(self.snapshot, night.first_night, night.first - ONE_DAY)[-1:]
        snapshots = night.digests(self.snapshot, kept[0], kept[0]) if kept else {}
        snapshots |= {day: Upstream(table=self.snapshot, day=day, digest=staged.digest(day)) for day in days}
        made_from: dict[date, list[Upstream]] = {}
        for day in days:
            before = max((earlier for earlier in snapshots if earlier < day), default=None)
            since = night.first_night if before is None else before + ONE_DAY
            made_from[day] = list(night.digests(self.log, since, day).values())
            made_from[day] += [snapshots[before]] if before is not None else []
        night.publish(staged, made_from, announced_empty=days)


def of_feed(feed: str) -> Versions:
    """The versions of a states feed, or of the devices."""
    table: Table = snapshot_of(feed)

    def fold(previous: DataFrame | None, versions: DataFrame, *, days: Sequence[date]) -> DataFrame:
        return state.transform(previous, versions, table, days=days)

    return Versions(f"core.{feed}", table.name, fold)


OF_IDS = Versions(IDENTITY_LINKS.name, IDENTITY_LINKS_STATE.name, identity.snapshots)
