"""House policy of the DAGs, as Airflow's own Python reads them."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import conf
from dags import alerts, docs
from dags.dates import as_of
from jobs import pipeline
from tests.airflow.installed import PYTHON, ROOT
from tests.conftest import Place

FILES = sorted(path.stem for path in (ROOT / "dags").glob("*.py") if "with DAG(" in path.read_text())
LONGEST = 60
# Engines, and what takes long to load.
HEAVY = {"pyspark", "delta", "great_expectations", "pandas", "numpy", "pyarrow"}
needs_airflow = pytest.mark.skipif(not PYTHON.exists(), reason="Airflow is not installed: `make airflow` does it")


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "AIRFLOW_HOME": str(tmp_path_factory.mktemp("home"))}
    command = [PYTHON, "-m", "tests.airflow.read_dags", *(f"dags.{name}" for name in FILES)]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@needs_airflow
def test_every_dag_says_whose_it_is_and_what_it_does(read: dict[str, Any]) -> None:
    assert [dag["dag"] for dag in read["dags"]] == ["clm_maintenance", "clm_nightly"]
    for dag in read["dags"]:
        assert "clm" in dag["tags"]
        assert "runbook" in dag["doc"]
        assert (dag["catchup"], dag["has_failure_callback"]) == (False, True)
        for task in dag["tasks"].values():
            assert task["owner"] not in ("", "airflow")
            assert task["doc"]
            # The lake takes one at a time, and whoever finds it busy comes again.
            assert (task["pool"], task["type"]) == ("clm_lake", "ClmOperator")
            assert task["patience"] > 4 * 3600


@needs_airflow
def test_reading_a_dag_loads_no_engine(read: dict[str, Any]) -> None:
    assert not HEAVY & {*read["loaded"]}


@needs_airflow
def test_the_night_is_that_of_the_pipeline(read: dict[str, Any]) -> None:
    [dag] = [dag for dag in read["dags"] if dag["dag"] == "clm_nightly"]
    settings = conf.load(environ={})
    assert tuple(dag["tasks"]) == pipeline.STAGES
    assert {(before, name) for name, task in dag["tasks"].items() for before in task["after"]} == pipeline.edges(
        settings
    )
    assert all(task["depends_on_past"] for task in dag["tasks"].values())
    assert dag["has_deadline"]
    # Nights that wait for a failed one must not keep it from being run again.
    assert dag["max_active_runs"] > 7
    for stage, task in dag["tasks"].items():
        assert task["arguments"] == ["run", "--date", "{{ as_of(dag_run) }}", "--stage", stage, "--quiet"]
    announced = [uri for task in dag["tasks"].values() for uri in task["outlets"]]
    assert sorted(announced) == sorted(
        f"x-clm://{table.name}" for table in pipeline.tables(settings) if table.layer == "mart"
    )


def test_a_dag_file_says_when_and_in_what_order_and_no_more() -> None:
    assert FILES == ["maintenance", "nightly"]
    for name in FILES:
        text = (ROOT / "dags" / f"{name}.py").read_text()
        assert len(text.splitlines()) <= LONGEST
        assert "def " not in text


MORNING = datetime(2026, 2, 5, 20, 30, tzinfo=UTC)  # two in the morning of the sixth, in India


@pytest.mark.parametrize(
    ("run", "night"),
    [
        # Scheduled and backfilled: the day on which the interval begins, which UTC calls the day before.
        ({"run_type": "scheduled", "data_interval_start": MORNING}, "2026-02-06"),
        ({"run_type": SimpleNamespace(value="backfill"), "data_interval_start": MORNING, "conf": {}}, "2026-02-06"),
        ({"conf": {"date": "2026-01-31"}}, "2026-01-31"),
        # Without a date: the day before it was started, in India; whenever its tasks are tried.
        ({"run_after": datetime(2026, 2, 6, 18, 29, tzinfo=UTC)}, "2026-02-05"),
        ({"run_after": datetime(2026, 2, 6, 18, 31, tzinfo=UTC)}, "2026-02-06"),
        ({"conf": {"date": None}, "run_after": datetime(2026, 2, 6, 12, tzinfo=UTC)}, "2026-02-05"),
        # Whatever interval Airflow has found for it, and as a deadline's callback is told of it.
        ({"data_interval_start": "2026-02-04T20:30:00Z", "run_after": "2026-02-05T19:30:00Z"}, "2026-02-05"),
    ],
)
def test_which_night_a_run_is_for(run: dict[str, Any], night: str) -> None:
    told = SimpleNamespace(
        **{"conf": None, "run_type": "manual", "data_interval_start": None, "run_after": None, **run}
    )
    assert as_of(told, "Asia/Kolkata") == night


def test_what_is_told_when_a_run_fails_or_is_late(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a deadline Airflow tells a dict of texts, of a failure an object."""
    for name, value in place.environ.items():
        monkeypatch.setenv(name, value)
    place.configure()
    run = {"dag_id": "clm_nightly", "conf": {}, "run_type": "scheduled", "data_interval_start": "2026-02-05T20:30:00Z"}
    asyncio.run(alerts.late({"dag_run": {**run, "dag_run_id": "scheduled__1"}, "deadline": {}}))
    asyncio.run(alerts.late({"dag_run": {**run, "run_type": "backfill", "dag_run_id": "backfill__1"}, "deadline": {}}))
    alerts.failed({"dag_run": SimpleNamespace(**{**run, "data_interval_start": MORNING}, run_id="scheduled__2")})
    alerts.failed({"dag_run": SimpleNamespace(**{**run, "dag_id": "clm_maintenance"}, run_id="scheduled__3")})
    told = [json.loads(line) for line in (place.root / "lake" / "events.jsonl").read_text().splitlines()]
    assert [(each["event"], each["night"], each["dag"], each["dag_run"]) for each in told] == [
        ("late", "2026-02-06", "clm_nightly", "scheduled__1"),
        ("failed", "2026-02-06", "clm_nightly", "scheduled__2"),
        ("failed", "2026-02-06", "clm_maintenance", "scheduled__3"),
    ]


def test_the_page_of_the_dags_is_in_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert docs.main(["--check"]) == 0
    monkeypatch.setattr(docs, "PAGE", tmp_path / "dags.md")
    assert docs.main(["--check"]) == 1
    assert docs.main([]) == 0
    assert docs.main(["--check"]) == 0
    assert docs.main(["--chek"]) == 2


@pytest.mark.parametrize("given", ["", "stort", "start now please"])
def test_the_script_says_how_it_is_used(given: str, tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("Airflow is not installed: `make airflow` does it")
    command = [ROOT / "dags" / "airflow.sh", *given.split()][:2]
    environ = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "CLM_VENV": sys.prefix}
    if given.startswith("start"):
        environ["CLM_AIRFLOW_VENV"] = str(tmp_path)
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    said = "Airflow is not installed: say make airflow" if given.startswith("start") else "Usage:"
    assert (done.returncode, said in done.stderr) == (1 if given.startswith("start") else 2, True)
