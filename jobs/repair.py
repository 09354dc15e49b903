"""`clm repair`: the next night takes the rows that wait, as Sundays do. Notes it in the ledger; needs no Spark."""

from __future__ import annotations

from datetime import date, timedelta

from jobs.errors import Busy, ClmError, Failed
from jobs.ledger import Ledger
from jobs.status import waiting_rows
from schemas.ops import DELIVERIES


def note(ledger: Ledger) -> tuple[date, int] | None:
    """The night that will take them, and how many rows wait; None where none do, and then nothing is noted.

    Raises Busy where a run is at work, Failed where nothing is published yet.
    """
    days = ledger.days(DELIVERIES.name)
    if days is None:
        raise Failed("Nothing is published yet, so no row waits: run `clm run --date …` first.")
    # A night is over once its accounts are published: only one that has not begun can still be told.
    night = days[1] + timedelta(days=1)
    run = ledger.start_run("repair", night, night)
    try:
        with ledger.lease(run):
            waiting = waiting_rows(ledger.published(DELIVERIES.name, *days), days[1])
            if waiting:
                ledger.note_repair(night)
    except ClmError as error:
        ledger.end_run(run.run_id, "busy" if isinstance(error, Busy) else "failed", str(error))
        raise
    ledger.end_run(run.run_id, "done")
    return (night, waiting) if waiting else None
