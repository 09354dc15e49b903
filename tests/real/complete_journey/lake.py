"""A temporary lake of the Complete Journey campaigns, onboarded by the configuration beside this file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from conf import Settings
from jobs.progress import Progress
from jobs.runner import backfill
from tests.real.complete_journey.expected import CAMPAIGNS, FIRST, LAST, REDEMPTIONS
from tests.real.onboarding import accounts, lake_of, onboard


def landed(root: Path, data: Path) -> Settings:
    """Both dumps in a landing folder; the lake is still empty."""
    return onboard(root, data, (CAMPAIGNS, REDEMPTIONS), Path(__file__).parent / "conf")


def loaded(root: Path, data: Path, progress: Progress, *, since: date = FIRST) -> Settings:
    """Both dumps as one range until they are posted: nothing that is known of customers comes from feedback."""
    settings = landed(root, data)
    backfill(settings, since, LAST, reason="first load", until="conform", progress=progress)
    return settings


def figures(settings: Settings, known_on: date = LAST) -> dict[str, int]:
    """What the lake says, under the names of `expected.computed`; its few thousand postings are read once."""
    lake = lake_of(settings)
    posted = lake.read("core.campaign_feedback", known_on=known_on).select("trigger_id", "outcome", "occurred_at")
    return accounts(lake, known_on) | outcomes([Feedback(*row) for row in posted.collect()])


class Feedback(NamedTuple):
    trigger_id: str
    outcome: str
    occurred_at: datetime

    @property
    def campaign(self) -> str:
        return f"campaign {self.trigger_id.split('-')[0]}"

    @property
    def household(self) -> str:
        return self.trigger_id.split("-")[1]


def outcomes(posted: Collection[Feedback]) -> dict[str, int]:
    """What became of the triggers, by campaign and by time."""
    return _households(posted) | _times(posted)


def _households(feedback: Collection[Feedback]) -> dict[str, int]:
    sent, converted = ([each for each in feedback if each.outcome == outcome] for outcome in ("sent", "converted"))
    targeted = {each.trigger_id for each in sent}
    figures = {"redeemed without being targeted": len({each.trigger_id for each in converted} - targeted)}
    for stage, reached in {"targeted": sent, "redeemed": converted}.items():
        for campaign in {each.campaign for each in feedback}:
            figures[f"{campaign}, {stage}"] = len({each.household for each in reached if each.campaign == campaign})
        figures[f"all campaigns, {stage}"] = len({each.household for each in reached})
    return figures


def _times(feedback: Collection[Feedback]) -> dict[str, int]:
    return dict(Counter(f"{each.outcome} at {each.occurred_at:%Y-%m-%d %H:%M:%S}" for each in feedback))
