"""A temporary lake of one phone's usage log, onboarded by the configuration beside this file, and its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from conf import Settings
from jobs.progress import Progress
from jobs.runner import backfill
from tests.real.onboarding import accounts, lake_of, onboard
from tests.real.usage_logger.expected import FILES, FIRST, LAST


def loaded(root: Path, data: Path, progress: Progress, *, until: str | None = None) -> Settings:
    """Both dumps as one range, until what is known of the phone's owner, or only until a stage before."""
    settings = onboard(root, data, FILES, Path(__file__).parent / "conf")
    backfill(settings, FIRST, LAST, reason="first load", until=until, progress=progress)
    return settings


def figures(settings: Settings) -> dict[str, int]:
    """What the lake says of both logs, under the names of `expected.computed`; its postings are read once."""
    lake = lake_of(settings)
    posted = lake.read("core.app_events", known_on=LAST).select(
        "source", "event_id", "event_date", F.unix_millis("occurred_at"), "screen", "action"
    )
    events = [Posted(*row) for row in posted.collect()]
    unknown = lake.read("ops.quality", known_on=LAST).where("expectation = 'unknown_event' and not success")
    return (
        accounts(lake, LAST)
        | _sources(events)
        | {"dates with unknown events": unknown.count()}
        | dict(Counter(event.action for event in events))
        | dict(Counter(f"{event.day}, events" for event in events))
        | dict(Counter(f"{event.day} {event.app or '(phone)'}: {event.action}" for event in events))
    )


def figures_of_owner(daily: DataFrame) -> dict[str, int]:
    """What rows of core.customer_daily say of the one customer, under the names of `expected.of_owner`."""
    named = {
        "in front": F.coalesce("foreground_event_count", F.lit(0)),
        "in front at night": F.coalesce("night_event_count", F.lit(0)),
        "last in front at (ms)": F.unix_millis("app_last_at"),
    }
    rows = daily.select("event_date", "is_active", *(column.alias(name) for name, column in named.items())).collect()
    figures = {f"{row['event_date']}, {name}": row[name] for row in rows for name in named}
    return figures | {"active dates": sum(row["is_active"] for row in rows)}


class Posted(NamedTuple):
    source: str
    event_id: str
    day: date
    unix_ms: int
    app: str | None
    action: str


def _sources(events: Sequence[Posted]) -> dict[str, int]:
    figures: dict[str, int] = {}
    for source in {event.source for event in events}:
        its = [event for event in events if event.source == source]
        times = [event.unix_ms for event in its]
        # By its identifier each is a fact of its own; by what they say some are alike.
        alike = len({event.event_id for event in its}) - len({(each.unix_ms, each.app, each.action) for each in its})
        figures |= {f"{source}, identical rows": alike, f"{source}, sum of times (ms)": sum(times)}
        figures |= {f"{source}, first at (ms)": min(times), f"{source}, last at (ms)": max(times)}
    return figures
