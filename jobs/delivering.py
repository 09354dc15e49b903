"""What a person does about lists between two nights: deliver them, stop them, let them go on, tell who withdrew."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from pathlib import Path

from conf import Settings
from conf.errors import hint
from jobs import night_export, night_messages, staleness
from jobs.errors import Busy, Failed, Usage
from jobs.ledger import Ledger, utc_now
from jobs.night_messages import Delivered
from jobs.night_revocations import export
from jobs.progress import Progress
from jobs.runner import opened
from schemas.acting import SELECTIONS, TRIGGER_STATUS

# Every trigger, in the ledger's list of what is stopped.
ALL = ""


def deliver(
    settings: Settings,
    day: date,
    *,
    triggers: Collection[str] | None = None,
    even_expired: bool = False,
    progress: Progress,
    now: datetime | None = None,
) -> list[Delivered]:
    """Deliver the lists of a night, of all its triggers or of some; what is delivered already stays as it is.

    Raises Busy where its selections are not there or are stale; Usage for a night that a backfill made and a trigger
    that it does not have, unless a person wants even those that are too late.
    """
    _refuse_stale(settings, day)
    with opened(settings, "deliver", day, day, None, progress) as night:
        night.even_expired = even_expired
        night_export.refuse_replay(night, day)
        return night_export.deliver(night, day, triggers=triggers, now=now)


def stop(
    settings: Settings, trigger: str | None, reason: str, *, progress: Progress, now: datetime | None = None
) -> list[Delivered]:
    """From now on nothing of the trigger is delivered (None: of any); what is out and has not expired is cancelled.

    That nothing more goes out holds at once, whoever has the lake. Raises Usage for a trigger that nobody knows, and
    Busy where the cancelling has to wait for another run.
    """
    ledger = Ledger.open(settings.ledger_url)
    if trigger is not None:
        _refuse_unknown(settings, trigger)
    ledger.stop(trigger or ALL, reason)
    try:
        last = ledger.days(TRIGGER_STATUS.name)
        if last is None:
            return []
        with opened(settings, "stop", last[1], last[1], None, progress) as night:
            return night_export.take_back(night, last[1], now or utc_now(), {trigger} if trigger else None)
    except Busy as busy:
        raise Busy(
            f"Stopped: nothing more goes out. What is out is not cancelled yet, since {busy}. Then say this again."
        ) from None


def resume(settings: Settings, trigger: str | None) -> list[str]:
    """Take the stop of a trigger back, or of all; returns what was stopped. Raises Usage where it was not."""
    ledger = Ledger.open(settings.ledger_url)
    stops = ledger.stops()
    if trigger is not None and trigger not in stops:
        raise Usage(f"{trigger} is not stopped; stopped: {', '.join(filter(None, stops)) or 'none'}.")
    return ledger.resume(trigger)


def export_revocations(
    settings: Settings, *, progress: Progress, now: datetime | None = None
) -> tuple[dict[str, object] | None, list[Delivered]]:
    """List who withdrew since the last night, and cancel what is out for them; the list's manifest, and the lists.

    None where nothing was landed since.
    """
    now = now or utc_now()
    last = Ledger.open(settings.ledger_url).days(TRIGGER_STATUS.name)
    if last is None:
        raise Failed("No night has selected yet, so nobody is told anything: run `clm run --date …` first.")
    with opened(settings, "export", last[1], last[1], None, progress) as night:
        return export(night, now), night_export.take_back(night, last[1], now)


def _refuse_stale(settings: Settings, day: date) -> None:
    published = staleness.publications(settings, Ledger.open(settings.ledger_url))
    if upstream := staleness.stale_days(published).get((SELECTIONS.name, day)):
        raise Busy(
            f"{SELECTIONS.name} {day} is stale: {upstream.table} {upstream.day} has changed since, or is stale itself. "
            f'Nothing stale is delivered: run `clm backfill --from {day} --to {day} --reason "…"` first.'
        )


def _refuse_unknown(settings: Settings, trigger: str) -> None:
    configured = {each.name for each in settings.triggers}
    lists = Path(settings.lake.root) / "exports" / night_messages.LIST
    there = {path.name for path in lists.glob("*")} if lists.is_dir() else set()
    if trigger not in configured | there:
        raise Usage(f"There is no trigger {trigger!r}{hint(trigger, configured | there)}.")
