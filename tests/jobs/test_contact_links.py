"""core.contact_links: an entry of an address book is found to be a customer once, when both are known."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import reduce
from random import Random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import contact_links, identity, state
from schemas.core import POSTED, STATES
from schemas.identity import IDENTITY_LINKS
from tests.jobs.rows import Row, cells, table_frame

NIGHTS = [date(2026, 1, day) for day in range(1, 7)]


def entry(night: int, *, owner: str = "anna", gone: bool = False, said: int | None = None, **more: Any) -> Row:
    """A version of an entry in the address book of `owner`, told on one night."""
    row = {"customer_id": owner, "updated_at": f"2026-01-{said or night:02} 06:00", "is_deleted": gone}
    return {**row, "as_of_date": NIGHTS[night - 1], "row_hash": night, **more}


def link(night: int, customer: str, *, since: int = 1, to: int | None = None, id_type: str = "phone") -> Row:
    """A version of one link of the number, told on one night."""
    times = {"valid_from": f"2026-01-{since:02} 06:00", "valid_to": None if to is None else f"2026-01-{to:02} 06:00"}
    return {
        "as_of_date": NIGHTS[night - 1],
        "id_type": id_type,
        "customer_id": customer,
        "evidence": "customers",
        **times,
    }


# A case is a number: the entries and links told of it, and (whose book, whose number, night) of each that is found.
CASES: dict[str, tuple[list[Row], list[Row], list[tuple[str, str, int]]]] = {
    "both on one night": ([entry(2)], [link(2, "bela")], [("anna", "bela", 2)]),
    "the entry comes second": ([entry(3)], [link(2, "bela")], [("anna", "bela", 3)]),
    "the owner comes second": ([entry(2)], [link(3, "bela")], [("anna", "bela", 3)]),
    "the number is nobody's": ([entry(2)], [], []),
    "nobody has the number in the book": ([], [link(2, "bela")], []),
    "an e-mail address is no number": ([entry(2)], [link(2, "bela", id_type="email")], []),
    "a person's own number is no link": ([entry(2)], [link(2, "anna")], []),
    "many may have it": (
        [entry(2), entry(3, owner="carl"), entry(5, owner="dora")],
        [link(3, "bela")],
        [("anna", "bela", 3), ("carl", "bela", 3), ("dora", "bela", 5)],
    ),
    "told again it is not found again": ([entry(2), entry(3), entry(5)], [link(2, "bela")], [("anna", "bela", 2)]),
    "told again on the night it is found": ([entry(2), entry(4)], [link(4, "bela")], [("anna", "bela", 4)]),
    "it is whose the number is then": (
        [entry(2), entry(5, owner="carl")],
        [link(2, "bela"), link(4, "bela", to=4), link(4, "dora", since=4)],
        [("anna", "bela", 2), ("carl", "dora", 5)],
    ),
    "the next owner is not found again": (
        [entry(1)],
        [link(2, "bela"), link(4, "bela", to=4), link(4, "dora", since=4)],
        [("anna", "bela", 2)],
    ),
    "a late word of an earlier owner changes nothing": (
        [entry(5)],
        [link(2, "bela", since=2), link(4, "dora", since=1, to=2)],
        [("anna", "bela", 5)],
    ),
    "a number that has been given up is nobody's": (
        [entry(5)],
        [link(2, "bela"), link(4, "bela", to=4)],
        [],
    ),
    "deleted before the owner came": ([entry(2), entry(3, gone=True)], [link(4, "bela")], []),
    "deleted on that night": ([entry(2), entry(4, gone=True)], [link(4, "bela")], []),
    "deleted afterwards it stays found": ([entry(2), entry(4, gone=True)], [link(2, "bela")], [("anna", "bela", 2)]),
    "back after a deletion it may have been found before": (
        [entry(2), entry(4, gone=True), entry(5)],
        [link(2, "bela")],
        [("anna", "bela", 2)],
    ),
    "an older word, told later, does not delete it": (
        [entry(2), entry(3, gone=True, said=1)],
        [link(4, "bela")],
        [("anna", "bela", 4)],
    ),
    "back before the owner comes": (
        [entry(2), entry(3, gone=True), entry(4)],
        [link(5, "bela")],
        [("anna", "bela", 5)],
    ),
}  # fmt: skip


def frames(spark: SparkSession, entries: Sequence[Row], links: Sequence[Row]) -> tuple[DataFrame, DataFrame]:
    return (
        table_frame(spark, POSTED["contacts"], entries).localCheckpoint(),
        table_frame(spark, IDENTITY_LINKS, links).localCheckpoint(),
    )


def of_nights(told: tuple[DataFrame, DataFrame], ranges: Sequence[tuple[int, int]]) -> DataFrame:
    """The links that ranges of nights (by number, both ends in it) tell one after the other, states handed on."""
    contacts_before: DataFrame | None = None
    links_before: DataFrame | None = None
    found: list[DataFrame] = []
    for first, last in ranges:
        days = [NIGHTS[last - 1]]
        contacts, links = (
            frame.where(f"as_of_date between date'{NIGHTS[first - 1]}' and date'{days[0]}'") for frame in told
        )
        found.append(
            contact_links.transform(
                contacts, links, contacts_before=contacts_before, links_before=links_before
            ).localCheckpoint()
        )
        contacts_before = state.transform(contacts_before, contacts, STATES["contacts"], days=days).localCheckpoint()
        links_before = identity.snapshots(links_before, links, days=days).localCheckpoint()
    return reduce(DataFrame.unionByName, found)


def histories(chance: Random) -> tuple[list[Row], list[Row]]:
    """Numbers that are given up and handed on, in three books in which they come and go."""
    entries: list[Row] = []
    links: list[Row] = []
    for number in range(200):
        holder, since = None, 0
        for night in range(1, 7):
            for book in ("anna", "bela", "carl"):
                if chance.random() < 0.2:
                    said, is_gone = max(night - chance.randrange(3), 1), chance.random() < 0.3
                    entries.append(entry(night, owner=book, gone=is_gone, said=said, contact_token=f"k{number}"))
            if chance.random() < 0.3:
                if holder is not None:
                    links.append({**link(night, holder, since=since, to=night), "id_token": f"k{number}"})
                holder, since = chance.choice((None, "bela", "dora")), night
                if holder is not None:
                    links.append({**link(night, holder, since=night), "id_token": f"k{number}"})
    return entries, links


@pytest.fixture(scope="module")
def rows() -> tuple[list[Row], list[Row]]:
    """The cases, and much else."""
    entries, links = histories(Random(3))
    entries += [{**row, "contact_token": name} for name, (its, _, _) in CASES.items() for row in its]
    links += [{**row, "id_token": name} for name, (_, its, _) in CASES.items() for row in its]
    return entries, links


@pytest.fixture(scope="module")
def at_once(spark: SparkSession, rows: tuple[list[Row], list[Row]]) -> DataFrame:
    return of_nights(frames(spark, *rows), [(1, 6)])


@pytest.fixture(scope="module")
def found_of_all(at_once: DataFrame) -> dict[str, list[tuple[str, str, int]]]:
    found: dict[str, list[tuple[str, str, int]]] = {}
    names = ("contact_token", "customer_id", "contact_customer_id", "as_of_date")
    for token, book, owner, night in sorted(at_once.select(*names).collect()):
        found.setdefault(token, []).append((book, owner, NIGHTS.index(night) + 1))
    return found


@pytest.mark.parametrize("name", CASES)
def test_which_entries_are_customers(found_of_all: dict[str, list[tuple[str, str, int]]], name: str) -> None:
    assert found_of_all.get(name, []) == CASES[name][2]


def test_any_range_of_nights_and_any_order_find_the_same(
    spark: SparkSession, rows: tuple[list[Row], list[Row]], at_once: DataFrame
) -> None:
    chance = Random(1)
    entries, links = (chance.sample(each, len(each)) for each in rows)
    whole = cells(at_once)
    assert len(whole) > 100
    assert cells(of_nights(frames(spark, entries, links), [(1, 1), (2, 2), (3, 4), (5, 5), (6, 6)])) == whole
    assert len({tuple(row) for row in cells(at_once, "customer_id", "contact_token")}) == len(whole), "none found twice"
