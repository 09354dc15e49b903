"""The shapes and exit codes that other programs rely on, from a ledger alone."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

import conf
from conf import Settings
from jobs.__main__ import main
from jobs.ledger import Ledger
from jobs.staleness import tables_of
from tests.jobs.history import conf_of, publish, publish_night

MON, TUE = date(2026, 1, 26), date(2026, 1, 27)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name in ("CLM_ENV", "CLM_LEDGER_URL", "CLM_LANDING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLM_CONF", conf_of(tmp_path))
    monkeypatch.setenv("CLM_LAKE", str(tmp_path / "lake"))
    return conf.load()


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger_url)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_status_of_a_whole_night(settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    publish_night(ledger, settings, MON)
    assert main(["status", "--json"]) == 0
    rows = lines(capsys)
    assert [row["table"] for row in rows] == list(tables_of(settings))
    assert rows[0] == {
        "table": "raw.customers",
        "date": "2026-01-26",
        "state": "published",
        "generation": 1,
        "digest": "d1",
        "why": None,
    }


def test_status_is_exit_1_when_anything_is_behind(
    settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_night(ledger, settings, MON)
    publish(ledger, "raw.payments", TUE)
    assert main(["status"]) == 1, "the last night is Tuesday, of which only one table is there"
    printed = capsys.readouterr()
    assert "missing" in printed.out
    assert "15 of 16 tables and lists are behind" in printed.err
    assert main(["status", "--date", "2026-01-26"]) == 0


def test_a_snapshot_that_is_no_longer_kept_is_told_from_one_that_never_was(
    settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    for day in (MON, TUE):
        publish_night(ledger, settings, day)
    ledger.record([], {"mart.customer_profile": [MON]})
    assert main(["table", "mart.customer_profile", "--date", str(MON)]) == 1
    said = capsys.readouterr().err
    assert f"mart.customer_profile {MON} is no longer kept" in said
    assert f"The nearest is of {TUE}." in said


def test_status_where_rows_only_wait_is_exit_0(
    settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_night(ledger, settings, MON)
    publish(ledger, "ops.deliveries", MON, waiting_rows=4)
    assert main(["status", "--json"]) == 0
    assert {row["table"]: row["state"] for row in lines(capsys)}["ops.deliveries"] == "waiting"


def test_asking_begins_no_lake(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status"]) == 1
    assert "There is no lake at" in capsys.readouterr().err
    assert main(["status", "--date", "2026-01-26", "--json"]) == 1
    assert {row["state"] for row in lines(capsys)} == {"missing"}
    assert main(["plan", "--from", "2026-01-26", "--to", "2026-01-27", "--json"]) == 0
    assert lines(capsys)[0] == {
        "table": "raw.customers",
        "from": "2026-01-26",
        "to": "2026-01-27",
        "mode": "range",
        "why": "not published",
    }
    assert not Path(settings.lake.root).exists()


def test_a_plan_with_nothing_to_do_says_so(
    settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_night(ledger, settings, MON)
    assert main(["plan", "--from", "2026-01-26", "--to", "2026-01-26", "--json"]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Nothing to do" in printed.err


def test_a_plan_before_the_first_night_is_out_of_order(
    settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_night(ledger, settings, MON)
    assert main(["plan", "--from", "2026-01-25", "--to", "2026-01-26"]) == 4
    assert "begins on 2026-01-26" in capsys.readouterr().err


def test_digest_of_named_tables(settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for day in (MON, TUE):
        publish_night(ledger, settings, day)
    publish(ledger, "core.customers", TUE, digest="d2")
    assert main(["digest", "core.customers", "--from", "2026-01-26", "--to", "2026-01-27", "--json"]) == 0
    assert lines(capsys) == [
        {"table": "core.customers", "date": "2026-01-26", "rows": 10, "digest": "d1", "generation": 1},
        {"table": "core.customers", "date": "2026-01-27", "rows": 10, "digest": "d2", "generation": 2},
    ]


def test_digest_of_days_without_a_publication_is_exit_1(
    settings: Settings, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    publish_night(ledger, settings, MON)
    assert main(["digest", "--from", "2026-02-01", "--to", "2026-02-02"]) == 1
    assert "Nothing of this is published" in capsys.readouterr().err
