"""ops.deliveries: what became of each source row of each delivery, night by night."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import SparkSession

from jobs import accounts
from jobs.accounts import Account, Counts, Tally
from jobs.conform import DUPLICATE, IMPLIED, QUARANTINED, TAKEN, WAITING
from jobs.frames import local_frame
from schemas.core import POSTED, QUARANTINE
from schemas.ops import DELIVERIES
from tests.jobs.rows import CUSTOMER, PAYMENT, cells, table_frame

SATURDAY, SUNDAY = date(2026, 1, 31), date(2026, 2, 1)
LANDED = Account(SATURDAY, "app", "app-1", SATURDAY)
TAKING = Account(SUNDAY, "app", "app-1", SATURDAY)


def group(night: date, outcome: str, rows: int, bits: int = 0, records: int | None = None) -> Tally:
    return Tally(night, SATURDAY, "app", "app-1", outcome, bits, rows if records is None else records, rows)


def settle(
    *tallies: Tally,
    accepted: Mapping[date, tuple[int, int]],
    refused: Mapping[date, int] | None = None,
    delivered: int = 10,
) -> dict[Account, Counts]:
    return accounts.settle(
        {LANDED: delivered} if delivered else {},
        {"app-1": [SATURDAY]},
        tallies,
        {(night, "app-1"): counted for night, counted in accepted.items()},
        {(night, "app-1"): rows for night, rows in (refused or {}).items()},
    )


def test_the_night_that_lands_a_delivery() -> None:
    settled = settle(
        group(SATURDAY, DUPLICATE, 2),
        group(SATURDAY, QUARANTINED, 2, bits=0b01),
        group(SATURDAY, QUARANTINED, 1, bits=0b11),
        group(SATURDAY, WAITING, 1),
        accepted={SATURDAY: (4, 4)},
        refused={SATURDAY: 3},
    )
    assert settled == {
        LANDED: Counts(
            records=10, delivered=10, accepted=4, quarantined=3, duplicate=2, waiting=1, by_bits={0b01: 2, 0b11: 1}
        )
    }


def test_a_night_that_takes_what_waited_owes_it_to_the_night_that_landed_it() -> None:
    settled = settle(
        group(SATURDAY, WAITING, 6),
        group(SUNDAY, TAKEN, 3),
        group(SUNDAY, DUPLICATE, 2),
        group(SUNDAY, QUARANTINED, 1, bits=1),
        accepted={SATURDAY: (4, 4), SUNDAY: (3, 3)},
        refused={SUNDAY: 1},
    )
    assert settled[LANDED] == Counts(records=10, delivered=10, accepted=4, waiting=6)
    # Three posted, two known and one refused are six that no longer wait.
    assert settled[TAKING] == Counts(records=6, accepted=3, duplicate=2, quarantined=1, waiting=-6, by_bits={1: 1})


def test_a_night_of_its_own_that_takes_what_an_earlier_one_landed() -> None:
    assert settle(group(SUNDAY, TAKEN, 3), accepted={SUNDAY: (3, 3)}, delivered=0) == {
        TAKING: Counts(records=3, accepted=3, waiting=-3)
    }


def test_a_success_that_was_implied_is_no_row_that_was_delivered() -> None:
    settled = settle(group(SATURDAY, IMPLIED, 0, records=1), accepted={SATURDAY: (10, 10)})
    assert settled == {LANDED: Counts(records=10, delivered=10, accepted=10)}


def test_a_grouped_record_counts_all_its_rows() -> None:
    settled = settle(group(SATURDAY, DUPLICATE, 4, records=1), accepted={SATURDAY: (2, 6)})
    assert settled == {LANDED: Counts(records=3, delivered=10, accepted=6, duplicate=4)}


def test_each_part_of_a_dump_belongs_to_the_night_of_its_date() -> None:
    parts = {Account(night, "log", "all", night): 5 for night in (SATURDAY, SUNDAY)}
    settled = accounts.settle(
        parts, {"all": [SATURDAY, SUNDAY]}, [], {(SATURDAY, "all"): (5, 5), (SUNDAY, "all"): (4, 5)}, {}
    )
    assert settled == {
        Account(SATURDAY, "log", "all", SATURDAY): Counts(records=5, delivered=5, accepted=5),
        Account(SUNDAY, "log", "all", SUNDAY): Counts(records=4, delivered=5, accepted=5),
    }


def test_a_row_that_was_lost_shows() -> None:
    """Nothing is made to add up: delivered is from the manifest, accepted from what is about to be published."""
    (each,) = settle(group(SATURDAY, DUPLICATE, 2), accepted={SATURDAY: (7, 7)}).values()
    assert each.delivered - each.accepted - each.quarantined - each.duplicate - each.waiting == 1


def test_figures_are_counted_where_they_stand(spark: SparkSession) -> None:
    verdicts = local_frame(
        spark,
        [
            (SATURDAY, SATURDAY, "app", "app-1", DUPLICATE, 0, 1),
            (SATURDAY, SATURDAY, "app", "app-1", DUPLICATE, 0, 4),
            (SUNDAY, SATURDAY, "app", "app-1", TAKEN, 0, 1),
        ],
        "night date, landed_date date, source string, delivery_id string, outcome string, bits bigint,"
        "source_rows bigint",
    )
    assert sorted(accounts.tally(verdicts), key=lambda each: each.night) == [
        group(SATURDAY, DUPLICATE, 5, records=2),
        group(SUNDAY, TAKEN, 1),
    ]

    of_app = {"as_of_date": "2026-01-31", "delivery_id": "app-1"}
    implied = {**of_app, "source_rows": 0, "is_implied": "true"}
    payments = [{**of_app, "source_rows": 1}, {**of_app, "source_rows": 3}, implied]
    posted = table_frame(spark, POSTED["transactions"], payments, PAYMENT)
    assert accounts.accepted(posted) == {(SATURDAY, "app-1"): (2, 4)}  # what was implied was not delivered
    versions = table_frame(spark, POSTED["customers"], [{**of_app, "source_rows": 1}], CUSTOMER)
    assert accounts.accepted(versions) == {(SATURDAY, "app-1"): (1, 1)}

    names = [name for name in QUARANTINE.column_names if name in ("as_of_date", "delivery_id")]
    refused = local_frame(
        spark,
        [(SATURDAY, "app-1"), (SATURDAY, "app-1"), (SUNDAY, "app-2")],
        ", ".join(f"{name} {QUARANTINE.column(name).type}" for name in names),
    )
    assert accounts.refused(refused) == {(SATURDAY, "app-1"): 2, (SUNDAY, "app-2"): 1}


def test_one_row_is_one_delivery_in_one_night(spark: SparkSession) -> None:
    counts = {
        TAKING: Counts(records=3, accepted=3, waiting=-3),
        LANDED: Counts(records=10, delivered=10, accepted=4, quarantined=1, duplicate=2, waiting=3),
    }
    frame = accounts.transform(spark, counts, {"app": "transactions"})
    assert frame.columns == list(DELIVERIES.column_names)
    assert cells(frame) == [
        ("2026-01-31", "app-1", "app", "transactions", "2026-01-31", "10", "10", "4", "1", "2", "3", "0"),
        ("2026-02-01", "app-1", "app", "transactions", "2026-01-31", "3", "0", "3", "0", "0", "-3", "0"),
    ]
