"""Whom a trigger would write to tonight, and where everybody else ends, before anybody is sent anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from jobs.engines.base import Engine
from jobs.errors import Failed
from jobs.funnel import counted, eligible_on, guarded, selections_of, standings
from jobs.lake import Lake
from jobs.pipeline import stepped_on
from jobs.rules.book import RuleBook
from jobs.rules.triggers import TriggerRule
from schemas.acting import SELECTED, SELECTIONS, STEPS
from schemas.judgement import CUSTOMER_SEGMENTS

SAMPLE = 5


@dataclass(frozen=True)
class FunnelPreview:
    """A trigger by the rules as they are now, in competition with all others, on what was known on `day`.

    `before`: how many the night before found eligible; None where it selected nobody yet. `held`: why the size guard
    holds it back. `steps`: where the eligible end, in the order of the funnel; `channels`: how the selected are
    reached. `sample`: a few of the selected, by masked id, with what goes out with them.
    """

    name: str
    about: str
    text: str
    day: date
    eligible: int
    before: int | None
    held: str | None
    steps: Mapping[str, int]
    channels: Mapping[str, int]
    sample: Sequence[Mapping[str, Any]]


def preview(lake: Lake, book: RuleBook, engines: Sequence[Engine], trigger: TriggerRule, day: date) -> FunnelPreview:
    """The funnel of one trigger; raises Failed where what it reads of the day is not kept."""
    for table in (*stepped_on(lake.settings), CUSTOMER_SEGMENTS.name):
        if not lake.ledger.published(table, day, day):
            nearest = lake.ledger.nearest_kept(table, day)
            hint = f"; the nearest is of {nearest}" if nearest else ""
            raise Failed(f"{table} of {day} is not kept (the last 7 days are, and month ends){hint}.")
    found = eligible_on(lake, book, engines, [day]).persist()
    try:
        counts = counted(found, [day])
        standing = standings(lake, book, engines, counts)
        held = guarded(standing)
        chosen = selections_of(lake, book, found, held, [day]).where(f"trigger = '{trigger.name}'").persist()
        ended = {
            (row["step"], row["channel"]): row["count"] for row in chosen.groupBy("step", "channel").count().collect()
        }
        sample = chosen.where(f"step = '{SELECTED}'").orderBy("trigger_id").limit(SAMPLE)
        told = sample.selectExpr(
            "concat('•••', if(length(customer_id) < 6, '', right(customer_id, 2))) as customer", "channel", "evidence"
        ).collect()
        chosen.unpersist()
    finally:
        found.unpersist()
    return FunnelPreview(
        name=trigger.name,
        about=trigger.policy.about,
        text=trigger.predicate.text,
        day=day,
        eligible=sum(ended.values()),
        before=_before(lake, trigger.name, day),
        held=held.get((day, trigger.name)),
        steps={step: sum(n for (at, _), n in ended.items() if at == step) for step in STEPS},
        channels={str(channel): n for (step, channel), n in sorted(ended.items()) if step == SELECTED},
        sample=[row.asDict() for row in told],
    )


def _before(lake: Lake, name: str, day: date) -> int | None:
    yesterday = day - timedelta(days=1)
    if not lake.ledger.published(SELECTIONS.name, yesterday, yesterday):
        return None
    return lake.read_day(SELECTIONS.name, yesterday).where(f"trigger = '{name}'").count()
