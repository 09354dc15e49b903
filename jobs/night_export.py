"""The stage export: what the night leads to leaves the lake as lists, each behind its manifest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime

from jobs import night_audiences, night_icons, night_messages
from jobs.errors import Busy, Failed, Usage
from jobs.ledger import utc_now
from jobs.night_messages import Delivered
from jobs.pipeline import has_table
from jobs.runner import Night
from schemas.acting import CONTACT_HISTORY, SELECTIONS, TRIGGER_STATUS


def run(night: Night) -> None:
    """Deliver the lists of the night; those of a backfill only when a person asks for it."""
    if not has_table(night.settings, SELECTIONS.name) or not night.steps:
        return
    if night.run.command == "backfill":
        night.progress.note("the lists of these nights go out only when asked for: `clm deliver --date D`")
        return
    for day in night.steps:
        if is_replay(night, day) and not night.even_expired:
            night.progress.note(f"{day} was made by a backfill: its lists go out only by `clm deliver`")
        else:
            deliver(night, day)


def deliver(
    night: Night, day: date, *, triggers: Collection[str] | None = None, now: datetime | None = None
) -> list[Delivered]:
    """Bring the lists of a night up to date, of all triggers or of some; returns those of messages.

    Raises Busy where the night has not selected, and Failed where files cannot be written or a list is damaged.
    """
    for table in (SELECTIONS.name, TRIGGER_STATUS.name):
        if not night.ledger.published(table, day, day):
            raise Busy(f"{table} {day} is not published: run `clm run --date {day}` first.")
    now, damaged = now or night.now or utc_now(), list[str]()
    delivered = night_messages.deliver(night, day, triggers=triggers, now=now, damaged=damaged)
    night_audiences.export(night, day, now, triggers=triggers, damaged=damaged)
    if triggers is None:
        night_icons.export(night, day, now)
    _refuse_damaged(damaged)
    return delivered


def take_back(night: Night, last: date, now: datetime, triggers: Collection[str] | None = None) -> list[Delivered]:
    """Cancel what is out and should not be sent any more, and take out of the audiences who should not be in them.

    That is what was stopped, and who has withdrawn or was deleted; `last` is the last night. Returns the messages'.
    """
    damaged: list[str] = []
    taken = night_messages.take_back(night, now, triggers, damaged=damaged)
    night_audiences.export(night, last, now, triggers=triggers, only_remove=True, damaged=damaged)
    _refuse_damaged(damaged)
    return taken


def _refuse_damaged(damaged: Sequence[str]) -> None:
    """Raises Failed for lists that cannot be read, now that all the others are seen to."""
    if damaged:
        raise Failed("\n".join([*damaged, "All other lists were seen to."]))


def refuse_replay(night: Night, day: date) -> None:
    """Raises Usage for a night that a backfill made, unless a person wants even what is too late."""
    if is_replay(night, day) and not night.even_expired:
        raise Usage(
            f"{day} was made by a backfill, and its lists are not delivered. If they should be, say --even-expired."
        )


def is_replay(night: Night, day: date) -> bool:
    """Whether the night was made by a backfill, so that its lists go out only when a person asks for them."""
    if not night.ledger.published(CONTACT_HISTORY.name, day, day):
        return False
    contacts = night.lake.read_day(CONTACT_HISTORY.name, day)
    return contacts.where("mode = 'replay'").limit(1).count() > 0
