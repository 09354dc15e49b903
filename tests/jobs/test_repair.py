"""`clm repair` tells the next night to take what waits, and nothing else."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from jobs.__main__ import main
from jobs.errors import Busy, Failed
from jobs.ledger import Ledger
from jobs.repair import note
from tests.jobs.history import publish, publish_night, settings_of

MON, TUE, WED = date(2026, 1, 26), date(2026, 1, 27), date(2026, 1, 28)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(settings_of(tmp_path).ledger_url)


def test_the_night_after_the_last_takes_what_waits(ledger: Ledger) -> None:
    publish(ledger, "ops.deliveries", MON, waiting_rows=3)
    publish(ledger, "ops.deliveries", TUE, waiting_rows=-1)
    assert note(ledger) == note(ledger) == (WED, 2)
    assert ledger.repairs() == [WED]
    assert [run.outcome for run in ledger.runs(WED)] == ["done", "done"]


def test_a_night_that_has_begun_and_not_ended_is_the_next(ledger: Ledger) -> None:
    publish(ledger, "ops.deliveries", MON, waiting_rows=3)
    publish(ledger, "core.transactions", TUE)
    assert note(ledger) == (TUE, 3)


def test_where_nothing_waits_nothing_is_noted(ledger: Ledger) -> None:
    publish(ledger, "ops.deliveries", MON, waiting_rows=3)
    publish(ledger, "ops.deliveries", TUE, waiting_rows=-3)
    assert note(ledger) is None
    assert ledger.repairs() == []


def test_it_waits_for_a_run_that_is_at_work(ledger: Ledger) -> None:
    publish(ledger, "ops.deliveries", MON, waiting_rows=3)
    with ledger.lease(ledger.start_run("run", TUE, TUE)), pytest.raises(Busy):
        note(ledger)
    assert ledger.repairs() == []


def test_without_a_night_there_is_nothing_to_repair(ledger: Ledger) -> None:
    with pytest.raises(Failed, match="Nothing is published yet"):
        note(ledger)


def test_the_command_says_which_night(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLM_LAKE", str(tmp_path))
    settings = settings_of(tmp_path)
    publish_night(ledger, settings, MON)
    assert main(["repair"]) == 0
    assert "No row waits." in capsys.readouterr().err
    publish(ledger, "ops.deliveries", MON, waiting_rows=3)
    assert main(["repair"]) == 0
    assert "3 rows wait; the night of 2026-01-27 will take them." in capsys.readouterr().err
