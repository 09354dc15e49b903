"""What the ledger keeps, as its callers see it: runs, publications and what they were made from, deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Run:
    """One command at work on one or more days; `outcome` and `why` once it has ended."""

    run_id: str
    command: str
    first_day: date
    last_day: date
    stage: str | None = None
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A day of a table that a publication was computed from, as it was then."""

    table: str
    day: date
    digest: str


@dataclass(frozen=True, kw_only=True)
class Publication:
    """One day of one table as one generation published it.

    `version` is the Delta version whose log entry has `commit_sha256`; `figures` are the day's audited
    figures, JSON values only; `published_at` is filled in by the ledger. A day that is no longer kept in the lake is
    still known.
    """

    table: str
    day: date
    generation: int
    version: int
    rows: int
    digest: str
    conf_digest: str
    run_id: str
    figures: Mapping[str, Any]
    upstreams: tuple[Upstream, ...]
    commit_sha256: str
    published_at: datetime | None = field(default=None, compare=False)
    is_kept: bool = True


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One delivery and the night it belongs to; of a dump (which has no date), its part of that night.

    `is_fixed` once the night's conform is published: from then on the ledger never changes it, but that another
    may replace it. That other belongs to the same night and is not in force before (`jobs.taking.in_force`).
    """

    source: str
    delivery_id: str
    folder: str
    date: date | None
    night: date
    is_fixed: bool
    replaces: str | None
    manifest: Mapping[str, Any]
    is_replaced: bool = False
