"""What is told when a run of a DAG fails or is late: its JSON event, as the ledger knows it."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import conf
from dags.dates import as_of
from jobs import events
from jobs.ledger import Ledger
from jobs.status import last_night

NIGHTLY = "clm_nightly"


def failed(context: dict[str, Any]) -> None:
    """A run of the DAG has failed."""
    _tell("failed", context)


async def late(context: dict[str, Any] | None = None, **_: Any) -> None:
    """A run of the DAG is not done by its deadline; of a backfill, whose nights are all late, nothing is told."""
    if context and context["dag_run"]["run_type"] != "backfill":
        _tell("late", context)


def _tell(event: str, context: dict[str, Any]) -> None:
    settings, run = conf.load(None), context["dag_run"]
    if isinstance(run, dict):  # So a deadline's callback has it.
        run = SimpleNamespace(**run, run_id=run["dag_run_id"])
    day = date.fromisoformat(as_of(run, settings.lake.zone))
    if run.dag_id != NIGHTLY:
        # Housekeeping is a run over the last night.
        day = last_night(settings, Ledger.open(settings.ledger_url)) or day
    events.tell(settings, events.of_night(settings, event, day, dag=run.dag_id, dag_run=run.run_id))
