"""Nights by a real scheduler, and the same ones by `clm run`: a task that is killed, data that is refused, a backfill.

One Airflow over one lake, step by step, each taking up what the one before has left. Yesterday is the scheduled night;
those after it are started by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs.ledger import Ledger
from jobs.pipeline import stages
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from tests.airflow.installed import PYTHON, ROOT, Airflow, free_port, wait_until
from tests.conftest import Place
from tests.e2e.acting_lake import BASE, CAPS, CONSENTS, ONE_DAY, PEOPLE, PLANS, TRIGGERS
from tests.jobs.sources import HEADER

pytestmark = [
    pytest.mark.airflow,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(not PYTHON.exists(), reason="Airflow is not installed: `make test-airflow` does it"),
]

YESTERDAY = datetime.now(ZoneInfo("Asia/Kolkata")).date() - ONE_DAY
FIRST, LAST = YESTERDAY - 5 * ONE_DAY, YESTERDAY + 3 * ONE_DAY
LOADED = YESTERDAY - 4 * ONE_DAY
KILLED, REFUSED, BESIDE = YESTERDAY + ONE_DAY, YESTERDAY + 2 * ONE_DAY, LAST
# What a delivery that lies about itself is replaced by.
GOOD = [f"{HEADER},plan", f"late,anna,{REFUSED}T10:00:00+05:30,200,7"]


def deliver(place: Place) -> None:
    """anna and ben recharge day by day in turn; the delivery of one of the days does not hold what it says."""
    for n in range((LAST - FIRST).days + 1):
        day = FIRST + timedelta(days=n)
        who = ("anna", "ben")[n % 2]
        lines = GOOD if day == REFUSED else [f"{HEADER},plan", f"{who}-{n},{who},{day}T10:00:00+05:30,200,7"]
        folder = place.deliver("payments", day, lines)
        if day == REFUSED:
            manifest = json.loads((folder / "manifest.json").read_text())
            manifest["files"][0]["rows"] = 7
            (folder / "manifest.json").write_text(json.dumps(manifest))
        place.deliver("customers", day, [], name="part-0001.jsonl.gz")
        given = [
            {"customer": who, "purpose": purpose, "channel": "push", "since": f"{FIRST}T09:00:00+05:30"}
            for who in ("anna", "ben")
            for purpose in ("promotional", "service")
        ]
        rows = [json.dumps({**row, "until": None, "changed": row["since"]}) for row in given] if day == FIRST else []
        place.deliver("consents", day, rows, name="part-0001.jsonl.gz")


@pytest.fixture(scope="module")
def place(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A lake whose first days are loaded."""
    place = Place(tmp_path_factory.mktemp("airflow") / "lake")
    place.root.mkdir()
    place.configure(PLANS, PEOPLE, CONSENTS, base=BASE, caps=CAPS)
    (place.root / "conf" / "triggers").mkdir()
    (place.root / "conf" / "triggers" / "mine.toml").write_text(TRIGGERS)
    deliver(place)
    backfill(place.settings(), FIRST, LOADED, reason="first load", step_from=FIRST, progress=Progress())
    return place


@pytest.fixture(scope="module")
def by_hand(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same lake, of which each night is run by `clm run`."""
    copied = Place(tmp_path_factory.mktemp("by_hand") / "lake")
    shutil.copytree(place.root, copied.root)
    return copied.settings()


@pytest.fixture(scope="module")
def airflow(place: Place, by_hand: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    dags = tmp_path_factory.mktemp("dags")
    for name in ("nightly.py", "maintenance.py"):
        (dags / name).symlink_to(ROOT / "dags" / name)
    (dags / "consumer.py").symlink_to(Path(__file__).with_name("consumer.py"))
    environ = {**place.environ, "AIRFLOW__CORE__DAGS_FOLDER": str(dags)}
    found = Airflow(tmp_path_factory.mktemp("home"), free_port(), environ)
    found.script("start")
    try:
        yield found
    finally:
        found.script("stop")
        assert found.processes() == []


def listening(port: int) -> set[str]:
    """The addresses on which processes of this machine listen at the port, as Linux writes them."""
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1].rpartition(":")[0] for row in rows if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port}


def digests(settings: Settings, day: date) -> dict[str, Any]:
    """Table → rows and digest of the day, of all that tells of the business."""
    ledger = Ledger.open(settings.ledger_url)
    return {
        table: (found[day].rows, found[day].digest)
        for table in ledger.published_tables()
        if table != "ops.quality" and day in (found := ledger.published(table, day, day))
    }


def same(place: Place, by_hand: Settings, *days: date) -> None:
    for day in days:
        run_night(by_hand, day, progress=Progress())
    for day in days:
        own = digests(place.settings(), day)
        assert own
        assert own == digests(by_hand, day), day


def ended(airflow: Airflow, run: str, state: str = "success") -> dict[str, dict[str, Any]]:
    """The tasks of a run that has ended in this state."""
    found = wait_until(f"{run} ends", lambda: airflow.runs()[run]["state"] in ("success", "failed"))
    tasks = airflow.tasks(run)
    told = {name: (task["state"], task["try_number"]) for name, task in tasks.items()}
    assert found
    assert airflow.runs()[run]["state"] == state, told
    return tasks


def test_it_listens_on_this_machine_only_and_shows_its_password_to_nobody(airflow: Airflow) -> None:
    assert listening(airflow.port) == {"0100007F"}
    for name in ("password.json", "fernet", "api_secret", "jwt_secret"):
        assert (airflow.home / "run" / name).stat().st_mode & 0o077 == 0
    password = json.loads((airflow.home / "run" / "password.json").read_text())["clm"]
    assert len(password) > 20
    assert not any(password in log.read_text(errors="replace") for log in (airflow.home / "log").glob("*.log"))
    with pytest.raises(OSError, match="401"):
        airflow.api("GET", "/api/v2/dags")
    with pytest.raises(OSError, match="401"):
        airflow.api("POST", "/auth/token", {"username": "admin", "password": "admin"})


def test_who_is_late_is_told_of(airflow: Airflow, place: Place) -> None:
    wait_until("the DAGs are read", lambda: airflow.ask("GET", "/dags")["total_entries"] == 3, seconds=120)
    airflow.switch_on("consumer")
    airflow.ask("POST", "/dags/consumer/dagRuns", {"dag_run_id": "slow", "logical_date": None})
    [event] = wait_until("it is told", lambda: told_of(place, "late"), seconds=120)
    # Of a DAG that is not the nightly, the last night is told.
    assert (event["dag"], event["dag_run"], event["night"]) == ("consumer", "slow", str(LOADED))


def told_of(place: Place, event: str) -> list[dict[str, Any]]:
    events = Path(place.settings().lake.root) / "events.jsonl"
    told = [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []
    return [each for each in told if each["event"] == event]


def test_a_scheduled_night_waits_for_those_before_it(airflow: Airflow, place: Place, by_hand: Settings) -> None:
    """Yesterday's begins as it is switched on, three nights too early; then the three are backfilled in order."""
    airflow.switch_on("clm_nightly")
    [run] = wait_until("yesterday's night begins", lambda: [*airflow.runs()], seconds=120)
    wait_until("it is told to wait", lambda: airflow.tasks(run)["land"]["state"] == "up_for_retry")
    since, until = (f"{day}T00:00+05:30" for day in (LOADED + ONE_DAY, YESTERDAY))
    told = ("--from-date", since, "--to-date", until, "--max-active-runs", "1", "--reprocess-behavior", "failed")
    airflow.script("run", "backfill", "create", "--dag-id", "clm_nightly", *told)
    ended(airflow, run)
    runs = airflow.runs()
    assert {each["state"] for each in runs.values()} == {"success"}
    assert len(runs) == 4
    began = sorted(
        (each["start_date"], each["logical_date"]) for each in runs.values() if each["run_type"] == "backfill"
    )
    assert [logical for _, logical in began] == sorted(logical for _, logical in began)
    assert airflow.tasks(run)["land"]["try_number"] > 1
    same(place, by_hand, *(LOADED + n * ONE_DAY for n in range(1, 5)))


def test_whoever_waits_for_a_mart_is_told(airflow: Airflow) -> None:
    seen = airflow.home / "seen.jsonl"
    told = wait_until("the consumer ran", lambda: seen.exists() and seen.read_text().splitlines())
    assert {run for line in told for run in json.loads(line)} <= airflow.runs().keys()


def test_a_task_that_is_killed_is_tried_again(airflow: Airflow, place: Place, by_hand: Settings) -> None:
    airflow.trigger("killed", str(KILLED))
    java = wait_until("know is at work", lambda: at_work("know", KILLED))
    os.killpg(os.getpgid(java), signal.SIGKILL)
    tasks = ended(airflow, "killed")
    assert {name: task["try_number"] for name, task in tasks.items()}["know"] == 2
    same(place, by_hand, KILLED)


def at_work(stage: str, day: date) -> int | None:
    """The process that Spark has started for the stage of the night."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            told = (folder / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if {"--stage", stage, "--date", str(day)} <= {*told} and any(each.endswith("submitted.py") for each in told):
            return int(folder.name)
    return None


def test_refused_data_fails_at_once_and_a_cleared_run_goes_on(
    airflow: Airflow, place: Place, by_hand: Settings
) -> None:
    airflow.trigger("refused", str(REFUSED))
    tasks = ended(airflow, "refused", "failed")
    assert (tasks["land"]["state"], tasks["land"]["try_number"]) == ("failed", 1)
    assert {task["state"] for name, task in tasks.items() if name != "land"} == {"upstream_failed"}
    [told] = wait_until("it is told", lambda: told_of(place, "failed"))
    assert (told["event"], told["night"], told["outcome"], told["dag_run"]) == (
        "failed",
        str(REFUSED),
        "refused",
        "refused",
    )
    assert "payments" in told["why"]
    for each in (place, Place(Path(by_hand.landing).parent)):
        shutil.rmtree(each.landing / "payments" / str(REFUSED))
        each.deliver("payments", REFUSED, GOOD)
    airflow.ask("POST", "/dags/clm_nightly/dagRuns/refused/clear", {"dry_run": False, "only_failed": False})
    wait_until("it begins again", lambda: airflow.runs()["refused"]["state"] in ("queued", "running"))
    ended(airflow, "refused")
    same(place, by_hand, REFUSED)


def test_a_night_and_a_backfill_take_turns(airflow: Airflow, place: Place, by_hand: Settings) -> None:
    """The backfill makes two nights again while the newest one is made: all is as if one had followed the other."""
    before = {day: digests(place.settings(), day) for day in (YESTERDAY - ONE_DAY, YESTERDAY)}
    airflow.trigger("beside", str(BESIDE))
    since, until = (f"{day}T00:00+05:30" for day in (YESTERDAY - ONE_DAY, YESTERDAY + ONE_DAY))
    told = ("--from-date", since, "--to-date", until, "--max-active-runs", "1", "--reprocess-behavior", "completed")
    airflow.script("run", "backfill", "create", "--dag-id", "clm_nightly", *told)
    ended(airflow, "beside")
    wait_until("all have ended", lambda: {run["state"] for run in airflow.runs().values()} == {"success"})
    assert {day: digests(place.settings(), day) for day in before} == before
    same(place, by_hand, BESIDE)
    assert airflow.ask("GET", "/pools/clm_lake")["slots"] == 1


def test_housekeeping(airflow: Airflow) -> None:
    wait_until("the DAGs are read", lambda: airflow.ask("GET", "/dags")["total_entries"] == 3, seconds=120)
    airflow.switch_on("clm_maintenance")
    airflow.ask("POST", "/dags/clm_maintenance/dagRuns", {"dag_run_id": "by_hand", "logical_date": None})
    wait_until("it ends", lambda: airflow.runs("clm_maintenance")["by_hand"]["state"] in ("success", "failed"))
    tasks = airflow.tasks("by_hand", "clm_maintenance")
    assert {name: task["state"] for name, task in tasks.items()} == {"repair": "success", "maintain": "success"}


def test_the_runs_as_a_table(airflow: Airflow, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Printed for whoever looks: of what kind, which night, how it ended and how long it took."""
    rows: list[str] = []
    for name, run in sorted(airflow.runs().items(), key=lambda item: item[1]["start_date"]):
        began, done = (datetime.fromisoformat(run[key]).astimezone(UTC) for key in ("start_date", "end_date"))
        rows.append(f"{run['run_type']:<10} {name:<45} {run['state']:<8} {(done - began).seconds:>5} s")
    with capsys.disabled():
        print("", *rows, sep="\n")
    # Those that the backfill made again are the runs that there were.
    assert len(rows) == 7
    assert {*airflow.tasks("beside")} == {*stages(place.settings())}
