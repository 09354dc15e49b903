"""The stage select: who is eligible for which trigger, and where their way through the funnel ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from itertools import groupby

from pyspark.sql import DataFrame

from jobs import acting, night_outcomes
from jobs.calendar import fortnights
from jobs.errors import Busy
from jobs.frames import local_frame, select_contract
from jobs.funnel import Standing, counted, eligible_on, guarded, nearest_snapshot, selections_of, standings
from jobs.lake import Staged
from jobs.ledger_records import Upstream
from jobs.pipeline import SELECTED_BY, has_table, stepped_on
from jobs.runner import Night
from schemas.acting import CONTACT_HISTORY, HOLDOUTS, SELECTIONS, TRIGGER_STATUS
from schemas.core import STATES
from schemas.judgement import CUSTOMER_SEGMENTS, SCORES, SEGMENT_TRANSITIONS

ONE_DAY = timedelta(days=1)


def run(night: Night) -> None:
    """Select for the nights that are stepped; of a replay several at once, since none counts for the next."""
    if not has_table(night.settings, SELECTIONS.name):
        return
    if not night.steps:
        night.progress.note("nights before the first whose levels are known select nobody")
        return
    _refuse_missing(night)
    modes = _modes(night)
    for mode, run_of in groupby(night.steps, key=modes.__getitem__):
        nights = list(run_of)
        for days in fortnights(nights) if mode == "replay" else [[day] for day in nights]:
            _select(night, days, mode)
    night_outcomes.run(night)


def _modes(night: Night) -> dict[date, str]:
    """Night → whether its contacts count. One that is made again stays what it was, unless something else is asked."""
    of_new = "replay" if night.run.command == "backfill" else "live"
    modes = dict.fromkeys(night.steps, night.contacts or of_new)
    if night.contacts is None and night.ledger.published(CONTACT_HISTORY.name, night.steps[0], night.steps[-1]):
        known = night.lake.read(CONTACT_HISTORY.name, known_on=night.steps[-1], since=night.steps[0])
        told = known.select("as_of_date", "mode").distinct().collect()
        modes |= {row["as_of_date"]: row["mode"] for row in told if row["as_of_date"] in modes}
    return modes


def _select(night: Night, days: Sequence[date], mode: str) -> None:
    eligible = eligible_on(night.lake, night.book, night.engines, days).persist()
    try:
        counts = counted(eligible, days)
        standing = standings(night.lake, night.book, night.engines, counts)
        held = guarded(standing)
        for (day, trigger), why in held.items():
            night.progress.note(f"{trigger} {day} is held back: {why}")
        selections = selections_of(night.lake, night.book, eligible, held, days)
        totals = {day: {"eligible": sum(of_day.values())} for day, of_day in counts.items()}
        staged = night.audited(SELECTIONS.name, selections, days, counted=totals)
    finally:
        eligible.unpersist()
    night.publish(staged, _made_from(night, days), announced_empty=days)
    pieces = (
        partial(_remember, night, staged, mode),
        partial(_register, night, staged),
        partial(_tell, night, days, standing),
    )
    night.side_by_side(pieces)


def _remember(night: Night, selections: Staged, mode: str) -> None:
    frame = acting.contacts(selections.frame, night.book.triggers, mode=mode)
    _publish(night, CONTACT_HISTORY.name, frame, selections.days)


def _register(night: Night, selections: Staged) -> None:
    days = selections.days
    is_known = night.ledger.days(HOLDOUTS.name)
    known = night.lake.read(HOLDOUTS.name, known_on=days[0] - ONE_DAY) if is_known else None
    before = list(night.digests(HOLDOUTS.name, days[0] - ONE_DAY, days[0] - ONE_DAY).values())
    _publish(night, HOLDOUTS.name, acting.newly_held_out(selections.frame, known), days, before)


def _tell(night: Night, days: Sequence[date], standing: Mapping[tuple[date, str], Standing]) -> None:
    version = {trigger.name: trigger.version for trigger in night.book.triggers}
    rows = [
        (day, name, version[name], each.state, each.why, each.eligible, each.before)
        for (day, name), each in standing.items()
    ]
    frame = local_frame(night.spark, rows, TRIGGER_STATUS.ddl(nullable=True))
    _publish(night, TRIGGER_STATUS.name, select_contract(frame, TRIGGER_STATUS), days)


def _publish(night: Night, table: str, frame: DataFrame, days: Sequence[date], also: Sequence[Upstream] = ()) -> None:
    made_from = {day: [each, *also] for day, each in night.digests(SELECTIONS.name, days[0], days[-1]).items()}
    night.publish(night.audited(table, frame, days), made_from, announced_empty=days)


def _made_from(night: Night, days: Sequence[date]) -> dict[date, list[Upstream]]:
    tables = [*stepped_on(night.settings), CUSTOMER_SEGMENTS.name, SEGMENT_TRANSITIONS.name]
    tables += [SCORES.name] if night.engines else []
    tables += [f"core.{feed}" for feed in SELECTED_BY if night.settings.sources_of(feed)]
    found: dict[date, list[Upstream]] = {day: [] for day in days}
    for table in tables:
        for day, upstream in night.digests(table, days[0], days[-1]).items():
            if day in found:
                found[day].append(upstream)
    yesterday = days[0] - ONE_DAY
    before = [*night.digests(CONTACT_HISTORY.name, yesterday, yesterday).values(), *_states(night, days[0])]
    for day in days:
        found[day] += [upstream for upstream in before if upstream not in found[day]]
    return found


def _states(night: Night, day: date) -> Iterator[Upstream]:
    """The snapshots that versions of consents and registrations are counted on from."""
    for feed in SELECTED_BY:
        if feed in STATES and night.settings.sources_of(feed):
            nearest = nearest_snapshot(night.lake, feed, day)
            if nearest is not None:
                yield from night.digests(STATES[feed].name, nearest, nearest).values()


def _refuse_missing(night: Night) -> None:
    """Raises Busy where a snapshot of a night is not there, or no longer kept."""
    for table in (*stepped_on(night.settings), CUSTOMER_SEGMENTS.name):
        kept = set(night.ledger.kept_days(table, night.steps[0], night.steps[-1]))
        if missing := [day for day in night.steps if day not in kept]:
            raise Busy(
                f"{table} {missing[0]} is not there, and select reads it: run `clm run --date {missing[0]}` first."
            )
