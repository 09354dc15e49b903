"""Airflow as `make airflow` has it, for tests: started in a folder of its own, asked by its API, and ended."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "dags" / "airflow.sh"
PYTHON = Path(os.environ.get("CLM_AIRFLOW_VENV", ROOT / ".venv-airflow")) / "bin" / "python"
PATIENCE_SECONDS = 1200


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@dataclass(frozen=True)
class Airflow:
    """One Airflow at work on the lake that `environ` names, with all that it keeps in `home`."""

    home: Path
    port: int
    lake: Mapping[str, str]

    @property
    def environ(self) -> dict[str, str]:
        own = {"AIRFLOW_HOME": str(self.home), "AIRFLOW_PORT": str(self.port), "CLM_VENV": sys.prefix}
        # A lake that is busy is tried again soon, and the tests' own DAGs are read beside the lake's.
        soon = {"AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "15", "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10"}
        return {**os.environ, **self.lake, **own, **soon}

    def script(self, *args: str) -> str:
        """What `dags/airflow.sh` prints; AssertionError with what it said where it fails."""
        done = subprocess.run([SCRIPT, *args], env=self.environ, capture_output=True, text=True, check=False)
        assert not done.returncode, f"{args}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def processes(self) -> list[str]:
        """The command lines of all that is at work for it."""
        found: list[str] = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"AIRFLOW_HOME={self.home}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
        return found

    def api(self, method: str, path: str, body: Mapping[str, Any] | None = None, *, token: str | None = None) -> Any:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        content = None if body is None else json.dumps(body).encode()
        request = Request(f"http://127.0.0.1:{self.port}{path}", content, headers, method=method)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The answer of the API to the one user."""
        password = json.loads((self.home / "run" / "password.json").read_text())["clm"]
        told = self.api("POST", "/auth/token", {"username": "clm", "password": password})
        return self.api(method, f"/api/v2{path}", body, token=told["access_token"])

    def runs(self, dag: str = "clm_nightly") -> dict[str, dict[str, Any]]:
        """The DAG's runs by their ids."""
        return {run["dag_run_id"]: run for run in self.ask("GET", f"/dags/{dag}/dagRuns?limit=100")["dag_runs"]}

    def tasks(self, run: str, dag: str = "clm_nightly") -> dict[str, dict[str, Any]]:
        """The tasks of a run by their names."""
        found = self.ask("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def trigger(self, run: str, day: str, dag: str = "clm_nightly") -> None:
        body = {"dag_run_id": run, "logical_date": None, "conf": {"date": day}}
        self.ask("POST", f"/dags/{dag}/dagRuns", body)

    def switch_on(self, dag: str) -> None:
        self.ask("PATCH", f"/dags/{dag}", {"is_paused": False})


def wait_until(what: str, is_so: Callable[[], Any], *, seconds: float = PATIENCE_SECONDS) -> Any:
    """What `is_so` returns once that is true; AssertionError where it does not become so."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := is_so():
            return found
        time.sleep(2)
    raise AssertionError(f"{what}: not within {seconds} seconds")
