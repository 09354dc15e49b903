"""mart.retention_cohorts and mart.retention: written-out examples, and a plain Python count of the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from conf import CohortSettings
from jobs import cohorts, daily, profile, retention
from schemas.feeds import TRANSACTIONS
from schemas.mart import RETENTION_COHORTS
from tests.jobs.rows import PLAN, ZONE, Row, conform_nights, records_of, source_of, table_frame
from tests.jobs.test_profile import daily_of, expected, histories, payment

CLOSE_AFTER = 7
COHORTS = CohortSettings(
    n_day=(1, 7), bracket=((1, 29), (30, 59)), unbounded=((30, 119),), calendar_month=2, slices=("first_product",)
)


def on(day: str) -> date:
    return date.fromisoformat(f"2026-{day}")


def closed(
    spark: SparkSession, rows: Sequence[Row], *, since: date | None, until: date, settings: CohortSettings = COHORTS
) -> DataFrame:
    """The windows that close after `since` up to `until`; the profile is folded in months."""
    told = daily_of(spark, rows)
    before: DataFrame | None = None
    last: date | None = None
    begin = min(date.fromisoformat(str(row["as_of_date"])) for row in rows)
    for n in reversed(range(0, (until - begin).days + 1, 31)):
        night = until - timedelta(days=n)
        tonights = told.where(f"as_of_date <= date'{night}'" + (f" and as_of_date > date'{last}'" if last else ""))
        before = profile.transform(before, tonights, since=last, days=[night]).persist()
        last = night
    assert before is not None
    days = [until - timedelta(days=n) for n in range((until - (since or until - timedelta(days=1))).days)]
    return cohorts.transform(before, settings, close_after=CLOSE_AFTER, days=days)


def told(frame: DataFrame, *columns: str, slice_: str = "all") -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in frame.where(f"slice = '{slice_}'").select(*columns).collect())


def test_day_0_is_the_first_active_date_and_a_window_closes_some_days_after_its_last(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "success", on("01-10"), on("01-10")),
        payment("anna", 2, "success", on("01-11"), on("01-11")),  # day 1
        payment("bela", 1, "success", on("01-10"), on("01-10")),
        payment("bela", 2, "success", on("01-12"), on("01-12")),  # day 2
    ]
    for night in ("01-17", "01-19"):  # day 1 is the 11th, so its window closes on the 18th and on no other night
        assert told(closed(spark, rows, since=None, until=on(night)), "period") == []
    closing = closed(spark, rows, since=None, until=on("01-18"))
    assert told(closing, "as_of_date", "definition", "period", "first_date", "customers", "retained") == [
        (on("01-18"), "n_day", "day_1", on("01-10"), 2, 1)
    ]


def test_a_late_row_is_counted_when_it_is_known_before_the_window_closes_and_never_after(spark: SparkSession) -> None:
    early = payment("anna", 1, "success", on("01-10"), on("01-10"))
    in_time = payment("anna", 2, "success", on("01-11"), on("01-18"))
    too_late = payment("anna", 2, "success", on("01-11"), on("01-19"))
    for late, retained in ((in_time, 1), (too_late, 0)):
        known = [row for row in (early, late) if str(row["as_of_date"]) <= "2026-01-18"]
        frame = closed(spark, known, since=None, until=on("01-18"))
        assert told(frame, "period", "retained") == [("day_1", retained)]


def test_a_late_first_row_moves_the_customer_to_an_earlier_cohort(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "success", on("01-10"), on("01-10")),
        payment("anna", 2, "success", on("01-09"), on("01-15")),
    ]
    assert told(closed(spark, rows, since=None, until=on("01-17")), "first_date", "period", "retained") == [
        (on("01-09"), "day_1", 1)
    ]
    assert told(closed(spark, rows, since=None, until=on("01-18")), "first_date") == []


def test_calendar_months_close_together_and_month_0_is_everyone(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "success", on("01-01"), on("01-01")),
        payment("anna", 2, "success", on("02-28"), on("02-28")),
        payment("bela", 1, "success", on("01-31"), on("01-31")),
        payment("bela", 2, "success", on("03-01"), on("03-01")),
    ]
    months = COHORTS.model_copy(update={"n_day": (), "bracket": (), "unbounded": ()})
    columns = ("as_of_date", "period", "first_date", "customers", "retained")
    frame = closed(spark, rows, since=on("02-06"), until=on("03-07"), settings=months)
    assert told(frame, *columns) == [
        (on("02-07"), "month_0", on("01-01"), 1, 1),
        (on("02-07"), "month_0", on("01-31"), 1, 1),
        (on("03-07"), "month_1", on("01-01"), 1, 1),
        (on("03-07"), "month_1", on("01-31"), 1, 0),  # active in March, not in February
    ]


def test_the_slice_is_what_was_known_when_the_window_closed(spark: SparkSession) -> None:
    rows = [
        payment("anna", 1, "success", on("01-10"), on("01-10")),
        payment("bela", 1, "success", on("01-10"), on("01-10"), product="p2p_transfer"),
        payment("bela", 2, "success", on("01-11"), on("01-11")),
    ]
    frame = closed(spark, rows, since=None, until=on("01-18"))
    assert told(frame, "slice_value", "customers", "retained", slice_="first_product") == [
        ("recharge", 1, 0),
        ("transfer", 1, 1),
    ]


@pytest.mark.parametrize("seed", [3])
def test_all_windows_of_a_month_are_as_a_plain_count_has_them(spark: SparkSession, seed: int) -> None:
    # What is known later than a window closes is left out, so that the last night knows what the closing night knew.
    rows = [
        {**row, "as_of_date": row["event_date"]}
        for row in histories(seed)
        if date.fromisoformat(str(row["event_date"])) <= on("06-30")
    ]
    since, until = on("05-31"), on("06-30")
    active: dict[str, set[date]] = {}
    for row in rows:
        if (row["status"], row["direction"]) == ("success", "debit"):
            active.setdefault(str(row["customer_id"]), set()).add(date.fromisoformat(str(row["event_date"])))
    firsts = {customer: min(days) for customer, days in active.items()}
    products = {customer: row["first_product"] for customer, row in expected(rows, until).items()}
    counted: dict[tuple[Any, ...], list[int]] = {}
    for customer, first in firsts.items():
        for definition, period, begins, ends in windows(first):
            closes = ends + timedelta(days=CLOSE_AFTER)
            if since < closes <= until:
                is_retained = any(begins <= each <= ends for each in active[customer])
                for slice_ in (("all", ""), ("first_product", products[customer])):
                    cell = counted.setdefault((closes, definition, period, first, *slice_), [0, 0])
                    cell[0] += 1
                    cell[1] += is_retained
    frame = closed(spark, rows, since=since, until=until)
    names = ("as_of_date", "definition", "period", "first_date", "slice", "slice_value")
    found = {tuple(row[name] for name in names): [row["customers"], row["retained"]] for row in frame.collect()}
    assert len(found) > 50
    assert found == counted


def windows(first: date) -> list[tuple[str, str, date, date]]:
    def after(n: int) -> date:
        return first + timedelta(days=n)

    def month(n: int) -> date:
        months = first.year * 12 + first.month - 1 + n
        return date(months // 12, months % 12 + 1, 1)

    return [
        *(("n_day", f"day_{n}", after(n), after(n)) for n in COHORTS.n_day),
        *(("bracket", f"days_{a}_{b}", after(a), after(b)) for a, b in COHORTS.bracket),
        *(("unbounded", f"day_{a}_plus", after(a), after(b)) for a, b in COHORTS.unbounded),
        *(
            ("calendar_month", f"month_{n}", month(n), month(n + 1) - timedelta(days=1))
            for n in range(COHORTS.calendar_month + 1)
        ),
    ]


# ---- the view


def view(spark: SparkSession, *rows: tuple[str, str, int, int], known_on: str, definition: str = "n_day") -> list[Row]:
    """mart.retention of windows told as (closes, first date, customers, retained)."""
    frame = table_frame(
        spark,
        RETENTION_COHORTS,
        [
            {
                "as_of_date": f"2026-{closes}",
                "definition": definition,
                "period": "x",
                "first_date": f"2026-{first}",
                "slice": "all",
                "slice_value": "",
                "customers": customers,
                "retained": retained,
            }
            for closes, first, customers, retained in rows
        ],
    )
    return [row.asDict() for row in retention.transform(frame, on(known_on)).orderBy("grain", "cohort_start").collect()]


def test_weeks_and_months_are_sums_of_closed_days_and_have_a_rate_once_all_have_closed(spark: SparkSession) -> None:
    # Day 1 of the lake's close_after 7: a first date closes 8 days later. The 25th is a Sunday, the 31st the last.
    rows = [("01-28", "01-20", 2, 1), ("02-02", "01-25", 1, 1), ("02-03", "01-26", 3, 0)]
    found = [
        (row["grain"], row["cohort_start"], row["customers"], row["retained"], row["is_complete"], row["rate"])
        for row in view(spark, *rows, known_on="02-03")
    ]
    assert [(*row[:5], None if row[5] is None else str(row[5])) for row in found] == [
        ("day", on("01-20"), 2, 1, True, "0.500000"),
        ("day", on("01-25"), 1, 1, True, "1.000000"),
        ("day", on("01-26"), 3, 0, True, "0.000000"),
        ("month", on("01-01"), 6, 2, False, None),  # the 31st closes on 8 February, whether or not anyone began on it
        ("week", on("01-19"), 3, 2, True, "0.666667"),  # half up
        ("week", on("01-26"), 3, 0, False, None),
    ]
    [month] = [row for row in view(spark, *rows, known_on="02-08") if row["grain"] == "month"]
    assert (month["is_complete"], str(month["rate"])) == (True, "0.333333")
    [month] = [row for row in view(spark, *rows, known_on="02-07") if row["grain"] == "month"]
    assert month["is_complete"] is False


def test_a_calendar_month_is_told_by_months_alone_and_is_complete_when_it_is_there(spark: SparkSession) -> None:
    rows = [("02-07", "01-02", 1, 1), ("02-07", "01-31", 1, 0)]
    found = view(spark, *rows, known_on="02-07", definition="calendar_month")
    assert [(row["grain"], row["cohort_start"], row["customers"], str(row["rate"])) for row in found] == [
        ("month", on("01-01"), 2, "0.500000")
    ]


# ---- the zone


def test_midnight_is_the_zones(spark: SparkSession) -> None:
    source = source_of()
    rows: list[Row] = [
        {"transaction_id": "t1", "occurred_at": "2026-01-10 18:29:59", "as_of_date": "2026-01-10"},  # 23:59 in Kolkata
        {"transaction_id": "t2", "occurred_at": "2026-01-10 18:30:00", "as_of_date": "2026-01-11"},  # 00:00 of the 11th
    ]
    records = records_of(spark, source, rows)
    posted, _ = conform_nights(records, TRANSACTIONS, on("01-10"), on("01-11"))
    told_daily = daily.transform({"transactions": posted}, PLAN, zone=ZONE)
    profiles = profile.transform(None, told_daily, since=None, days=[on("01-18")])
    frame = cohorts.transform(profiles, COHORTS, close_after=CLOSE_AFTER, days=[on("01-18")])
    assert told(frame, "period", "first_date", "customers", "retained") == [("day_1", on("01-10"), 1, 1)]
