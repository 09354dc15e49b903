"""Which night a run of a DAG is for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo


def as_of(dag_run: Any, zone: str) -> str:
    """The as-of date of a run, in the lake's zone; Airflow's own `ds` is the date in UTC, which is another one.

    A scheduled run and one of a backfill are for the day on which their interval begins, one that a person started
    for the date that they named, else for the day before it was started: the same for all its tasks and retries.
    """
    if named := (dag_run.conf or {}).get("date"):
        return str(named)
    moment: datetime = dag_run.data_interval_start or dag_run.run_after - timedelta(days=1)
    return moment.astimezone(ZoneInfo(zone)).date().isoformat()
