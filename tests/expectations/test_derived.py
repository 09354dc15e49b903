from __future__ import annotations

from datetime import date, timedelta

import pytest

from expectations import derived
from expectations.check import judge
from expectations.figures import nothing_gathered
from schemas.columns import AS_OF_DATE, EVENT_DATE, RAILS, amount_minor
from schemas.raw import raw_table
from schemas.table import Column, Table
from tests.expectations.frames import FILLED_IN, NIGHT, gather, refusals

THINGS = Table(
    name="core.things",
    row="one thing",
    kind="log",
    key=("as_of_date", "thing_id"),
    owner="lake",
    keep="1 year",
    columns=(
        AS_OF_DATE,
        EVENT_DATE,
        Column(name="thing_id", type="string", about="The thing.", nullable=False),
        Column(name="rail", type="string", about="How.", accepted=RAILS),
        amount_minor("amount_minor", "How much."),
        Column(name="reasons", type="array<string>", about="Why."),
        Column(name="due_date", type="date", about="When it is due."),
    ),
)
GOOD = {"as_of_date": NIGHT, "event_date": NIGHT, "thing_id": "t1"}

CHANGES = {
    "nothing": {},
    "optional columns filled": {"rail": "upi", "amount_minor": 0, "reasons": ["a"]},
    "late by 40 years": {"event_date": date(1986, 1, 31)},
    "a version of five past midnight": {"event_date": NIGHT + timedelta(days=1)},
    "a date that looks ahead": {"due_date": date(2030, 1, 1)},
    "NOT NULL column null": {"thing_id": None},
    "value not accepted": {"rail": "pigeon"},
    "amount below its floor": {"amount_minor": -1},
    "null within an array": {"reasons": ["a", None]},
    "two days ahead": {"event_date": NIGHT + timedelta(days=2)},
    "before 1970": {"event_date": date(1969, 12, 31)},
}
REFUSED = {
    "NOT NULL column null": {"thing_id_null"},
    "value not accepted": {"rail_not_accepted"},
    "amount below its floor": {"amount_minor_too_small"},
    "null within an array": {"reasons_null_element"},
    "two days ahead": {"event_date_out_of_range"},
    "before 1970": {"event_date_out_of_range"},
}


@pytest.fixture(scope="module")
def refused(spark):
    return refusals(spark, THINGS, derived.suite(THINGS, may_be_empty=False), GOOD, CHANGES)


@pytest.mark.parametrize("case", CHANGES)
def test_one_bad_row_turns_exactly_its_expectation_red(refused, case):
    assert refused[case] == REFUSED.get(case, set())


def test_the_figure_counts_the_bad_rows(spark):
    bad = {**GOOD, "amount_minor": -1}
    suite = derived.suite(THINGS, may_be_empty=False)
    figures = gather(spark, THINGS, suite, {"two of three": [GOOD, bad, bad]})
    assert figures["two of three"]["amount_minor_too_small"] == 2


@pytest.mark.parametrize(
    ("figure", "expectation"), [("schema_differences", "schema_as_declared"), ("duplicate_keys", "key_unique")]
)
def test_what_the_caller_fills_in_is_judged(figure, expectation):
    suite = derived.suite(THINGS, may_be_empty=True)
    results = judge(suite, {**nothing_gathered([suite]), **FILLED_IN, figure: 1})
    assert [result.expectation for result in results if not result.success] == [expectation]


def test_a_day_without_rows_is_refused_unless_it_may_be_empty():
    for may_be_empty, expected in ((False, ["not_empty"]), (True, [])):
        suite = derived.suite(THINGS, may_be_empty=may_be_empty)
        results = judge(suite, {**nothing_gathered([suite]), **FILLED_IN})
        assert [result.expectation for result in results if not result.success] == expected


def test_the_key_is_told_apart_within_a_day():
    assert derived.suite(THINGS, may_be_empty=False).key == ("thing_id",)


def test_what_a_source_calls_event_date_is_as_delivered():
    raw = raw_table("logs", "team", {"event_date": "date", "rail": "string"})
    assert not [
        figure.name
        for figure in derived.suite(raw, may_be_empty=True).figures
        if figure.name.startswith(("event_date", "rail"))
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("a", "string"), ("b", "bigint")], []),
        # Delta finds columns by name, so their order says nothing.
        ([("b", "bigint"), ("a", "string")], []),
        ([("a", "string")], ["b is missing"]),
        ([("a", "string"), ("b", "bigint"), ("c", "date")], ["c is not declared"]),
        ([("a", "string"), ("b", "int")], ["b is int, declared bigint"]),
    ],
)
def test_schema_differences_are_told_by_name(fields, expected):
    table = Table(
        name="core.t",
        row="one t",
        kind="log",
        key=("a",),
        owner="lake",
        keep="1 year",
        columns=(Column(name="a", type="string", about="An a."), Column(name="b", type="bigint", about="A b.")),
    )
    assert derived.schema_differences(table, fields) == expected


def test_a_frame_made_from_the_declaration_has_no_differences(spark):
    frame = spark.createDataFrame([], THINGS.ddl())
    assert derived.schema_differences(THINGS, frame.dtypes) == []
