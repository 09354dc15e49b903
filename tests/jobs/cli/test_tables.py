"""`clm table` over a tiny real lake: what is shown, what is masked, and what is refused."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

import conf
from conf import Settings
from jobs import audit
from jobs.__main__ import main
from jobs.doctor import Check, examine
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.progress import Progress
from schemas.core import POSTED, STATES
from schemas.table import Table
from tests.jobs.history import conf_of

MON, TUE = date(2026, 1, 26), date(2026, 1, 27)
NOON = datetime(2026, 1, 26, 12, tzinfo=UTC)
TRANSACTIONS = POSTED["transactions"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("lake")
    return conf.load(environ={"CLM_LAKE": str(folder), "CLM_CONF": conf_of(folder)})


@pytest.fixture(scope="module")
def lake(spark: SparkSession, settings: Settings) -> Lake:
    """Two nights: a payment each, the second with a formula for a biller; one customer with a phone token."""
    ledger = Ledger.open(settings.ledger_url)
    run = ledger.start_run("run", MON, TUE)
    with ledger.lease(run) as lease:
        lake = Lake(spark, settings, ledger, run, lease)
        ledger.pin_lake(settings)
        payment: dict[str, Any] = {
            "customer_id": "U1",
            "occurred_at": NOON,
            "event_date": MON,
            "product": "recharge",
            "direction": "debit",
            "status": "success",
            "amount_minor": 19900,
            "currency": "INR",
            "is_implied": False,
            "source": "payments",
            "delivery_id": "p-1",
            "source_rows": 1,
        }
        write(
            lake, TRANSACTIONS, [payment | {"as_of_date": MON, "transaction_id": "T2", "counterparty_token": "k1_ab"}]
        )
        write(lake, TRANSACTIONS, [payment | {"as_of_date": TUE, "transaction_id": "T1", "biller_id": "=1+1"}])
        customer = {"as_of_date": TUE, "customer_id": "U1", "registered_at": NOON, "phone": "k1_cd", "row_hash": 1}
        write(lake, STATES["customers"], [customer])
    ledger.end_run(run.run_id, "done")
    return lake


def write(lake: Lake, table: Table, rows: list[dict[str, Any]]) -> None:
    values = [tuple(row.get(name) for name in table.column_names) for row in rows]
    frame = lake.spark.createDataFrame(values, table.ddl(nullable=True))
    days = sorted({row["as_of_date"] for row in rows})
    lake.publish(lake.stage(table, frame, days, audit.suites(table, lake.settings)), upstreams={})


@pytest.fixture(autouse=True)
def environment(lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLM_CONF", "CLM_ENV", "CLM_LEDGER_URL", "CLM_LANDING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLM_LAKE", settings.lake.root)
    monkeypatch.setenv("CLM_CONF", f"{settings.lake.root}/conf")


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    assert main(["table", *arguments, "--json", "--quiet"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_log_is_shown_as_known_on_the_last_night(capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(capsys, "core.transactions")
    assert [(row["as_of_date"], row["transaction_id"]) for row in rows] == [("2026-01-26", "T2"), ("2026-01-27", "T1")]
    assert rows[0]["occurred_at"] == "2026-01-26T12:00:00Z"


def test_an_earlier_date_does_not_know_what_came_later(capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["transaction_id"] for row in shown(capsys, "core.transactions", "--date", "2026-01-26")] == ["T2"]


def test_one_night_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["transaction_id"] for row in shown(capsys, "core.transactions", "--night")] == ["T1"]


def test_where_and_limit(capsys: pytest.CaptureFixture[str]) -> None:
    where = "product = 'recharge' and biller_id is not null"
    assert [row["transaction_id"] for row in shown(capsys, "core.transactions", "--where", where)] == ["T1"]
    assert len(shown(capsys, "core.transactions", "--limit", "1")) == 1


def test_personal_values_are_masked_and_pseudonyms_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    [customer] = shown(capsys, "core.customers_state")
    assert (customer["customer_id"], customer["phone"], customer["email"]) == ("U1", "•••", None)
    tokens = [row["counterparty_token"] for row in shown(capsys, "core.transactions")]
    assert tokens == ["•••", None], "someone else's token is masked, and null stays null"


def test_csv_takes_the_teeth_out_of_formulas(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "core.transactions", "--csv", "--quiet"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["biller_id"], row["is_implied"], row["merchant_id"]) for row in rows] == [
        ("", "false", ""),
        ("'=1+1", "false", ""),
    ]


def test_for_people_columns_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "core.transactions", "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "core.transactions, as known on 2026-01-27: 2 rows" in printed
    assert "merchant_id" not in printed
    assert "k1_ab" not in printed


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("counterparty_token = 'k1_ab'", "counterparty_token is masked"),
        ("prodct = 'recharge'", "did you mean product?"),
        ("reflect('java.lang.System', 'getenv') is null", "the function reflect() is not allowed"),
        ("transaction_id in (select 1)", "is not allowed in a condition"),
        ("rand() < 0.5", "the function rand() is not allowed"),
        ("product = 'recharge' -- all", "no comments"),
        ("product ==== 1", "not a condition"),
        ("amount_minor + 1", "no condition over these types"),
    ],
)
def test_a_condition_is_read_by_allow_list(where: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "core.transactions", "--where", where, "--quiet"]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["core.customers"], "Nothing of core.customers is published yet: run `clm run --date"),
        (
            ["core.transactions", "--date", "2026-01-28"],
            "core.transactions 2026-01-28 is not published, the last is 2026-01-27",
        ),
    ],
)
def test_a_day_that_is_not_there(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", *arguments, "--quiet"]) == 1
    assert said in capsys.readouterr().err


def checks(lake: Lake, settings: Settings) -> dict[str, Check]:
    return {check.name: check for check in examine(settings, lake.ledger, Progress())}


def test_the_doctor_finds_a_lake_well_then_a_key_posted_twice_then_a_lost_log_entry(
    lake: Lake, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    assert all(check.is_well for check in checks(lake, settings).values())
    path = lake.path("core.transactions")
    again = lake.spark.read.format("delta").load(path).where("transaction_id = 'T1'")
    again.write.format("delta").mode("append").save(path)
    twice = checks(lake, settings)["postings"]
    assert not twice.is_well
    assert twice.sentence.startswith("1 keys of core.transactions are posted twice")
    for entry in sorted((Path(path) / "_delta_log").glob("*.json"))[-2:]:
        entry.unlink()
    lost = checks(lake, settings)["tables"]
    assert not lost.is_well
    assert "core.transactions" in lost.sentence
    assert main(["doctor", "--json", "--quiet"]) == 1
    printed = capsys.readouterr()
    assert {row["check"] for row in map(json.loads, printed.out.splitlines()) if not row["ok"]} >= {"tables"}
    assert "found something wrong" in printed.err
