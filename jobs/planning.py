"""What would have to run for a range of nights, in order: from the list of jobs and the ledger alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from conf import Settings
from jobs import pipeline
from jobs.calendar import days_between, snapshot_days
from jobs.errors import Busy
from jobs.ledger import Ledger
from jobs.ledger_records import Publication, Upstream
from jobs.pipeline import Job, Mode
from jobs.staleness import Published, publications, stale_days

ONE_DAY = timedelta(days=1)
NOT_PUBLISHED = "not published"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One table made for the days first … last: at once (range), in one hop to `last`, or day by day (step)."""

    table: str
    first: date
    last: date
    mode: Mode
    why: str


def plan(
    settings: Settings, ledger: Ledger | None, first: date, last: date, *, tables: Collection[str] | None = None
) -> list[Step]:
    """The steps that leave first … last published and not stale; of `tables` only, where they are named.

    Nights run in order, so it begins earlier where nights before `first` are missing. Raises Busy for nights
    before the lake's first, which cannot be added.
    """
    begun = ledger.first_night() if ledger else None
    if begun and first < begun:
        raise Busy(f"This lake begins on {begun}; nights before its first cannot be added. Say --from {begun}.")
    published = publications(settings, ledger)
    days = days_between(_first_missing(settings, published, begun, first), last)
    due = _Due(published, stale_days(published))
    steps: list[Step] = []
    for job in pipeline.night(settings):
        for table in job.writes:
            found = due.hops(job, table, days) if job.mode == "hop" else due.ranges(job, table, days)
            steps += found if not tables or table in tables else []
    return steps


def _first_missing(settings: Settings, published: Published, begun: date | None, first: date) -> date:
    """Where to begin so that no night before `first` is missing."""
    if begun is None:
        return first
    tables = [table for job in pipeline.night(settings) if job.mode == "range" for table in job.writes]
    return next(
        (day for day in days_between(begun, first) if any(day not in published[table] for table in tables)), first
    )


class _Due:
    """Which days of which tables have to be made, found table by table in the night's order."""

    def __init__(self, published: Published, stale: Mapping[tuple[str, date], Upstream]) -> None:
        self._published = published
        self._stale = stale
        self._reasons: dict[tuple[str, date], str] = {}

    def ranges(self, job: Job, table: str, days: Sequence[date]) -> list[Step]:
        """Neighbouring days with one reason are one step."""
        for day in days:
            self._note(table, day, [(read, day) for read in job.reads])
        runs = [(why, list(run)) for why, run in groupby(days, key=lambda day: self._reasons.get((table, day)))]
        return [Step(table=table, first=run[0], last=run[-1], mode=job.mode, why=why) for why, run in runs if why]

    def hops(self, job: Job, table: str, days: Sequence[date]) -> list[Step]:
        """One step for each snapshot, from the one before it; days in between are not kept."""
        kept = self._published[table]
        previous = max((day for day in kept if day < days[0]), default=None)
        newest = max(kept, default=date.min)
        # A day before a kept snapshot was passed over, and is folded into that one.
        wanted = {day for day in snapshot_days(days[0], days[-1]) if day > newest} | (kept.keys() & set(days))
        steps: list[Step] = []
        for day in sorted(wanted):
            start = previous + ONE_DAY if previous else days[0]
            folded = [(read, then) for read in job.reads for then in days_between(start, day)]
            self._note(table, day, [*folded, *([(table, previous)] if previous else [])])
            if why := self._reasons.get((table, day)):
                origin = f"folded from the snapshot of {previous}" if previous else "folded from nothing"
                steps.append(Step(table=table, first=start, last=day, mode=job.mode, why=f"{why}; {origin}"))
            previous = day
        return steps

    def _note(self, table: str, day: date, reads: Collection[tuple[str, date]]) -> None:
        publication = self._published[table].get(day)
        if publication is None:
            self._reasons[table, day] = NOT_PUBLISHED
        elif stale := self._stale.get((table, day)):
            self._reasons[table, day] = f"stale: {stale.table} has changed since"
        elif again := next(
            (name for name, then in self._reads(publication, reads) if (name, then) in self._reasons), None
        ):
            self._reasons[table, day] = f"{again} is made again"

    @staticmethod
    def _reads(publication: Publication, reads: Collection[tuple[str, date]]) -> list[tuple[str, date]]:
        """What the day is made from by the list of jobs, and what it was made from (late rows look further back)."""
        return [*reads, *((upstream.table, upstream.day) for upstream in publication.upstreams)]
