"""What became of the triggers whose goal windows close on a night: treated against held out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from pyspark.sql import DataFrame

from conf.triggers import LONGEST
from jobs import acting, trigger_outcomes
from jobs.frames import local_frame
from jobs.ledger_records import Upstream
from jobs.runner import Night
from schemas.acting import CONTACT_HISTORY, SELECTIONS
from schemas.core import POSTED
from schemas.mart import CUSTOMER_PROFILE
from schemas.ops import EXPORTS
from schemas.outcomes import TRIGGER_OUTCOMES

ONE_DAY = timedelta(days=1)
FEEDBACK = POSTED["campaign_feedback"]


def run(night: Night) -> None:
    """Publish the outcomes of the nights that are stepped; of triggers that are switched off since as well."""
    triggers, days, close_after = night.settings.triggers, night.steps, night.settings.lake.close_after
    longest = max(trigger.goal_days for trigger in triggers) + close_after
    since = days[0] - timedelta(days=longest + LONGEST)
    assigned = _assigned(night, since, days[-1])
    if assigned is None:
        frame = local_frame(night.spark, [], TRIGGER_OUTCOMES.ddl(nullable=True))
    else:
        earlier = days[0] - timedelta(days=max(trigger_outcomes.SPANS) - 1)
        frame = trigger_outcomes.transform(
            assigned,
            night.lake.read_days(CUSTOMER_PROFILE.name, days),
            _feedback(night, days[0] - timedelta(days=longest)),
            _log(night, TRIGGER_OUTCOMES.name, earlier, days[0] - ONE_DAY),
            triggers,
            close_after=close_after,
            days=days,
        )
    staged = night.audited(TRIGGER_OUTCOMES.name, frame, days)
    windows = {trigger.goal_days + close_after for trigger in triggers}
    night.publish(staged, {day: _made_from(night, day, sorted(windows)) for day in days}, announced_empty=days)


def _assigned(night: Night, since: date, until: date) -> DataFrame | None:
    """Who was treated or held out of nights that were delivered; None where there were none."""
    contacts = _log(night, CONTACT_HISTORY.name, since, until)
    selections = _log(night, SELECTIONS.name, since, until)
    if contacts is None or selections is None:
        return None
    return acting.assigned(selections, contacts, _log(night, EXPORTS.name, since, until))


def _log(night: Night, table: str, since: date, until: date) -> DataFrame | None:
    if since > until or not night.ledger.published(table, since, until):
        return None
    return night.lake.read(table, known_on=until, since=since)


def _feedback(night: Night, since: date) -> DataFrame:
    if not night.settings.sources_of(FEEDBACK.name.partition(".")[2]):
        return local_frame(night.spark, [], FEEDBACK.ddl(nullable=True))
    return night.lake.read(FEEDBACK.name, known_on=night.last, since=since)


def _made_from(night: Night, day: date, windows: Sequence[int]) -> list[Upstream]:
    """The profile of the night, and the selections of the nights that close on it."""
    closing = [day - timedelta(days=window) for window in windows]
    found = [night.digests(SELECTIONS.name, each, each) for each in closing]
    return [upstream for told in (*found, night.digests(CUSTOMER_PROFILE.name, day, day)) for upstream in told.values()]
