"""A DAG of somebody else, which runs when the lake has published a mart; and is late."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pendulum
from airflow.sdk import DAG, Asset, AsyncCallback, DeadlineAlert, DeadlineReference, task

from dags import alerts

SELECTIONS = Asset("mart.selections", uri="x-clm://mart.selections")

with DAG(
    "consumer",
    schedule=[SELECTIONS],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
    deadline=DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(seconds=5), AsyncCallback(alerts.late)),
) as dag:

    @task
    def seen(triggering_asset_events=None) -> None:
        """Notes by which runs of the lake it was woken, and takes its time."""
        told = [event.source_run_id for events in (triggering_asset_events or {}).values() for event in events]
        with (Path(os.environ["AIRFLOW_HOME"]) / "seen.jsonl").open("a") as opened:
            opened.write(json.dumps(sorted(told)) + "\n")
        time.sleep(20)

    seen()
