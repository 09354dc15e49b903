"""The night, from deliveries to lists: one Spark application for each stage.

Runs at 02:00 in the lake's zone for the day that has just ended. By hand: Trigger, with the as-of date as `date`
(without one, yesterday). Past days: `airflow backfill create`, or better `clm backfill`, which makes a range at once.

A task that fails says why in its log, and docs/runbook.md what to type: exit 3, data was refused, and is not tried
again; exit 4, the lake is busy or a night is missing, and is. A night waits for the one before it, and everything
that writes the lake for its one slot in the pool `clm_lake`.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pendulum
from airflow.sdk import DAG, Asset, AsyncCallback, CronDataIntervalTimetable, DeadlineAlert, DeadlineReference, Param

import conf
from dags import alerts
from dags.dates import RETRIES, as_of
from dags.operators import ClmOperator
from jobs import pipeline

SETTINGS = conf.load(None)
ZONE = SETTINGS.lake.zone
DAY = "{{ as_of(dag_run) }}"

with DAG(
    alerts.NIGHTLY,
    doc_md=__doc__,
    tags=["clm", "nightly"],
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone=ZONE),
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    # Of nights that wait for a failed one, that one has to be let in; the pool lets one at a time write.
    max_active_runs=16,
    params={"date": Param(None, type=["null", "string"], format="date", description="The as-of date.")},
    user_defined_macros={"as_of": partial(as_of, zone=ZONE)},
    default_args={"owner": "lake", "pool": "clm_lake", "depends_on_past": True, **RETRIES},
    on_failure_callback=alerts.failed,
    # Due at six, 28 hours after its interval began. By the time of its queueing it could not be cleared (ADR 17).
    deadline=DeadlineAlert(DeadlineReference.DAGRUN_LOGICAL_DATE, timedelta(hours=28), AsyncCallback(alerts.late)),
) as dag:
    tasks = {
        stage: ClmOperator(
            task_id=stage,
            command=["run", "--date", DAY, "--stage", stage],
            outlets=[Asset(table, uri=f"x-clm://{table}") for table in pipeline.marts(SETTINGS, stage)],
            doc_md=pipeline.told(SETTINGS, stage),
        )
        for stage in pipeline.stages(SETTINGS)
    }
    for before, after in sorted(pipeline.edges(SETTINGS)):
        tasks[before] >> tasks[after]
