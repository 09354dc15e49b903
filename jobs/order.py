"""What has to be there before a run may begin, and what of it an earlier run has done already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

from jobs import pipeline
from jobs.errors import Busy, Usage
from schemas.acting import CONTACT_HISTORY, HOLDOUTS, SELECTIONS, TRIGGER_STATUS
from schemas.core import CUSTOMER_DAILY
from schemas.feeds import FEEDS
from schemas.judgement import CUSTOMER_SEGMENTS, SEGMENT_STATUS, SEGMENT_TRANSITIONS
from schemas.mart import RETENTION_COHORTS
from schemas.ops import DELIVERIES as ACCOUNTS

if TYPE_CHECKING:
    from jobs.runner import Night

# What goes night by night: stage → tables of the night before.
STEPPED = {
    "judge": (CUSTOMER_SEGMENTS.name, SEGMENT_TRANSITIONS.name, SEGMENT_STATUS.name),
    "select": (SELECTIONS.name, CONTACT_HISTORY.name, HOLDOUTS.name, TRIGGER_STATUS.name),
}


def refuse_out_of_order(night: Night, wanted: Sequence[str]) -> None:
    """Raises Busy where an earlier night, or an earlier stage of this one, is missing."""
    begun = night.ledger.first_night()
    if begun is None:
        if wanted[0] != pipeline.STAGES[0]:
            raise Busy(
                f"Nothing has been landed yet: run `clm run --date {night.first} --stage {pipeline.STAGES[0]}` first."
            )
        return
    if night.first < begun:
        raise Busy(
            f"This lake begins on {begun}; nights before its first cannot be added. "
            f"Load them into an empty lake (CLM_LAKE) with `clm backfill --from {night.first}`."
        )
    jobs = [job for job in pipeline.night(night.settings) if job.writes != ("ops.quality",)]
    yesterday = night.first - timedelta(days=1)
    # What is new to a lake, a source or a table of its own, has no yesterday; what every lake has is not new.
    has_accounts = bool(night.ledger.published(ACCOUNTS.name, yesterday, yesterday))
    for stage in set(STEPPED) & set(wanted):
        for table in STEPPED[stage]:
            known = night.ledger.days(table)
            if known and known[0] < night.first and pipeline.has_table(night.settings, table):
                _refuse_missing(night, table, yesterday)
    for job in jobs:
        for table in job.writes:
            may_be_new = job.stage == "land" or (
                has_accounts and table not in (CUSTOMER_DAILY.name, RETENTION_COHORTS.name)
            )
            is_new = may_be_new and night.ledger.days(table) is None
            if job.stage in wanted and job.mode == "range" and night.first > begun and not is_new:
                _refuse_missing(night, table, yesterday)
    earlier = pipeline.STAGES[: pipeline.STAGES.index(wanted[0])]
    for job in jobs:
        if job.stage in earlier:
            for table in job.writes:
                missing = sorted(set(night.days) - set(night.ledger.published(table, night.first, night.last)))
                if missing and job.mode == "range":
                    raise Busy(
                        f"{table} {missing[0]} is not published, and {wanted[0]} reads it: "
                        f"run `clm run --date {missing[0]} --stage {job.stage}` first."
                    )


def refuse_holes(night: Night) -> None:
    """Raises Usage for a first step that leaves nights without levels between others that have them."""
    begins, history = night.step_from, night.history
    if begins is None:
        return
    if history and night.last < history[0]:
        raise Usage(f"Levels are known since {history[0]}, and nights before it have none: leave --step-from out.")
    if not night.first <= begins <= night.last:
        raise Usage(f"--step-from {begins} is not one of the nights {night.first} to {night.last}.")
    if history and begins > max(history[0], night.first):
        raise Usage(
            f"Levels are known since {history[0]}; to step from {begins} on would leave nights before it as they were. "
            "Leave --step-from out."
        )


def refuse_forgotten_sources(night: Night) -> None:
    """Raises Usage where a published day was made from a source that is no longer configured: it would lose it."""
    configured = {f"raw.{source.name}" for source in night.settings.sources}
    for feed in FEEDS:
        for day, each in night.ledger.published(f"core.{feed}", night.first, night.last).items():
            forgotten = {up.table for up in each.upstreams if up.table.startswith("raw.")} - configured
            if forgotten:
                raise Usage(
                    f"core.{feed} {day} was made from {min(forgotten)}, whose source is not configured any more: "
                    "without it the day would lose those rows. Put its file back, with required = false."
                )


def _refuse_missing(night: Night, table: str, day: date) -> None:
    # A snapshot that is no longer kept is made again from the one before it and what was told since.
    if night.ledger.published(table, day, day, with_dropped=True):
        return
    days = night.ledger.days(table)
    start = days[1] + timedelta(days=1) if days and days[1] < day else day
    raise Busy(
        f"{night.first} needs {day}, and {table} {day} is not published: "
        f'run `clm backfill --from {start} --to {day} --reason "…"` first.'
    )


def refuse_unreviewed(night: Night) -> None:
    tables = [table for job in pipeline.night(night.settings) if job.stage != "land" for table in job.writes]
    published = {day for table in tables for day in night.ledger.published(table, night.first, night.last)}
    reviewed = [entry for entry in night.settings.backfills if entry.from_date <= min(published, default=night.first)]
    if published and not any(entry.to_date >= max(published) for entry in reviewed):
        raise Usage(
            f"{min(published)} to {max(published)} are published already; to compute them again is reviewed first. "
            f"Add to backfills.toml:\n[[backfill]]\nfrom = {min(published)}\nto = {max(published)}\n"
            'reason = "…"\nasked_by = "…"'
        )


def published_before_the_end(night: Night) -> set[str]:
    """Stages of these very nights that a backfill published which then did not end."""
    attempts: set[str] = set()
    for earlier in night.ledger.runs(night.first):
        is_same = (earlier.command, earlier.first_day, earlier.last_day) == ("backfill", night.first, night.last)
        if earlier.run_id == night.run.run_id or not is_same:
            continue
        if earlier.outcome not in (None, "failed"):
            # Done, or refused: then what has come since is to be taken, and everything is looked at again.
            break
        attempts.add(earlier.run_id)
    done: set[str] = set()
    if any(night.first <= each.night <= night.last for each in night.ledger.replacements_due()):
        return done
    for stage in pipeline.STAGES:
        if stage == "select" and night.contacts is not None:
            # What is asked of contacts now may not be what was asked then.
            return done
        for job in pipeline.night(night.settings):
            if job.stage != stage or job.writes == ("ops.quality",):
                continue
            for table in job.writes:
                published = night.ledger.published(table, night.first, night.last, with_dropped=True)
                theirs = {
                    day
                    for day, each in published.items()
                    if each.run_id in attempts and each.conf_digest == night.settings.digest
                }
                if not _days_of(night, job, table) <= theirs:
                    return done
        done.add(stage)
    return done


def _days_of(night: Night, job: pipeline.Job, table: str) -> set[date]:
    """The days of the table that a run over these nights publishes, whatever they hold."""
    match job.mode:
        case "range":
            return set(night.days)
        case "hop":
            return set(night.snapshot_days(table))
        case "step":
            return set(night.steps)
        case "rare":
            return set()
