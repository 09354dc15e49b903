"""Where each table of a night stands, from the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from conf import Settings
from jobs import pipeline
from jobs.ledger import Ledger
from jobs.ledger_records import Publication, Run, Upstream
from jobs.staleness import Published, first_nights, publications, replacements_due, stale_days, tables_of
from schemas.judgement import CUSTOMER_SEGMENTS

State = Literal["published", "stale", "missing", "busy", "failed", "waiting", "held"]
# Rows that wait for their night are routine: they are said, and nobody is called for them.
BEHIND = frozenset({"stale", "missing", "busy", "failed"})
# Of the states of a manifest; a list that is held or expired waits for a person.
LIST_STATES: Mapping[str, State] = {"ready": "published", "empty": "published", "failed": "failed"}


@dataclass(frozen=True, kw_only=True)
class TableStatus:
    """One table on one day; generation and digest are those of its newest publication, if there is one."""

    table: str
    day: date
    state: State
    generation: int | None = None
    digest: str | None = None
    why: str | None = None

    @property
    def is_behind(self) -> bool:
        return self.state in BEHIND


def last_night(settings: Settings, ledger: Ledger) -> date | None:
    """The last day of which any table is published; what `clm land` landed for the next night begins no night."""
    early = {f"raw.{source.name}" for source in settings.sources if source.cadence == "continuous"}
    tables = [table for table in tables_of(settings) if table not in early]
    return max((days[1] for table in tables if (days := ledger.days(table))), default=None)


def statuses(settings: Settings, ledger: Ledger | None, day: date) -> list[TableStatus]:
    """Every table of the night of `day`, in the night's order; all are missing where there is no ledger yet.

    Before them, of any other night, what a delivery will replace once that night is backfilled.
    """
    published = publications(settings, ledger)
    stale = stale_days(published)
    runs = [run for run in ledger.runs(day) if run.outcome != "busy"] if ledger else []
    holder = ledger.holder() if ledger else None
    at_work = None if holder is None or holder.is_idle else holder.run_id
    due = replacements_due(ledger)
    found: list[TableStatus] = []

    def add(table: str, of: date, state: State, why: str | None) -> None:
        publication = published[table].get(of)
        generation, digest = (publication.generation, publication.digest) if publication else (None, None)
        found.append(TableStatus(table=table, day=of, state=state, generation=generation, digest=digest, why=why))

    for (table, night), why in due.items():
        if night != day and table in published:
            add(table, night, "stale", why)
    for job in pipeline.night(settings):
        newest_run = next((run for run in runs if run.stage in (None, job.stage)), None)
        for table in job.writes:
            publication = published[table].get(day)
            state, why = _of_ledger(job, table, day, published, stale)
            if newest_run and not (publication and publication.run_id == newest_run.run_id):
                state, why = _of_run(newest_run, at_work, state, why)
            if (table, day) in due and state == "published":
                state, why = "stale", due[table, day]
            add(table, day, state, why)
    return found


def lists(settings: Settings, ledger: Ledger | None, day: date) -> list[TableStatus]:
    """Every list of the night that was delivered or held back, by its folder; a failed one is behind."""
    stops = ledger.stops() if ledger else {}
    exports = Path(settings.lake.root) / "exports"
    found: list[TableStatus] = []
    for path in sorted(exports.glob(f"**/date={day}/manifest.json")):
        told = json.loads(path.read_text(encoding="utf-8"))
        stopped = stops.get(told.get("trigger", ""), stops.get(""))
        state, why = LIST_STATES.get(told["state"], "held"), told["reason"]
        if stopped is not None and "trigger" in told:
            state, why = "held", f"stopped: {stopped}"
        name = f"exports/{path.parent.parent.relative_to(exports)}"
        found.append(TableStatus(table=name, day=day, state=state, generation=told["generation"], why=why))
    return found


def _of_ledger(
    job: pipeline.Job, table: str, day: date, published: Published, stale: dict[tuple[str, date], Upstream]
) -> tuple[State, str | None]:
    """What the publications say."""
    publication = published[table].get(day)
    if publication is None and job.mode == "rare" and day in published[CUSTOMER_SEGMENTS.name]:
        return "published", "nothing new of it that night"
    known_since = min(published[CUSTOMER_SEGMENTS.name], default=date.min)
    if publication is None and job.mode in ("step", "rare") and day < known_since:
        return "published", f"levels are known since {known_since}"
    if publication is None and day < first_nights(published).get(table, date.min):
        return "published", "the source is newer than this night"
    if publication is None:
        later = min((kept for kept in published[table] if kept > day), default=None)
        if job.mode == "hop" and later:
            return "published", f"folded into the snapshot of {later}; no other is kept of this day"
        return "missing", "not published"
    if not publication.is_kept:
        return "published", "its snapshot is no longer kept (they are for 7 days, and of month ends)"
    if upstream := stale.get((table, day)):
        return "stale", f"made from {upstream.table} {upstream.day}, which has changed since or is stale itself"
    waiting = waiting_rows(published[table], day)
    if waiting:
        return "waiting", f"{waiting} rows delivered by then wait for a later night"
    return "published", None


def _of_run(run: Run, at_work: str | None, state: State, why: str | None) -> tuple[State, str | None]:
    """What the newest run of the day says about a table that it has not published."""
    if run.run_id == at_work:
        return "busy", f"run {run.run_id} (`clm {run.command}`) is at work on it"
    if run.outcome != "done" and state in ("missing", "stale"):
        return "failed", run.why or f"run {run.run_id} (`clm {run.command}`) was killed"
    return state, why


def waiting_rows(days: Mapping[date, Publication], day: date) -> int:
    """Rows waiting after the night of `day`: every night notes how many it adds to them or takes of them."""
    return sum(int(each.figures.get("waiting_rows") or 0) for then, each in days.items() if then <= day)
