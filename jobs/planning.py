"""What would have to run for a range of nights, in order: from the list of jobs and the ledger alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby

from conf import Settings
from jobs import pipeline
from jobs.calendar import days_between, hops, judged_snapshots, snapshot_days, stepped_days
from jobs.errors import Busy
from jobs.ledger import Ledger
from jobs.ledger_records import Upstream
from jobs.pipeline import Job, Mode
from jobs.staleness import Published, first_nights, publications, replacements_due, stale_days
from schemas.judgement import CUSTOMER_SEGMENTS

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
    history = ledger.days(CUSTOMER_SEGMENTS.name) if ledger else None
    if begun and first < begun:
        raise Busy(f"This lake begins on {begun}; nights before its first cannot be added. Say --from {begun}.")
    published = publications(settings, ledger)
    days = days_between(_first_missing(settings, published, begun, first), last)
    due = _Due(published, stale_days(published), replacements_due(ledger))
    steps: list[Step] = []
    stepped = stepped_days(days[0], last, history=history)
    for job in pipeline.night(settings):
        for table in job.writes:
            match job.mode:
                case "hop":
                    judged = stepped if table in pipeline.stepped_on(settings) else ()
                    found = due.hops(job, table, days, judged)
                case "step":
                    found = due.ranges(job, table, stepped)
                case "rare":
                    found = due.ranges(job, table, [day for day in days if day in published[table]])
                case "range":
                    found = due.ranges(job, table, days)
            steps += found if not tables or table in tables else []
    return steps


def _first_missing(settings: Settings, published: Published, begun: date | None, first: date) -> date:
    """Where to begin so that no night before `first` is missing."""
    if begun is None:
        return first
    begins = first_nights(published)
    tables = [table for job in pipeline.night(settings) if job.mode == "range" for table in job.writes]
    judged = published[CUSTOMER_SEGMENTS.name]
    history = min(judged, default=None)

    def is_missing(day: date) -> bool:
        return any(day not in published[table] and day >= begins.get(table, begun) for table in tables) or (
            history is not None and day >= history and day not in judged
        )

    return next((day for day in days_between(begun, first) if is_missing(day)), first)


class _Due:
    """Which days of which tables have to be made, found table by table in the night's order."""

    def __init__(
        self,
        published: Published,
        stale: Mapping[tuple[str, date], Upstream],
        replaced: Mapping[tuple[str, date], str],
    ) -> None:
        self._published = published
        self._stale = stale
        self._replaced = replaced
        self._first_nights = first_nights(published)
        self._reasons: dict[tuple[str, date], str] = {}

    def ranges(self, job: Job, table: str, days: Sequence[date]) -> list[Step]:
        """Neighbouring days with one reason are one step."""
        for day in days:
            self._note(table, day, [(read, day) for read in job.reads])
        runs = [(why, list(run)) for why, run in groupby(days, key=lambda day: self._reasons.get((table, day)))]
        return [Step(table=table, first=run[0], last=run[-1], mode=job.mode, why=why) for why, run in runs if why]

    def hops(self, job: Job, table: str, days: Sequence[date], judged: Sequence[date]) -> list[Step]:
        """One step for each snapshot, from the one before it; days in between are not kept, but for those `judged`."""
        kept = {day for day, each in self._published[table].items() if each.is_kept}
        previous = max((day for day in kept if day < days[0]), default=None)
        newest = max(kept, default=date.min)
        steps: list[Step] = []
        wanted = {*snapshot_days(days[0], days[-1], max(newest, days[-1])), *judged_snapshots(judged, days)}
        for group in hops(sorted(wanted)):
            start = previous + ONE_DAY if previous else days[0]
            origin = f"folded from the snapshot of {previous}" if previous else "folded from nothing"
            base = [(table, previous)] if previous else []
            for day in group:
                made_from = [*((read, then) for read in job.reads for then in days_between(start, day)), *base]
                if day in kept or day > newest:
                    self._note(table, day, made_from)
                else:
                    # A day before a kept snapshot that was passed over, or dropped: wanted only for what it folds.
                    self._note_again(table, day, made_from)
                if why := self._reasons.get((table, day)):
                    steps.append(Step(table=table, first=start, last=day, mode=job.mode, why=f"{why}; {origin}"))
                if why or day in kept:
                    previous = day
        return steps

    def _note(self, table: str, day: date, reads: Collection[tuple[str, date]]) -> None:
        publication = self._published[table].get(day)
        if publication is None and day < self._first_nights.get(table, date.min):
            return
        if publication is None:
            self._reasons[table, day] = NOT_PUBLISHED
        elif replaced := self._replaced.get((table, day)):
            self._reasons[table, day] = replaced
        elif stale := self._stale.get((table, day)):
            self._reasons[table, day] = f"stale: {stale.table} has changed since"
        else:
            # What the day is made from by the list of jobs, and what it was made from (late rows look further back).
            self._note_again(table, day, [*reads, *((each.table, each.day) for each in publication.upstreams)])

    def _note_again(self, table: str, day: date, reads: Collection[tuple[str, date]]) -> None:
        if again := next((name for name, then in reads if (name, then) in self._reasons), None):
            self._reasons[table, day] = f"{again} is made again"
