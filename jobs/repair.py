"""`clm repair`: the next night takes the rows that wait, as Sundays do. Notes it in the ledger; needs no Spark."""

from __future__ import annotations

from datetime import date, timedelta

from jobs.errors import Busy, ClmError, Failed
from jobs.ledger import Ledger
from jobs.status import waiting_rows
from schemas.ops import DELIVERIES

ONE_DAY = timedelta(days=1)


def note(ledger: Ledger) -> tuple[date, int] | None:
    """The night that will take them, and how many rows wait; None where none do, and then nothing is noted.

    Raises Busy where a run is at work, Failed where nothing is published yet.
    """
    last = ledger.days(DELIVERIES.name)
    if last is None:
        raise Failed("Nothing is published yet, so no row waits: run `clm run --date …` first.")
    run = ledger.start_run("repair", last[1] + ONE_DAY, last[1] + ONE_DAY)
    try:
        with ledger.lease(run):
            # Looked up again, for a night may have ended meanwhile: a night is over once its accounts are published.
            first, last_night = ledger.days(DELIVERIES.name) or last
            waiting = waiting_rows(ledger.published(DELIVERIES.name, first, last_night), last_night)
            if waiting > 0:
                ledger.note_repair(last_night + ONE_DAY)
    except ClmError as error:
        ledger.end_run(run.run_id, "busy" if isinstance(error, Busy) else "failed", str(error))
        raise
    ledger.end_run(run.run_id, "done")
    return (last_night + ONE_DAY, waiting) if waiting > 0 else None
