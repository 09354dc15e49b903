"""The audit refuses a staged day for every kind of fault, and says which expectation of which table on which day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from conf import Settings
from expectations.figures import literal
from jobs import audit
from jobs.errors import DataRefused
from jobs.lake import Lake, Staged
from jobs.ledger import Ledger
from schemas.core import POSTED, QUARANTINE
from schemas.ops import DELIVERIES
from schemas.table import Table
from tests.conftest import Place
from tests.jobs.notes import NOTES, note, notes
from tests.jobs.sources import payments

MON = date(2026, 1, 26)
TRANSACTIONS = POSTED["transactions"]
PAYMENT: Mapping[str, object] = {
    "transaction_id": "t1",
    "customer_id": "c1",
    "product": "recharge",
    "direction": "debit",
    "status": "success",
    "amount_minor": 1000,
    "currency": "INR",
    "is_implied": False,
    "source": "payments",
    "delivery_id": "d1",
    "source_rows": 1,
}
DELIVERY: Mapping[str, object] = {
    "source": "payments",
    "feed": "transactions",
    "records": 100,
    "delivered": 100,
    "accepted": 99,
    "quarantined": 1,
    "duplicate": 0,
    "waiting": 0,
    "erased": 0,
}


@dataclass(frozen=True)
class Fault:
    """What is wrong with one day's rows, and the expectation that must say so with this figure."""

    expectation: str
    observed: str
    changes: Mapping[str, object] | None
    rows: int = 1
    severity: str = "fail"


# Each of them makes exactly one expectation of core.transactions fail.
FAULTS = [
    Fault("not_empty", "0", None),
    Fault("key_unique", "1", {}, rows=2),
    Fault("customer_id_null", "1", {"customer_id": None}),
    Fault("product_not_accepted", "1", {"product": "lottery"}),
    Fault("amount_minor_too_small", "1", {"amount_minor": -1}),
    Fault("event_date_disagrees", "1", {"event_date": timedelta(days=-1)}),
    Fault("currency_invalid", "1", {"currency": "USD"}),
    Fault("implied_not_success_debit", "1", {"is_implied": True, "status": "failed"}),
    Fault("category_null_share", "0.000000", {"category": "mobile"}, severity="warn"),
]
DAYS = [MON + timedelta(days=2 * place) for place in range(len(FAULTS))]
BETWEEN = [day + timedelta(days=1) for day in DAYS[:-1]]


def frame(spark: SparkSession, table: Table, rows: Sequence[Mapping[str, object]]) -> DataFrame:
    """Rows that name only the columns they are about; the others are null. As literals, without Python workers."""
    selects = []
    for row in rows:
        unknown = set(row) - set(table.column_names)
        assert not unknown, unknown
        selects.append(
            "select " + ", ".join(f"{_sql(row.get(each.name), each.type)} as `{each.name}`" for each in table.columns)
        )
    return spark.sql(" union all ".join(selects))


def _sql(value: object, type_: str) -> str:
    if isinstance(value, list):
        return f"cast(array({', '.join(map(literal, value))}) as {type_})"
    return f"cast({'null' if value is None else literal(str(value))} as {type_})"


def payment(day: date, **changes: Any) -> dict[str, object]:
    row = {
        **PAYMENT,
        "as_of_date": day,
        "event_date": day,
        "occurred_at": f"{day} 06:00:00",
        "updated_at": f"{day} 06:00:00",
    }
    return row | {name: day + value if isinstance(value, timedelta) else value for name, value in changes.items()}


def faulty(day: date, fault: Fault) -> list[dict[str, object]]:
    if fault.changes is None:
        return []
    return [payment(day, **fault.changes)] * fault.rows


@pytest.fixture(scope="module")
def lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    settings = Place(tmp_path_factory.mktemp("audit")).configure(payments(limits="max_quarantined = 0.02"))
    ledger = Ledger.open(settings.ledger_url)
    return Lake(spark, settings, ledger, ledger.start_run("run", MON, MON))


def stage(lake: Lake, table: Table, rows: DataFrame, days: Sequence[date]) -> Staged:
    return lake.stage(table, rows, days, audit.suites(table, lake.settings))


def failures(judged: list[audit.Judged]) -> list[tuple[date, str, str, str]]:
    return [(day, each.expectation, each.observed, each.severity) for day, each in judged if not each.success]


@pytest.fixture(scope="module")
def judged(lake: Lake) -> list[audit.Judged]:
    """A range with one fault on every second day; the days between them are right."""
    rows = [row for day, fault in zip(DAYS, FAULTS, strict=True) for row in faulty(day, fault)]
    rows += [payment(day) for day in BETWEEN]
    staged = stage(lake, TRANSACTIONS, frame(lake.spark, TRANSACTIONS, rows), sorted([*DAYS, *BETWEEN]))
    return audit.judge(staged, lake.settings, lake.ledger, [], {})


@pytest.mark.parametrize(
    ("day", "fault"), list(zip(DAYS, FAULTS, strict=True)), ids=[fault.expectation for fault in FAULTS]
)
def test_each_kind_of_fault_is_found_on_its_day_and_nothing_else(
    judged: list[audit.Judged], day: date, fault: Fault
) -> None:
    of_day = [failure for failure in failures(judged) if failure[0] == day]
    assert of_day == [(day, fault.expectation, fault.observed, fault.severity)]
    mine = [(then, result) for then, result in judged if then == day]
    if fault.severity == "warn":
        audit.refuse_failures(mine)
        return
    with pytest.raises(DataRefused) as refused:
        audit.refuse_failures(mine)
    for part in (
        "core.transactions",
        str(day),
        fault.expectation,
        f"observed {fault.observed}",
        "nothing of it was published",
    ):
        assert part in str(refused.value)


def test_the_days_between_are_right(judged: list[audit.Judged]) -> None:
    assert {day for day, *_ in failures(judged)}.isdisjoint(BETWEEN)
    assert {day for day, _ in judged} == {*DAYS, *BETWEEN}


def test_a_day_that_was_announced_empty_may_be_empty(lake: Lake) -> None:
    staged = stage(lake, TRANSACTIONS, frame(lake.spark, TRANSACTIONS, [payment(MON)]), [MON, MON + timedelta(days=1)])
    assert [each[1] for each in failures(audit.judge(staged, lake.settings, lake.ledger, [], {}))] == ["not_empty"]
    assert failures(audit.judge(staged, lake.settings, lake.ledger, [MON + timedelta(days=1)], {})) == []


def test_a_column_that_was_not_written_is_refused(lake: Lake) -> None:
    """Delta takes such files, and readers would see nulls; one that is not declared it refuses itself."""
    staged = stage(lake, NOTES, notes(lake.spark, [note(MON)]).drop("note"), [MON])
    assert failures(audit.judge(staged, lake.settings, lake.ledger, [], {})) == [
        (MON, "schema_as_declared", "1", "fail")
    ]


@pytest.mark.parametrize(
    ("changes", "expectation"),
    [
        ({}, None),
        ({"accepted": 98}, "unbalanced"),
        ({"accepted": 97, "quarantined": 3}, "over_limit"),
        ({"accepted": 109, "waiting": -10}, "took_what_it_landed"),
    ],
)
def test_the_accounts_are_audited(lake: Lake, changes: Mapping[str, object], expectation: str | None) -> None:
    row = {**DELIVERY, "as_of_date": MON, "taken_from": MON, "delivery_id": "d1", **changes}
    staged = stage(lake, DELIVERIES, frame(lake.spark, DELIVERIES, [row]), [MON])
    found = [each[1] for each in failures(audit.judge(staged, lake.settings, lake.ledger, [], {}))]
    assert found == ([expectation] if expectation else [])


def test_a_quarantined_row_without_a_reason_is_refused(lake: Lake) -> None:
    row = {"as_of_date": MON, "feed": "transactions", "source": "payments", "delivery_id": "d1"}
    rows = [
        {**row, "record": "2026-01-26/1", "reasons": []},
        {**row, "record": "2026-01-26/2", "reasons": ["unparsable"]},
    ]
    staged = stage(lake, QUARANTINE, frame(lake.spark, QUARANTINE, rows), [MON])
    assert failures(audit.judge(staged, lake.settings, lake.ledger, [], {})) == [(MON, "no_reason", "1", "fail")]


@pytest.mark.parametrize("severity", ["warn", "fail"])
def test_a_day_outside_the_usual_volume_is_said_with_the_severity_of_the_lake(lake: Lake, severity: str) -> None:
    quality = lake.settings.quality.model_copy(
        update={"volume_min_weeks": 2, "volume_band": (0.5, 2.0), "volume_severity": severity}
    )
    settings: Settings = lake.settings.model_copy(update={"quality": quality})
    weeks = [MON + timedelta(weeks=week) for week in range(3)]
    # 4, 4 and then 1 row: the median of the two Mondays before is 4, and half of it is 2.
    rows = [payment(day, transaction_id=f"t{i}") for day in weeks for i in range(4 if day != weeks[-1] else 1)]
    staged = stage(lake, TRANSACTIONS, frame(lake.spark, TRANSACTIONS, rows), weeks)
    assert failures(audit.judge(staged, settings, lake.ledger, [], {})) == [(weeks[-1], "volume", "1", severity)]


def test_only_ten_failures_are_told_and_the_rest_counted(judged: list[audit.Judged]) -> None:
    (day, failed), *_ = [(day, each) for day, each in judged if not each.success and each.severity == "fail"]
    many = [(day, replace(failed, expectation=f"e{i}")) for i in range(12)]
    with pytest.raises(DataRefused) as refused:
        audit.refuse_failures(many)
    assert "e9" in str(refused.value)
    assert "e10" not in str(refused.value)
    assert "… and 2 more" in str(refused.value)
