from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas import CATALOGUE
from schemas.columns import AS_OF_DATE, amount_minor
from schemas.feeds import FEEDS
from schemas.raw import raw_table
from schemas.table import Column, Table, lint

THING = Column(name="thing_id", type="string", about="The thing meant.", nullable=False)
SOUND = Table(
    name="core.things",
    row="one thing on one night",
    kind="log",
    key=("as_of_date", "thing_id"),
    owner="lake",
    keep="",
    columns=(AS_OF_DATE, THING),
)


def test_the_catalogue_keeps_the_house_rules() -> None:
    assert lint([*CATALOGUE.values(), raw_table("x", "x-team", {"a": "string"})]) == []


def test_a_sound_table_has_no_faults() -> None:
    assert lint([SOUND]) == []


def test_the_catalogue_is_by_name() -> None:
    assert all(name == table.name for name, table in CATALOGUE.items())


def test_a_table_declared_twice() -> None:
    assert lint([SOUND, SOUND]) == ["core.things: declared 2 times"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"name": "gold.things"}, "gold.things: layer is not one of raw, core, mart, ops, restricted"),
        ({"name": "core.Things"}, "core.Things: name is not lower_snake"),
        ({"row": "thing"}, "core.things: no sentence about its row"),
        ({"owner": ""}, "core.things: no owner"),
        (
            {"columns": (AS_OF_DATE, replace(THING, privacy="pseudonym"))},
            "core.things: holds data about people and does not say how long it is kept",
        ),
        ({"columns": (THING, AS_OF_DATE)}, "core.things: the first column is not as_of_date"),
        ({"columns": (AS_OF_DATE, THING, THING)}, "core.things: a column is declared twice"),
        ({"key": ("other_id",)}, "core.things: its key names a column it does not have"),
        ({"key": ()}, "core.things: no key"),
        ({"columns": (AS_OF_DATE, replace(THING, nullable=True))}, "core.things: a key column may be null"),
    ],
    ids=lambda value: value.partition(": ")[2] if isinstance(value, str) else "",
)
def test_a_fault_of_a_table(change: dict[str, Any], fault: str) -> None:
    assert lint([replace(SOUND, **change)]) == [fault]


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        (Column(name="Thing", type="string", about="The thing meant."), "Thing: name is not lower_snake"),
        (Column(name="thing", type="string", about="Thing"), "thing: not described"),
        (Column(name="thing", type="float", about="A share of it."), "thing: type float is not in use here"),
        (
            Column(name="thing", type="map<string,string>", about="Its properties."),
            "thing: type map<string,string> is not in use here",
        ),
        (
            Column(name="share", type="double", about="A share of it."),
            "share: binary floating point has no place in a table",
        ),
        (Column(name="seen_at", type="date", about="When seen."), "seen_at: ends in _at and is no timestamp"),
        (Column(name="seen_date", type="timestamp", about="When seen."), "seen_date: ends in _date and is no date"),
        (Column(name="is_new", type="int", about="Is new."), "is_new: begins with is_ or has_ and is no boolean"),
        (Column(name="has_it", type="string", about="Has it."), "has_it: begins with is_ or has_ and is no boolean"),
        (
            replace(amount_minor("paid_minor", "What was paid."), type="decimal(14,2)"),
            "paid_minor: money is BIGINT in minor units",
        ),
        (
            Column(name="paid", type="int", unit="minor units", minimum=0, about="What was paid."),
            "paid: money is BIGINT in minor units",
        ),
        (replace(amount_minor("paid_minor", "What was paid."), minimum=None), "paid_minor: money has a floor"),
        (
            Column(name="level", type="int", about="The level.", accepted=("1", "2")),
            "level: accepted values are for strings",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_of_a_column(column: Column, fault: str) -> None:
    assert lint([replace(SOUND, columns=(AS_OF_DATE, THING, column))]) == [f"core.things: {fault}"]


def test_what_is_kept_after_an_erasure_names_its_legal_basis() -> None:
    kept = Column(name="paid_by", type="string", about="Who paid.", privacy="pseudonym", erasure="keep")
    table = replace(SOUND, keep="8 years", columns=(AS_OF_DATE, THING, kept))
    assert lint([table]) == ["core.things: paid_by: kept after an erasure without a legal basis"]
    assert lint([replace(table, columns=(AS_OF_DATE, THING, replace(kept, basis="PMLA 2002, section 12")))]) == []


def test_ddl_says_what_may_be_null() -> None:
    table = replace(SOUND, columns=(AS_OF_DATE, THING, Column(name="note", type="string", about="A note on it.")))
    assert table.ddl() == "`as_of_date` date NOT NULL, `thing_id` string NOT NULL, `note` string"
    assert table.ddl(nullable=True) == "`as_of_date` date, `thing_id` string, `note` string"


def test_columns_by_what_they_are_for() -> None:
    table = replace(
        SOUND,
        columns=(
            AS_OF_DATE,
            replace(THING, statistics=True),
            Column(name="file", type="string", about="The file it came in.", provenance=True),
        ),
    )
    assert table.column_names == ("as_of_date", "thing_id", "file")
    assert [column.name for column in table.business_columns] == ["as_of_date", "thing_id"]
    assert table.statistics_columns == ("thing_id",)
    assert (table.layer, table.short_name) == ("core", "things")


@pytest.mark.parametrize("feed", FEEDS.values(), ids=FEEDS)
def test_a_feed_names_only_columns_it_has(feed: Any) -> None:
    named = {*feed.key, *feed.fixed, *feed.updated_from, *feed.required, *filter(None, [feed.identifier])}
    assert named <= {*feed.column_names, "event_date"}
    assert feed.identifier == "" or feed.identifier in feed.key
