"""A DAG of somebody else, which runs when the lake has published a mart."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pendulum
from airflow.sdk import DAG, Asset, task

SELECTIONS = Asset("mart.selections", uri="x-clm://mart.selections")

with DAG(
    "consumer",
    schedule=[SELECTIONS],
    start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
    catchup=False,
    max_active_runs=1,
):

    @task
    def seen(triggering_asset_events=None) -> None:
        """Notes by which runs of the lake it was woken."""
        told = [event.source_run_id for events in triggering_asset_events.values() for event in events]
        with (Path(os.environ["AIRFLOW_HOME"]) / "seen.jsonl").open("a") as opened:
            opened.write(json.dumps(sorted(told)) + "\n")

    seen()
