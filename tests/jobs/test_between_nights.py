"""A continuous source is landed between nights, and its night lands it again with what has come since."""

from __future__ import annotations

from datetime import date

import pytest
from pyspark.sql import SparkSession

from jobs.between_nights import land
from jobs.errors import Usage
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.progress import Progress
from jobs.runner import run_night
from jobs.status import last_night
from tests.conftest import Place
from tests.jobs.rows import cells
from tests.jobs.sources import HEADER, payments

MON, TUE = date(2026, 1, 26), date(2026, 1, 27)
CONTINUOUS = payments(top='cadence = "continuous"\nrequired = false')


def rows(spark: SparkSession, place: Place, table: str, day: date) -> list[tuple[str | None, ...]]:
    settings = place.settings()
    lake = Lake(spark, settings, Ledger.open(settings.ledger_url))
    return cells(lake.read_day(table, day), "payment" if table.startswith("raw") else "transaction_id")


def deliver(place: Place, suffix: str, payment: str, day: date = TUE) -> None:
    place.deliver("payments", day, [HEADER, f"{payment},c1,{day} 10:00:00,10.00"], suffix=suffix)


def test_what_came_is_in_raw_before_its_night_and_belongs_to_that_night(spark: SparkSession, place: Place) -> None:
    settings = place.configure(CONTINUOUS)
    deliver(place, "", "p0", MON)
    run_night(settings, MON, progress=Progress())
    deliver(place, "-1", "p1")
    assert land(settings, "payments", None, progress=Progress()) == (TUE, 1)
    assert rows(spark, place, "raw.payments", TUE) == [("p1",)]
    assert last_night(settings, Ledger.open(settings.ledger_url)) == MON  # no night has begun
    deliver(place, "-2", "p2")
    assert land(settings, "payments", None, progress=Progress()) == (TUE, 2)
    deliver(place, "-3", "p3")
    run_night(settings, TUE, progress=Progress())
    assert rows(spark, place, "core.transactions", TUE) == [("p1",), ("p2",), ("p3",)]
    with pytest.raises(Usage, match=f"The night of {TUE} is published"):
        land(settings, "payments", TUE, progress=Progress())


def test_a_source_that_delivers_once_a_day_is_left_to_its_night(place: Place) -> None:
    settings = place.configure(payments())
    with pytest.raises(Usage, match="payments delivers once a day"):
        land(settings, "payments", MON, progress=Progress())


def test_the_first_night_has_to_be_named(place: Place) -> None:
    with pytest.raises(Usage, match="name it with --date"):
        land(place.configure(CONTINUOUS), "payments", None, progress=Progress())
