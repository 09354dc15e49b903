"""What app events and device rows say of one person on one day."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession

from jobs import daily, signals
from schemas.core import POSTED
from tests.jobs.rows import DEVICE, EVENT, PLAN, ZONE, Row, cells, table_frame

DAY = {"as_of_date": "2026-01-31", "event_date": "2026-01-31"}


def events(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    numbered = [{**DAY, "event_id": f"e{number}", **row} for number, row in enumerate(rows)]
    return table_frame(spark, POSTED["app_events"], numbered, EVENT)


def devices(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    numbered = [{**DAY, "row_hash": number, **row} for number, row in enumerate(rows)]
    return table_frame(spark, POSTED["devices"], numbered, DEVICE)


def told(spark: SparkSession, used: Sequence[Row], seen: Sequence[Row] = ()) -> DataFrame:
    return daily.transform({"app_events": events(spark, used), "devices": devices(spark, seen)}, PLAN, zone=ZONE)


def test_a_visit_is_counted_by_its_start_and_time_by_the_screens_group(spark: SparkSession) -> None:
    frame = told(
        spark,
        [
            {"action": "session_start"},
            {"screen": "home", "dwell_ms": "1000"},
            {"screen": "splash", "dwell_ms": "10"},  # of the group home as well
            {"screen": "send_money", "dwell_ms": "700"},
            {"screen": "never_heard_of", "dwell_ms": "5"},  # counts as other, and is kept
            {"dwell_ms": "2"},  # on no screen: other too
            {"action": "icon_tap", "icon": "recharge"},
            {"action": "icon_tap", "icon": "confetti"},
            {"screen": "home"},  # a screen that was not left yet has no time
        ],
    )
    columns = ("session_count", "foreground_event_count", "dwell_home_ms", "dwell_transfer_ms", "dwell_other_ms")
    assert cells(frame, *columns) == [("1", "9", "1010", "700", "7")]
    assert cells(frame, "icon_recharge_count", "icon_other_count", "icon_bills_count") == [("1", "1", None)]
    assert cells(frame, "is_active", "is_transacting") == [("true", "false")]


def test_what_the_app_did_by_itself_is_no_activity(spark: SparkSession) -> None:
    background = {"is_foreground": "false"}
    frame = told(
        spark,
        [
            {**background, "action": "session_start", "screen": "home", "dwell_ms": "1000", "icon": "shop"},
            {"customer_id": "ben", "is_foreground": None},  # a source that does not tell: the customer did it
        ],
    )
    figures = ("foreground_event_count", "session_count", "dwell_home_ms", "icon_shop_count")
    assert cells(frame, "customer_id", "is_active", *figures) == [
        ("anna", "false", None, None, None, None),  # a row all the same: something was told of her
        ("ben", "true", "1", None, None, None),
    ]


def test_night_is_from_22_to_6_in_the_lakes_zone(spark: SparkSession) -> None:
    frame = told(
        spark,
        [
            {"occurred_at": "2026-01-31 16:29:59"},  # 21:59:59 in Kolkata
            {"occurred_at": "2026-01-31 16:30:00"},  # 22:00
            {"occurred_at": "2026-01-31 00:29:59"},  # 05:59:59
            {"occurred_at": "2026-01-31 00:30:00"},  # 06:00
        ],
    )
    assert cells(frame, "night_event_count", "foreground_event_count", "app_last_at") == [
        ("2", "4", "2026-01-31 16:30:00")
    ]


def test_a_visit_across_midnight_is_of_the_day_it_began_and_its_time_of_each_event(spark: SparkSession) -> None:
    frame = told(
        spark,
        [
            {"action": "session_start", "session_id": "s", "event_date": "2026-01-30"},
            {"screen": "home", "session_id": "s", "dwell_ms": "30", "event_date": "2026-01-30"},
            {"screen": "home", "session_id": "s", "dwell_ms": "70"},
        ],
    )
    assert cells(frame, "event_date", "session_count", "dwell_home_ms", "is_active") == [
        ("2026-01-30", "1", "30", "true"),
        ("2026-01-31", None, "70", "true"),
    ]


def test_the_newest_device_is_hers_and_usage_adds_up(spark: SparkSession) -> None:
    frame = told(
        spark,
        [],
        [
            {"brand": "Vivo", "ram_mb": "4096", "screen_minutes": "30", "usage_games_minutes": "10"},
            {"device_id": "d2", "brand": "Xiaomi", "updated_at": "2026-01-31 11:00", "screen_minutes": "12"},
            {"device_id": "d3", "customer_id": None, "brand": "Oppo", "updated_at": "2026-01-31 12:00"},
        ],
    )
    columns = ("customer_id", "device_id", "device_brand", "device_ram_mb", "screen_minutes", "usage_games_minutes")
    # Of the newest row all facts are taken, also that it does not say how much memory there is.
    assert cells(frame, *columns) == [("anna", "d2", "Xiaomi", None, "42", "10")]
    assert cells(frame, "is_active") == [("false",)]


def test_two_rows_of_one_time_are_told_apart_by_their_hash_whatever_their_order(spark: SparkSession) -> None:
    rows: list[Row] = [{"device_id": "d1", "row_hash": "7"}, {"device_id": "d2", "row_hash": "3"}]
    for order in (rows, rows[::-1]):
        assert cells(told(spark, [], order), "device_id") == [("d1",)]


def test_rows_that_name_no_customer_are_gathered_by_device(spark: SparkSession) -> None:
    nobody = {"customer_id": None, "device_id": "d9"}
    used = events(spark, [{**nobody, "action": "session_start"}, {"device_id": "d9"}, {"customer_id": None}])
    seen = devices(spark, [{**nobody, "brand": "Vivo", "screen_minutes": "5"}, {}])
    frame = signals.of_unknown_people(used, seen, PLAN, zone=ZONE)
    columns = ("device_id", "event_date", "session_count", "foreground_event_count", "device_brand", "screen_minutes")
    assert cells(frame, *columns) == [("d9", "2026-01-31", "1", "1", "Vivo", "5")]


def test_what_was_gathered_counts_as_the_owners_own(spark: SparkSession) -> None:
    gathered = table_frame(
        spark,
        daily.CUSTOMER_DAILY,
        [{**DAY, "customer_id": "anna", "session_count": "2", "foreground_event_count": "5", "device_brand": "Vivo",
          "device_updated_at": "2026-01-31 09:00", "device_row_hash": "1", "screen_minutes": "5"}],
    )  # fmt: skip
    known = {"app_events": events(spark, [{"action": "session_start"}]), "owned": gathered}
    frame = daily.transform(known, PLAN, zone=ZONE)
    columns = ("session_count", "foreground_event_count", "device_brand", "screen_minutes", "is_active")
    assert cells(frame, *columns) == [("3", "6", "Vivo", "5", "true")]
