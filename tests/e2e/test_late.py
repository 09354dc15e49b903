"""What comes late ends in the same profiles as what came in time: a week in one piece, and a file that was wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs import planning, repair
from jobs.ledger import Ledger
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from jobs.status import statuses
from schemas.mart import CUSTOMER_PROFILE
from tests.conftest import Place
from tests.jobs.sources import CUSTOMERS, HEADER, payments

# Half a dozen runs of several nights: minutes on two cores.
pytestmark = pytest.mark.slow

MON, TUE, WED, THU, FRI, SAT = (date(2026, 1, 19) + timedelta(days=n) for n in range(6))
NIGHTS = (MON, TUE, WED, THU, FRI, SAT)
BASE = '[spark]\nmaster = "local[1]"\ndriver_memory = "1g"\nshuffle_partitions = 2\n[lake]\nclose_after = 3\n'
PAYMENTS = payments(top="late_days = 1\nrequired = false")
BACKFILLS = (
    '[[backfill]]\nfrom = 2026-01-19\nto = 2026-01-24\nreason = "rupees were paise"\nasked_by = "payments-team"\n'
)


def rows(day: date, *, rupees: str = "10.00") -> list[str]:
    """A payment of c1, who pays every day, and one of somebody new."""
    return [f"a{day.day},c1,{day} 10:00:00,{rupees}", f"b{day.day},c{day.day},{day} 11:00:00,20.00"]


def deliver_payments(place: Place, days: Sequence[date], **rupees: str) -> None:
    for day in days:
        place.deliver("payments", day, [HEADER, *rows(day, **rupees)])


def a_place(tmp_path_factory: pytest.TempPathFactory, name: str) -> Place:
    place = Place(tmp_path_factory.mktemp(name))
    place.configure(PAYMENTS, CUSTOMERS, base=BASE, backfills=BACKFILLS)
    for day in NIGHTS:
        place.deliver("customers", day, [], name="part-0001.jsonl.gz")
    return place


def load(settings: Settings, first: date, last: date) -> None:
    backfill(settings, first, last, reason="of a test", progress=Progress())


def profile(settings: Settings, day: date) -> tuple[int, str]:
    published = Ledger.open(settings.ledger_url).published(CUSTOMER_PROFILE.name, day, day)[day]
    return published.rows, published.digest


@pytest.fixture(scope="module")
def in_time(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A lake of six nights whose deliveries all came, and were right."""
    place = a_place(tmp_path_factory, "in_time")
    deliver_payments(place, NIGHTS)
    load(place.settings(), MON, SAT)
    return place.settings()


def test_a_feed_that_was_missing_comes_in_one_piece_and_is_repaired(
    in_time: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = a_place(tmp_path_factory, "missing")
    deliver_payments(place, [MON])
    settings = place.settings()
    load(settings, MON, THU)
    deliver_payments(place, [TUE, WED, THU, FRI])
    run_night(settings, FRI, progress=Progress())
    ledger = Ledger.open(settings.ledger_url)
    # Tuesday and Wednesday lie before Friday's look-back.
    assert repair.note(ledger) == (SAT, 4)
    assert profile(settings, FRI)[0] < profile(in_time, FRI)[0]
    deliver_payments(place, [SAT])
    run_night(settings, SAT, progress=Progress())
    assert profile(settings, SAT) == profile(in_time, SAT)
    assert not any(each.is_behind or each.state == "waiting" for each in statuses(settings, ledger, SAT))


@pytest.fixture(scope="module")
def corrected(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Mapping[str, object]]:
    """The same lake, whose Tuesday told paise for rupees; replaced after Friday, and Tuesday run again."""
    place = a_place(tmp_path_factory, "corrected")
    deliver_payments(place, [day for day in NIGHTS if day != TUE])
    deliver_payments(place, [TUE], rupees="1000.00")
    settings = place.settings()
    load(settings, MON, FRI)
    # The first correction is wrong as well, and replaced before anyone ran it.
    for suffix, replaces, rupees in (("-a", "-1", "100.00"), ("-b", "-a", "10.00")):
        changes = {"replaces": f"payments-2026-01-20{replaces}"}
        place.deliver("payments", TUE, [HEADER, *rows(TUE, rupees=rupees)], suffix=suffix, changes=changes)
    run_night(settings, SAT, progress=Progress())
    ledger = Ledger.open(settings.ledger_url)
    noted = [(each.table, each.day, each.state) for each in statuses(settings, ledger, SAT) if each.is_behind]
    planned = [(step.table, step.first, step.last) for step in planning.plan(settings, ledger, MON, SAT)]
    load(settings, TUE, TUE)
    return settings, {"noted": noted, "planned": planned}


def test_a_delivery_that_replaces_one_is_said_by_status_and_planned(
    corrected: tuple[Settings, Mapping[str, object]],
) -> None:
    _, before = corrected
    assert before["noted"] == [("raw.payments", TUE, "stale")]
    planned = before["planned"]
    assert isinstance(planned, list)
    assert planned[0] == ("raw.payments", TUE, TUE)
    assert ("core.transactions", TUE, TUE) in planned
    assert [step for step in planned if step[0] == CUSTOMER_PROFILE.name][-1][2] == SAT


def test_the_night_run_again_has_the_right_rows_and_makes_the_later_ones_stale(
    corrected: tuple[Settings, Mapping[str, object]], in_time: Settings
) -> None:
    settings, _ = corrected
    ledger = Ledger.open(settings.ledger_url)
    of_tuesday = {each.table: each.state for each in statuses(settings, ledger, TUE)}
    assert set(of_tuesday.values()) == {"published"}
    assert profile(settings, TUE) == profile(in_time, TUE)
    stale = {each.table for each in statuses(settings, ledger, SAT) if each.state == "stale"}
    assert {CUSTOMER_PROFILE.name, "mart.retention_cohorts"} <= stale
    assert profile(settings, SAT) != profile(in_time, SAT)


def test_replaying_what_is_stale_ends_where_a_right_delivery_would_have(
    corrected: tuple[Settings, Mapping[str, object]], in_time: Settings
) -> None:
    settings, _ = corrected
    load(settings, WED, SAT)
    ledger = Ledger.open(settings.ledger_url)
    assert profile(settings, SAT) == profile(in_time, SAT)
    assert planning.plan(settings, ledger, MON, SAT) == []
    accounts = ledger.published("ops.deliveries", MON, SAT)
    right = Ledger.open(in_time.ledger_url).published("ops.deliveries", MON, SAT)
    assert {day: each.rows for day, each in accounts.items()} == {day: each.rows for day, each in right.items()}
