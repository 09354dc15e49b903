"""Whether a run has few rows before it: what the ledger knows, and what lies in the landing folder for its nights."""

from __future__ import annotations

from datetime import date

import pytest

from conf import Settings
from jobs import workload
from jobs.ledger import Ledger
from jobs.workload import MOST_ROWS, has_few_rows
from tests.conftest import Place
from tests.jobs.history import publish
from tests.jobs.sources import CUSTOMERS

DAY = date(2026, 1, 3)


@pytest.fixture
def settings(place: Place) -> Settings:
    (place.root / "lake").mkdir()
    return place.configure(CUSTOMERS)


@pytest.fixture
def ledger(settings: Settings) -> Ledger:
    return Ledger.open(settings.ledger_url)


def test_an_empty_lake_without_deliveries_has_few(settings: Settings, ledger: Ledger) -> None:
    assert has_few_rows(settings, ledger, DAY, DAY)


def test_one_large_table_is_many(settings: Settings, ledger: Ledger) -> None:
    publish(ledger, "core.transactions", DAY, rows=MOST_ROWS)
    assert has_few_rows(settings, ledger)
    publish(ledger, "core.contacts_state", DAY, rows=MOST_ROWS + 1)
    assert not has_few_rows(settings, ledger)


def test_the_newest_day_counts(settings: Settings, ledger: Ledger) -> None:
    """A first load of years says nothing of the nights that follow it."""
    publish(ledger, "core.transactions", date(2026, 1, 1), rows=MOST_ROWS + 1)
    publish(ledger, "core.transactions", DAY, rows=1)
    assert has_few_rows(settings, ledger)


def test_only_deliveries_of_the_nights_count(
    place: Place, settings: Settings, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workload, "MOST_BYTES", 1_000)
    place.deliver("customers", DAY, ["id", *(f"{number * 7919 % 10_007}" for number in range(2_000))])
    assert not has_few_rows(settings, ledger, DAY, DAY)
    assert has_few_rows(settings, ledger, date(2026, 1, 1), date(2026, 1, 2))


def test_what_is_wrong_with_a_folder_is_for_landing_to_say(place: Place, settings: Settings, ledger: Ledger) -> None:
    """A later stage of a night does not look at it at all."""
    (place.landing / "customers" / "2026-02-30").mkdir(parents=True)
    assert has_few_rows(settings, ledger, DAY, DAY)
