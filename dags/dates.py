"""Which night a run of a DAG is for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

# What waits for the lake comes again after 5, 10, 20, 40 minutes and then every hour, for five hours.
RETRIES = {"retries": 8, "retry_exponential_backoff": 2, "max_retry_delay": timedelta(hours=1)}
# Kinds of runs that are for the interval of the timetable.
BY_INTERVAL = ("scheduled", "backfill")


def as_of(dag_run: Any, zone: str) -> str:
    """The as-of date of a run, in the lake's zone; Airflow's own `ds` is the date in UTC, which is another one.

    A scheduled run and one of a backfill are for the day on which their interval begins, one that a person started
    for the date that they named, else for the day before it was started: the same for all its tasks and retries.
    """
    if named := (dag_run.conf or {}).get("date"):
        return str(named)
    # An enumeration, whose own text names its class as well.
    kind = getattr(dag_run.run_type, "value", dag_run.run_type)
    moment = dag_run.data_interval_start if kind in BY_INTERVAL else _time(dag_run.run_after) - timedelta(days=1)
    return _time(moment).astimezone(ZoneInfo(zone)).date().isoformat()


def _time(told: datetime | str) -> datetime:
    """Airflow tells a deadline's callback times as text."""
    return datetime.fromisoformat(told) if isinstance(told, str) else told
