"""The night on one screen: which job reads which tables and writes which, in order.

The runner, `clm plan`, `clm status` and (to come) the DAG are computed from this list; it needs no Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from conf import Settings
from schemas import CATALOGUE
from schemas.acting import CONTACT_HISTORY, HOLDOUTS, SELECTIONS, TRIGGER_STATUS
from schemas.core import CUSTOMER_DAILY, DEVICE_DAILY, FOLDED, STATES
from schemas.dues import DUES
from schemas.feeds import CAMPAIGN_FEEDBACK, FEEDS
from schemas.identity import CONTACT_LINKS, IDENTITY_LINKS, IDENTITY_LINKS_STATE
from schemas.judgement import (
    CUSTOMER_SEGMENTS,
    ENGINE_MODELS,
    RULE_VERSIONS,
    SCORES,
    SEGMENT_STATUS,
    SEGMENT_TRANSITIONS,
)
from schemas.mart import CUSTOMER_PROFILE, RETENTION_COHORTS
from schemas.ops import EXPORTS
from schemas.outcomes import TRIGGER_OUTCOMES
from schemas.restricted import CONTACT_HASHES
from schemas.table import Table
from schemas.upgrade import UPGRADE_RETENTION

STAGES = ("land", "conform", "know", "judge", "select", "export")

# Feeds that say who may be written to.
SELECTED_BY = ("consents", "customers", "campaign_feedback")

Mode = Literal["range", "hop", "step", "rare"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a night. `mode` says how many nights become one: a whole range at once, hops, or night by night.

    A `rare` one writes only on nights that have something new for it.
    """

    name: str
    stage: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    mode: Mode = "range"


def night(settings: Settings) -> tuple[Job, ...]:
    """The jobs of one night, in order."""
    raw = {source.name: f"raw.{source.name}" for source in settings.sources}
    feeds = [feed for feed in FEEDS if settings.sources_of(feed)]
    core = tuple(f"core.{feed}" for feed in feeds)
    states = [feed for feed in feeds if feed in FOLDED]
    return (
        *(Job(name=f"land {name}", stage="land", reads=(), writes=(table,)) for name, table in raw.items()),
        *_hashes(settings),
        *(
            Job(
                name=f"conform {feed}",
                stage="conform",
                reads=tuple(raw[source.name] for source in settings.sources_of(feed)),
                writes=(f"core.{feed}",),
            )
            for feed in feeds
        ),
        Job(name="set aside", stage="conform", reads=(*raw.values(), *core), writes=("core.quarantine",)),
        *(
            Job(
                name=f"fold {feed}",
                stage="conform",
                reads=(f"core.{feed}",),
                writes=(f"core.{feed}_state",),
                mode="hop",
            )
            for feed in states
        ),
        *_identity(settings),
        Job(name="account", stage="conform", reads=(*raw.values(), *core), writes=("ops.deliveries",)),
        *_devices(settings),
        Job(
            name="customer daily",
            stage="know",
            reads=(*(f"core.{feed}" for feed in feeds if feed != CAMPAIGN_FEEDBACK.name), *_learnt(settings)),
            writes=(CUSTOMER_DAILY.name,),
        ),
        Job(
            name="customer profile",
            stage="know",
            reads=(CUSTOMER_DAILY.name,),
            writes=(CUSTOMER_PROFILE.name,),
            mode="hop",
        ),
        Job(name="retention", stage="know", reads=(CUSTOMER_PROFILE.name,), writes=(RETENTION_COHORTS.name,)),
        *_dues(settings),
        Job(name="upgrade", stage="know", reads=(CUSTOMER_PROFILE.name,), writes=(UPGRADE_RETENTION.name,), mode="hop"),
        *_judge(settings),
        *_select(settings),
        *_export(settings),
        Job(name="quality", stage="export", reads=(), writes=("ops.quality",)),
    )


def _judge(settings: Settings) -> tuple[Job, ...]:
    """Scores by the engines that run, and what the rules make of them and of the profile."""
    engines = bool(settings.engines.run)
    fitted = Job(
        name="fit engines", stage="judge", reads=(CUSTOMER_PROFILE.name,), writes=(ENGINE_MODELS.name,), mode="rare"
    )
    reads = (CUSTOMER_PROFILE.name, ENGINE_MODELS.name)
    scored = Job(name="score", stage="judge", reads=reads, writes=(SCORES.name,), mode="step")
    reads = (CUSTOMER_PROFILE.name, *((SCORES.name,) if engines else ()))
    moves = (*reads, CUSTOMER_SEGMENTS.name)
    members = (CUSTOMER_SEGMENTS.name, SEGMENT_TRANSITIONS.name)
    return (
        *((fitted, scored) if engines else ()),
        Job(name="segment", stage="judge", reads=reads, writes=(CUSTOMER_SEGMENTS.name,), mode="step"),
        Job(name="tell moves", stage="judge", reads=moves, writes=(SEGMENT_TRANSITIONS.name,), mode="step"),
        Job(name="count members", stage="judge", reads=members, writes=(SEGMENT_STATUS.name,), mode="step"),
        Job(name="keep rules", stage="judge", reads=(), writes=(RULE_VERSIONS.name,), mode="rare"),
    )


def _select(settings: Settings) -> tuple[Job, ...]:
    """Who is written to, where the lake has triggers."""
    if not any(trigger.enabled for trigger in settings.triggers):
        return ()
    reads = (
        *stepped_on(settings),
        CUSTOMER_SEGMENTS.name,
        SEGMENT_TRANSITIONS.name,
        *((SCORES.name,) if settings.engines.run else ()),
        *(f"core.{feed}" for feed in SELECTED_BY if settings.sources_of(feed)),
    )
    decided = (SELECTIONS.name,)
    return (
        Job(name="select", stage="select", reads=reads, writes=decided, mode="step"),
        Job(name="remember contacts", stage="select", reads=decided, writes=(CONTACT_HISTORY.name,), mode="step"),
        Job(name="register holdouts", stage="select", reads=decided, writes=(HOLDOUTS.name,), mode="step"),
        Job(name="tell triggers", stage="select", reads=reads, writes=(TRIGGER_STATUS.name,), mode="step"),
        Job(
            name="tell outcomes",
            stage="select",
            reads=(*decided, CONTACT_HISTORY.name, CUSTOMER_PROFILE.name),
            writes=(TRIGGER_OUTCOMES.name,),
            mode="step",
        ),
    )


def _export(settings: Settings) -> tuple[Job, ...]:
    """Lists as files, and their receipts; of nights that are delivered."""
    if not _select(settings):
        return ()
    reads = (SELECTIONS.name, TRIGGER_STATUS.name)
    return (Job(name="deliver lists", stage="export", reads=reads, writes=(EXPORTS.name,), mode="rare"),)


def stages(settings: Settings) -> tuple[str, ...]:
    """The stages that have a job in this lake, in order."""
    used = {job.stage for job in night(settings)}
    return tuple(stage for stage in STAGES if stage in used)


def edges(settings: Settings) -> set[tuple[str, str]]:
    """Which stage waits for which: for those that write what it reads, and for the one before it."""
    wrote = {table: job.stage for job in night(settings) for table in job.writes}
    reads = {(wrote[table], job.stage) for job in night(settings) for table in job.reads if table in wrote}
    return {(before, after) for before, after in reads if before != after} | {*pairwise(stages(settings))}


def marts(settings: Settings, stage: str) -> tuple[str, ...]:
    """The marts that the stage publishes: what others may wait for."""
    wrote = (table for job in night(settings) if job.stage == stage for table in job.writes)
    return tuple(table for table in wrote if table.startswith("mart."))


def told(settings: Settings, stage: str) -> str:
    """What the stage does, as Markdown: its jobs with what they write, and of what."""
    jobs = [job for job in night(settings) if job.stage == stage]
    lines = [f"- **{job.name}**: {', '.join(job.writes)}" + _of(job.reads) for job in jobs]
    return "\n".join(lines)


def _of(reads: tuple[str, ...]) -> str:
    return f", of {', '.join(reads)}" if reads else ""


def stepped_on(settings: Settings) -> tuple[str, ...]:
    """The snapshots of which each night that is stepped needs its own."""
    has_dues = any(trigger.over == "dues" and trigger.enabled for trigger in settings.triggers)
    dues = [table for job in _dues(settings) for table in job.writes] if has_dues else []
    return (CUSTOMER_PROFILE.name, *dues)


def tells(settings: Settings, feed: str, *columns: str) -> bool:
    """Whether a source of the lake fills all of these columns of a feed."""
    return any(set(columns) <= source.map.keys() for source in settings.sources_of(feed))


def _hashes(settings: Settings) -> tuple[Job, ...]:
    """What ad platforms match on, where a source names the customers' own numbers and addresses."""
    if not any(source.own_contacts for source in settings.sources):
        return ()
    return (Job(name="hash contacts", stage="land", reads=(), writes=(CONTACT_HASHES.name,)),)


def _identity(settings: Settings) -> tuple[Job, ...]:
    """Whose device and phone it is, where any source can tell; and who knows whom, where address books come too."""
    on_devices = [feed for feed in ("transactions", "app_events", "devices") if _names_devices(settings, feed)]
    has_phones = tells(settings, "customers", "phone") or tells(settings, "customers", "email")
    feeds = [*on_devices, *(["customers"] if has_phones else [])]
    if not feeds:
        return ()
    links = Job(
        name="link ids",
        stage="conform",
        reads=tuple(f"core.{feed}" for feed in feeds),
        writes=(IDENTITY_LINKS.name,),
    )
    fold = Job(
        name="fold ids",
        stage="conform",
        reads=(IDENTITY_LINKS.name,),
        writes=(IDENTITY_LINKS_STATE.name,),
        mode="hop",
    )
    if not settings.sources_of("contacts"):
        return links, fold
    contacts = Job(
        name="link contacts",
        stage="conform",
        reads=("core.contacts", IDENTITY_LINKS.name),
        writes=(CONTACT_LINKS.name,),
    )
    return links, contacts, fold


def _names_devices(settings: Settings, feed: str) -> bool:
    return tells(settings, feed, "device_id", "customer_id")


def _devices(settings: Settings) -> tuple[Job, ...]:
    feeds = [feed for feed in ("app_events", "devices") if settings.sources_of(feed)]
    if not feeds or not _identity(settings):
        return ()
    reads = tuple(f"core.{feed}" for feed in feeds)
    return (Job(name="device daily", stage="know", reads=reads, writes=(DEVICE_DAILY.name,)),)


def _learnt(settings: Settings) -> tuple[str, ...]:
    """What the nights learn of ids, contacts and devices, as far as this lake does; of the links no snapshot."""
    jobs = (*_identity(settings), *_devices(settings))
    return tuple(table for job in jobs for table in job.writes if table != IDENTITY_LINKS_STATE.name)


def _dues(settings: Settings) -> tuple[Job, ...]:
    feeds = [feed for feed in ("transactions", "bills") if settings.sources_of(feed)]
    if not settings.sources_of("bills") and not tells(settings, "transactions", "plan_validity_days"):
        return ()
    reads = tuple(f"core.{feed}" for feed in feeds)
    return (Job(name="dues", stage="know", reads=reads, writes=(DUES.name,), mode="hop"),)


def tables(settings: Settings) -> list[Table]:
    """Every table that the nights of this lake write, in order."""
    return [table_of(settings, table) for job in night(settings) for table in job.writes]


def has_table(settings: Settings, table: str) -> bool:
    """Whether the nights of this lake write the table; without sources that could fill it they do not."""
    return any(table in job.writes for job in night(settings))


def table_of(settings: Settings, name: str) -> Table:
    """The declaration of a table of this lake; KeyError where there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    for source in settings.sources:
        if name == f"raw.{source.name}":
            return source.raw_table()
    raise KeyError(name)


def snapshot_of(feed: str) -> Table:
    """The table that keeps the newest version of each thing of a states feed."""
    return STATES[feed]
