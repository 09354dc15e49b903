"""Prints what Airflow's own Python finds in the DAG files, as JSON; for test_policy."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

from airflow.sdk import DAG


def read(module: str) -> dict[str, Any]:
    began = time.process_time()
    found = importlib.import_module(module)
    [dag] = [each for each in vars(found).values() if isinstance(each, DAG)]
    return {
        "dag": dag.dag_id,
        "seconds": time.process_time() - began,
        "tags": sorted(dag.tags),
        "doc": dag.doc_md or "",
        "max_active_runs": dag.max_active_runs,
        "catchup": dag.catchup,
        "has_failure_callback": bool(dag.on_failure_callback),
        "has_deadline": bool(dag.deadline),
        "timezone": str(dag.timezone),
        "tasks": {
            task.task_id: {
                "owner": task.owner,
                # Seconds for which it is tried again and again, by Airflow's default of five minutes.
                "patience": sum(
                    min(300 * task.retry_exponential_backoff**n, task.max_retry_delay.total_seconds())
                    for n in range(task.retries)
                ),
                "pool": task.pool,
                "doc": task.doc_md or "",
                "depends_on_past": task.depends_on_past,
                "after": sorted(task.upstream_task_ids),
                "outlets": sorted(outlet.uri for outlet in task.outlets),
                "arguments": task.application_args,
                "type": type(task).__name__,
            }
            for task in dag.tasks
        },
    }


# Airflow itself and its provider, which every file shares.
importlib.import_module("dags.operators")
dags = [read(name) for name in sys.argv[1:]]
loaded = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps({"dags": dags, "loaded": loaded}))
