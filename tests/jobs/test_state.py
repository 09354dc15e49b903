"""core.customers_state: the newest version of each customer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from pyspark.sql import DataFrame, SparkSession

from jobs import state
from jobs.pipeline import snapshot_of
from schemas.core import POSTED
from tests.jobs.rows import CUSTOMER, NIGHT, Row, cells, table_frame

STATE = snapshot_of("customers")


def versions(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    return table_frame(spark, POSTED["customers"], rows, CUSTOMER)


def told(frame: DataFrame) -> list[tuple[str | None, ...]]:
    return cells(frame, "customer_id", "kyc_level", "as_of_date")


def version(customer: str, day: str, kyc: str, **more: str) -> Row:
    return {"customer_id": customer, "updated_at": day, "kyc_level": kyc, **more}


def test_the_newest_version_of_each_customer(spark: SparkSession) -> None:
    before = table_frame(
        spark,
        STATE,
        [
            version("untouched", "2026-01-01", "old", as_of_date="2026-01-30"),
            version("changed", "2026-01-01", "old", as_of_date="2026-01-30"),
            version("told late", "2026-01-20", "old", as_of_date="2026-01-30"),
            version("same moment", "2026-01-20", "old", as_of_date="2026-01-30", row_hash="5"),
        ],
        CUSTOMER,
    )
    tonight = versions(
        spark,
        [
            version("changed", "2026-01-30", "new"),
            version("changed", "2026-01-29", "between"),  # the order of arrival does not matter
            version("told late", "2026-01-10", "new"),  # known only now, and older than what is known
            version("same moment", "2026-01-20", "new", row_hash="6"),  # a tie is settled by the hash
            version("seen first", "2026-01-31", "new"),
            version("ahead", "2026-02-05", "new"),  # a version counts at once, whatever its date
        ],
    )
    folded = state.transform(before, tonight, STATE, days=[NIGHT])
    assert told(folded) == [
        ("ahead", "new", "2026-01-31"),
        ("changed", "new", "2026-01-31"),
        ("same moment", "new", "2026-01-31"),
        ("seen first", "new", "2026-01-31"),
        ("told late", "old", "2026-01-31"),
        ("untouched", "old", "2026-01-31"),  # everyone is in each snapshot
    ]
    assert folded.columns == list(STATE.column_names)


def test_a_deletion_is_a_version(spark: SparkSession) -> None:
    rows: list[Row] = [
        version("anna", "2026-01-10", "kept"),
        version("anna", "2026-01-20", "gone", is_deleted="true"),
    ]
    folded = state.transform(None, versions(spark, rows), STATE, days=[NIGHT])
    assert cells(folded, "customer_id", "kyc_level", "is_deleted") == [("anna", "gone", "true")]


def test_night_by_night_and_all_at_once_are_the_same_state(spark: SparkSession) -> None:
    days = [date(2026, 1, day) for day in (29, 30, 31)]
    rows: list[Row] = [
        version("anna", "2026-01-10", "a", as_of_date="2026-01-29", row_hash="1"),
        version("anna", "2026-01-10", "b", as_of_date="2026-01-30", row_hash="2"),
        version("anna", "2026-01-09", "c", as_of_date="2026-01-31", row_hash="3"),
        version("bela", "2026-01-11", "d", as_of_date="2026-01-31", row_hash="4"),
        version("bela", "2026-01-10", "e", as_of_date="2026-01-30", row_hash="9"),
    ]
    folded: DataFrame | None = None
    night_by_night: list[tuple[str | None, ...]] = []
    for day in days:
        tonight = versions(spark, [row for row in rows if row["as_of_date"] == str(day)])
        folded = state.transform(folded, tonight, STATE, days=[day])
        night_by_night += cells(folded)
    at_once = state.transform(None, versions(spark, rows), STATE, days=days)
    assert sorted(cells(at_once), key=str) == sorted(night_by_night, key=str)
    assert told(at_once) == [
        ("anna", "a", "2026-01-29"),
        ("anna", "b", "2026-01-30"),
        ("anna", "b", "2026-01-31"),  # c is known later, and older
        ("bela", "d", "2026-01-31"),
        ("bela", "e", "2026-01-30"),
    ]
    month_end = state.transform(None, versions(spark, rows), STATE, days=days[-1:])
    assert cells(month_end) == [cell for cell in cells(at_once) if "2026-01-31" in cell]
