"""Activity on a device joins the customer whose device it turns out to be: once, and on the night that tells."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from functools import reduce
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from jobs import device_daily
from schemas.core import CUSTOMER_DAILY, DEVICE_DAILY
from schemas.identity import IDENTITY_LINKS
from tests.jobs.rows import ZONE, Row, cells, table_frame

BEGIN = date(2026, 1, 1)
LAST = 60
KEY = ("customer_id", "event_date", "as_of_date")


def on(day: int) -> date:
    """Day 1 is the first of January 2026."""
    return BEGIN + timedelta(days=day - 1)


def used(event: int, told: int | None = None, **more: Any) -> Row:
    return {"event_date": on(event), "as_of_date": on(told or event), **more}


def link(customer: str, since: int, told: int | None = None, time: str = "06:00", **more: Any) -> Row:
    """The device is the customer's since a time (UTC) of one day, as one night told."""
    row = {"id_type": "device", "customer_id": customer, "valid_from": f"{on(since)} {time}"}
    return {**row, "as_of_date": on(told or since), "evidence": "app_events", **more}


# A case is a device: its rows, its links, and (customer, event date, night) of what joins with a reason for each.
CASES: dict[str, tuple[list[Row], list[Row], list[tuple[str, int, int]]]] = {
    "she registers the same day": ([used(20)], [link("anna", 20)], [("anna", 20, 20)]),
    "three days after": ([used(20)], [link("anna", 23)], [("anna", 20, 23)]),
    "four days after it is nobody's": ([used(20)], [link("anna", 24)], []),
    "what is done logged out once she is known is nobody's": ([used(21)], [link("anna", 20)], []),
    "a phone or an e-mail address is no device": ([used(20)], [link("anna", 20, id_type="phone")], []),
    "rows told late join when they are told": (
        [used(20), used(20, 24), used(20, 30)],
        [link("anna", 21)],
        [("anna", 20, 21), ("anna", 20, 24), ("anna", 20, 30)],
    ),
    "a link told late takes what was told before": (
        [used(20), used(21, 22)],
        [link("anna", 22, told=29)],
        [("anna", 20, 29), ("anna", 21, 29)],
    ),
    "of two customers the first has it": (
        [used(20)],
        [link("bela", 22), link("anna", 22, time="05:00")],
        [("anna", 20, 22)],
    ),
    "of one moment the least id": ([used(20)], [link("bela", 22), link("anna", 22)], [("anna", 20, 22)]),
    "the first one known, where the other is told later": (
        [used(20)],
        [link("bela", 22), link("anna", 21, told=25)],
        [("bela", 20, 22)],
    ),
    "each has what is of the days before her own link": (
        [used(10), used(20)],
        [link("anna", 12), link("bela", 22)],
        [("anna", 10, 12), ("bela", 20, 22)],
    ),
    "a link that becomes earlier finds more, and nothing twice": (
        [used(15), used(20)],
        [link("anna", 22), link("anna", 17, told=30)],
        [("anna", 15, 30), ("anna", 20, 22)],
    ),
    "what is told after that is no longer from before it": (
        [used(20, 32)],
        [link("anna", 22), link("anna", 17, told=30)],
        [],
    ),
    "but is the next one's, if she is as near": (
        [used(20, 32)],
        [link("anna", 22), link("anna", 17, told=30), link("bela", 23)],
        [("bela", 20, 32)],
    ),
    "the day is one of Indian time": (
        [used(20)],
        [link("anna", 23, time="18:29"), link("bela", 16, time="18:31")],  # the 23rd, and the 17th
        [("anna", 20, 23)],
    ),
    "after half past six in the evening it is tomorrow there": ([used(20)], [link("anna", 23, time="18:30")], []),
    "nobody is looked for longer than 34 days": (
        [used(20, 54), used(20, 55)],
        [link("anna", 21)],
        [("anna", 20, 54)],
    ),
}  # fmt: skip


def frames(spark: SparkSession, rows: Sequence[Row], links: Sequence[Row]) -> tuple[DataFrame, DataFrame]:
    """Each row has a figure of its own, by which it is known when it has joined."""
    numbered = [{"session_count": number + 1, **row} for number, row in enumerate(rows)]
    return table_frame(spark, DEVICE_DAILY, numbered), table_frame(spark, IDENTITY_LINKS, links)


def owned(told: tuple[DataFrame, DataFrame], first: int, last: int) -> DataFrame:
    """By no more of the logs than the nights read."""
    nights = f"as_of_date between date'{on(first - device_daily.LOOK_BACK)}' and date'{on(last)}'"
    rows, links = (frame.where(nights) for frame in told)
    return device_daily.owned(rows, links, zone=ZONE, first=on(first), last=on(last))


def of_device(rows: Sequence[Row], name: str, column: str) -> list[Row]:
    return [{column: name, **row} for row in rows]


@pytest.fixture(scope="module")
def owned_of_all(spark: SparkSession) -> dict[str, list[tuple[str, int, int]]]:
    rows = [row for name, (its, _, _) in CASES.items() for row in of_device(its, name, "device_id")]
    links = [row for name, (_, its, _) in CASES.items() for row in of_device(its, name, "id_token")]
    found: dict[str, list[tuple[str, int, int]]] = {}
    for name, customer, *days in sorted(owned(frames(spark, rows, links), 1, LAST).select("device_id", *KEY).collect()):
        event, night = ((day - BEGIN).days + 1 for day in days)
        found.setdefault(name, []).append((customer, event, night))
    return found


@pytest.mark.parametrize("name", CASES)
def test_whose_activity_it_was(owned_of_all: dict[str, list[tuple[str, int, int]]], name: str) -> None:
    assert owned_of_all.get(name, []) == CASES[name][2]


def test_all_that_was_told_comes_along(spark: SparkSession) -> None:
    signals = {
        "device_id": "d1",
        "session_count": 2,
        "icon_offers_count": 1,
        "device_brand": "Acme",
        "screen_minutes": 9,
    }
    found = owned(frames(spark, [used(20, **signals)], [link("anna", 20, id_token="d1")]), 20, 20)
    assert set(found.columns) <= set(CUSTOMER_DAILY.column_names)
    assert set(DEVICE_DAILY.column_names) <= set(found.columns)
    (row,) = found.collect()
    assert {name: row[name] for name in signals} == signals


def test_any_range_of_nights_is_its_nights(spark: SparkSession) -> None:
    chance = Random(7)
    rows: dict[tuple[Any, ...], Row] = {}
    links: dict[tuple[Any, ...], Row] = {}
    for number in range(150):
        device, begins = f"d{number}", chance.randrange(8, 50)
        for _ in range(chance.randrange(6)):
            row = used(day := begins - chance.randrange(6), day + chance.choice((0, 0, 2, 8, 33, 40)), device_id=device)
            rows[device, row["event_date"], row["as_of_date"]] = row
        for customer in chance.sample(("anna", "bela", "carl"), chance.randrange(4)):
            since = begins + chance.randrange(3)
            for _ in range(chance.randrange(1, 4)):  # versions told later begin earlier
                told = since + chance.choice((0, 1, 12))
                links.setdefault((device, customer, told), link(customer, since, told, id_token=device))
                since -= chance.randrange(1, 3)
    rows = {key: {**row, "session_count": number} for number, (key, row) in enumerate(rows.items(), start=1)}
    told = frames(spark, [*rows.values()], [*links.values()])
    told = (told[0].localCheckpoint(), told[1].localCheckpoint())
    whole = cells(owned(told, 1, LAST))
    assert len(whole) > 50
    pieces = [owned(told, first, after - 1) for first, after in pairwise((1, 20, 21, 22, 23, 40, LAST + 1))]
    assert cells(reduce(DataFrame.unionByName, pieces)) == whole
    assert len({row[0] for row in cells(owned(told, 1, LAST), "session_count")}) == len(whole), "none joins twice"
    shuffled = frames(spark, chance.sample([*rows.values()], len(rows)), chance.sample([*links.values()], len(links)))
    assert cells(owned(shuffled, 1, LAST)) == whole
