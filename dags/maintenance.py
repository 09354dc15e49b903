"""The lake's housekeeping, once a week, by day, when no night is at work.

`repair` has the next night take the rows that wait. `maintain` lets go of what is kept no longer (partitions,
quarantine, lists: by the catalogue), writes checkpoints, removes files that no table names any more, and fails when
the disk will be full within a month. Each may run again at any time; see docs/runbook.md.
"""

from __future__ import annotations

import pendulum
from airflow.sdk import DAG, CronDataIntervalTimetable

import conf
from dags import alerts
from dags.dates import RETRIES
from dags.operators import ClmOperator

ZONE = conf.load(None).lake.zone

with DAG(
    "clm_maintenance",
    doc_md=__doc__,
    tags=["clm", "maintenance"],
    schedule=CronDataIntervalTimetable("0 11 * * 6", timezone=ZONE),
    start_date=pendulum.datetime(2026, 1, 1, tz=ZONE),
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "lake", "pool": "clm_lake", **RETRIES},
    on_failure_callback=alerts.failed,
) as dag:
    repair = ClmOperator(task_id="repair", command=["repair"], doc_md="Notes that the next night takes what waits.")
    maintain = ClmOperator(task_id="maintain", command=["maintain"], doc_md="Lets go of what is kept no longer.")
    repair >> maintain
