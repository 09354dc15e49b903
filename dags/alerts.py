"""What is told when a night fails or is late: its JSON event, as the ledger knows it."""

from __future__ import annotations

from datetime import date
from typing import Any

import conf
from dags.dates import as_of
from jobs import events


def failed(context: dict[str, Any]) -> None:
    """A run of the DAG has failed."""
    _tell("failed", context)


async def late(context: dict[str, Any] | None = None, **_: Any) -> None:
    """A run of the DAG is not done by its deadline."""
    _tell("late", context or {})


def _tell(event: str, context: dict[str, Any]) -> None:
    settings, run = conf.load(None), context["dag_run"]
    where = {"dag": run.dag_id, "dag_run": run.run_id}
    day = date.fromisoformat(as_of(run, settings.lake.zone))
    events.tell(settings, events.of_night(settings, event, day, **where))
