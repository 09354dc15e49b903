"""core.identity_links: whose device, phone and e-mail address it is, as each night learns it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import reduce
from random import Random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import identity, state
from schemas.core import POSTED, STATES
from tests.jobs.rows import CUSTOMER, DEVICE, EVENT, PAYMENT, Row, cells, table_frame

NIGHTS = [date(2026, 1, day) for day in range(1, 7)]
FEEDS = {"transactions": PAYMENT, "app_events": EVENT, "devices": DEVICE, "customers": CUSTOMER}
# (night, customer, valid from, valid to, evidence); days of January, at six o'clock.
Version = tuple[int, str, int, int | None, str]


@dataclass(frozen=True)
class Told:
    """A row of a feed."""

    feed: str
    row: Row


def told(feed: str, night: int, day: int | None, **more: Any) -> Told:
    time = f"2026-01-{day or night:02} 06:00"
    times = {"updated_at": time} if feed in ("devices", "customers") else {"occurred_at": time}
    return Told(feed, {"as_of_date": NIGHTS[night - 1], **times, **more})


def app(night: int, day: int | None = None, **more: Any) -> Told:
    return told("app_events", night, day, **{"device_id": "ID", "customer_id": "anna", **more})


def payment(night: int, day: int | None = None, **more: Any) -> Told:
    return told("transactions", night, day, **{"device_id": "ID", "customer_id": "anna", **more})


def device(night: int, day: int | None = None, **more: Any) -> Told:
    return told("devices", night, day, **{"device_id": "ID", "customer_id": "anna", **more})


def phone(night: int, day: int | None = None, *, who: str = "anna", number: str | None = "ID", **more: Any) -> Told:
    """A version of the registration of `who`; each case has customers and a number of its own."""
    return told("customers", night, day, **{"customer_id": f"{who} of ID", "phone": number, "row_hash": night, **more})


OTHER = "another of ID"

# A case is a device or a number, ID: what was told, and the versions of links that the nights make of it.
CASES: dict[str, tuple[list[Told], list[Version]]] = {
    "a device seen with a customer": ([app(2)], [(2, "anna", 2, None, "app_events")]),
    "the earliest time, and the feed that told it": (
        [app(3, 3), payment(3, 2), device(3, 3)],
        [(3, "anna", 2, None, "transactions")],
    ),
    "of one time the first feed by name": ([payment(3), device(3)], [(3, "anna", 3, None, "devices")]),
    "seen again it is nothing new": ([app(2), app(3), payment(5)], [(2, "anna", 2, None, "app_events")]),
    "a late row makes it begin earlier": (
        [app(3), payment(4, 2), device(5, 1), app(6, 1)],
        [
            (3, "anna", 3, None, "app_events"),
            (4, "anna", 2, None, "transactions"),
            (5, "anna", 1, None, "devices"),
        ],
    ),
    "nobody seen with it": ([app(2, customer_id=None), device(2, customer_id=None)], []),
    "shared by two it is both's, and they stay two": (
        [app(2), payment(3, customer_id="bela"), app(4)],
        [(2, "anna", 2, None, "app_events"), (3, "bela", 3, None, "transactions")],
    ),
    "a number": ([phone(2, 1)], [(2, "anna", 1, None, "customers")]),
    "told again it is not claimed again": (
        [phone(2), phone(3, kyc_level="full"), phone(5)],
        [(2, "anna", 2, None, "customers")],
    ),
    "the customer has another number": (
        [phone(2), phone(4, 3, number=OTHER)],
        [(2, "anna", 2, None, "customers"), (4, "anna", 2, 3, "customers")],
    ),
    "the customer has none": (
        [phone(2), phone(4, number=None)],
        [(2, "anna", 2, None, "customers"), (4, "anna", 2, 4, "customers")],
    ),
    "the registration is deleted": (
        [phone(2), phone(4, is_deleted="true")],
        [(2, "anna", 2, None, "customers"), (4, "anna", 2, 4, "customers")],
    ),
    "and comes back": (
        [phone(2), phone(4, is_deleted="true"), phone(5)],
        [(2, "anna", 2, None, "customers"), (4, "anna", 2, 4, "customers"), (5, "anna", 5, None, "customers")],
    ),
    "a number changes hands": (
        [phone(2), phone(4, who="bela")],
        [
            (2, "anna", 2, None, "customers"),
            (4, "anna", 2, 4, "customers"),
            (4, "bela", 4, None, "customers"),
        ],
    ),
    "who had it before does not claim it by being touched": (
        [phone(2), phone(4, who="bela"), phone(5)],
        [
            (2, "anna", 2, None, "customers"),
            (4, "anna", 2, 4, "customers"),
            (4, "bela", 4, None, "customers"),
        ],
    ),
    "nor changes anything by giving it up later": (
        [phone(2), phone(4, who="bela"), phone(5, number=None)],
        [
            (2, "anna", 2, None, "customers"),
            (4, "anna", 2, 4, "customers"),
            (4, "bela", 4, None, "customers"),
        ],
    ),
    "it was given up before the next one has it": (
        [phone(2), phone(3, number=None), phone(5, who="bela")],
        [
            (2, "anna", 2, None, "customers"),
            (3, "anna", 2, 3, "customers"),
            (5, "bela", 5, None, "customers"),
        ],
    ),
    "the giving up is told after the next one has it": (
        [phone(2), phone(5, who="bela"), phone(6, 4, number=None)],
        [
            (2, "anna", 2, None, "customers"),
            (5, "anna", 2, 5, "customers"),
            (5, "bela", 5, None, "customers"),
            (6, "anna", 2, 4, "customers"),
        ],
    ),
    "a claim told late ends where the later one begins": (
        [phone(3), phone(5, 2, who="bela")],
        [(3, "anna", 3, None, "customers"), (5, "bela", 2, 3, "customers")],
    ),
    "a claim told late ends the one before it earlier": (
        [phone(2, 1), phone(3, who="bela"), phone(5, 2, who="carl")],
        [
            (2, "anna", 1, None, "customers"),
            (3, "anna", 1, 3, "customers"),
            (3, "bela", 3, None, "customers"),
            (5, "anna", 1, 2, "customers"),
            (5, "carl", 2, 3, "customers"),
        ],
    ),
    "an older version than the known one is not heard": (
        [phone(3, number=OTHER), phone(5, 2)],
        [],
    ),
    "of one moment the greater row hash is the newer": (
        [phone(3, number=OTHER, row_hash=7), phone(4, 3, row_hash=8), phone(5, 3, number=None, row_hash=1)],
        [(4, "anna", 3, None, "customers")],
    ),
    "two claims of one moment: the greater customer id has it": (
        [phone(2, who="bela"), phone(2)],
        [(2, "anna", 2, 2, "customers"), (2, "bela", 2, None, "customers")],
    ),
    "claimed and given up in one night": (
        [phone(4, 2), phone(4, 3, number=OTHER, row_hash=1)],
        [(4, "anna", 2, 3, "customers")],
    ),
    "given up and claimed again at the same moment": (
        [phone(2), phone(4, 2, number=None, row_hash=3), phone(4, 2, row_hash=4)],
        [(2, "anna", 2, None, "customers")],
    ),
    "an e-mail address is as a number": (
        [phone(2, number=None, email="ID"), phone(4, who="bela", number=None, email="ID")],
        [
            (2, "anna", 2, None, "customers"),
            (4, "anna", 2, 4, "customers"),
            (4, "bela", 4, None, "customers"),
        ],
    ),
}  # fmt: skip


def named(row: Row, name: str) -> Row:
    return {key: value.replace("ID", name) if isinstance(value, str) else value for key, value in row.items()}


def frames(spark: SparkSession, rows: Sequence[Told]) -> dict[str, DataFrame]:
    """core of the four feeds, with what tells the rows apart filled in."""
    numbered = {
        feed: [{**each.row, **ids(feed, number)} for number, each in enumerate(rows) if each.feed == feed]
        for feed in FEEDS
    }
    return {
        feed: table_frame(spark, POSTED[feed], its, FEEDS[feed]).localCheckpoint() for feed, its in numbered.items()
    }


def ids(feed: str, number: int) -> Row:
    key = {"transactions": "transaction_id", "app_events": "event_id"}.get(feed)
    return {key: f"x{number}"} if key else {}


def of_nights(core: dict[str, DataFrame], ranges: Sequence[tuple[int, int]]) -> tuple[DataFrame, DataFrame]:
    """The links that ranges of nights (by number, both ends in it) tell one after the other, and the last state."""
    before: dict[str, DataFrame] = {}
    found: list[DataFrame] = []
    for first, last in ranges:
        days = [NIGHTS[last - 1]]
        feeds = {
            feed: frame.where(f"as_of_date between date'{NIGHTS[first - 1]}' and date'{days[0]}'")
            for feed, frame in core.items()
        }
        links = identity.transform(
            **feeds, customers_before=before.get("customers"), links_before=before.get("links")
        ).localCheckpoint()
        customers = state.transform(before.get("customers"), feeds["customers"], STATES["customers"], days=days)
        before = {
            "customers": customers.localCheckpoint(),
            "links": identity.snapshots(before.get("links"), links, days=days).localCheckpoint(),
        }
        found.append(links)
    return reduce(DataFrame.unionByName, found), before["links"]


def histories(chance: Random) -> list[Told]:
    """Devices and numbers that some sixty customers share and hand on, told late and in any order."""
    rows: list[Told] = []
    for number in range(400):
        night = chance.randrange(1, 7)
        day = max(night - chance.choice((0, 0, 1, 3)), 1)
        customer = f"c{chance.randrange(60)}"
        seen, who = chance.choice((app, payment, device)), chance.choice((customer, "c1", None))
        rows.append(seen(night, day, device_id=f"d{number % 40}", customer_id=who))
        numbers = (None, *(f"k{chance.randrange(30)}" for _ in range(3)))
        more = {"phone": chance.choice(numbers), "email": chance.choice(numbers), "row_hash": chance.getrandbits(60)}
        gone = chance.choice((None, None, None, "true"))
        rows.append(told("customers", night, day, customer_id=customer, is_deleted=gone, **more))
    return rows


@pytest.fixture(scope="module")
def rows() -> list[Told]:
    """The cases, and much else."""
    cases = [Told(each.feed, named(each.row, name)) for name, (its, _) in CASES.items() for each in its]
    return cases + histories(Random(11))


@pytest.fixture(scope="module")
def at_once(spark: SparkSession, rows: list[Told]) -> tuple[DataFrame, DataFrame]:
    return of_nights(frames(spark, rows), [(1, 6)])


@pytest.fixture(scope="module")
def links_of_all(at_once: tuple[DataFrame, DataFrame]) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    names = ("id_token", "as_of_date", "customer_id", "valid_from", "valid_to", "evidence")
    for token, night, customer, since, to, evidence in sorted(at_once[0].select(*names).collect(), key=str):
        version = (night.day, customer.split(" of ")[0], since.day, to.day if to else None, evidence)
        found.setdefault(token, []).append(version)
    return found


@pytest.mark.parametrize("name", CASES)
def test_whose_it_is(links_of_all: dict[str, list[Version]], name: str) -> None:
    assert links_of_all.get(name, []) == CASES[name][1]


def test_any_range_of_nights_and_any_order_link_the_same(
    spark: SparkSession, rows: list[Told], at_once: tuple[DataFrame, DataFrame]
) -> None:
    shuffled = frames(spark, Random(1).sample(rows, len(rows)))
    links, last_state = of_nights(shuffled, [(1, 1), (2, 4), (5, 5), (6, 6)])
    whole = cells(at_once[0])
    assert len(whole) > 400
    assert cells(links) == whole
    assert cells(last_state) == cells(at_once[1])
    held = last_state.where("id_type <> 'device' and valid_to is null").groupBy("id_type", "id_token").count()
    assert held.where("count > 1").isEmpty(), "a number is one customer's at a time"


def test_the_state_holds_the_newest_version_of_each_link(at_once: tuple[DataFrame, DataFrame]) -> None:
    days = [NIGHTS[3], NIGHTS[5]]
    both = identity.snapshots(None, at_once[0], days=days)
    late = both.where("id_token = 'a late row makes it begin earlier'")
    assert cells(late, "as_of_date", "valid_from") == [
        ("2026-01-04", "2026-01-02 06:00:00"),
        ("2026-01-06", "2026-01-01 06:00:00"),  # one row per customer of a device, the earlier one is gone
    ]
    back = both.where("id_token = 'and comes back' and as_of_date = '2026-01-06'")
    assert cells(back, "valid_from", "valid_to") == [
        ("2026-01-02 06:00:00", "2026-01-04 06:00:00"),
        ("2026-01-05 06:00:00", None),
    ]
    assert cells(both.where(f"as_of_date = '{days[1]}'")) == cells(at_once[1])
