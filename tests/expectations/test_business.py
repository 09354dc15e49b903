from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from expectations import business
from expectations.check import judge
from expectations.figures import Suite
from schemas import CATALOGUE
from tests.expectations.frames import NIGHT, gather, refusals, utc

KOLKATA = "Asia/Kolkata"
BEFORE, AFTER = NIGHT - timedelta(days=1), NIGHT + timedelta(days=1)

PAYMENT = {
    "as_of_date": NIGHT,
    "event_date": NIGHT,
    "occurred_at": utc("2026-01-31T06:00"),
    "updated_at": utc("2026-01-31T06:01"),
    "direction": "debit",
    "status": "success",
    "currency": "INR",
    "is_implied": False,
}
VERSION = {
    "as_of_date": NIGHT,
    "event_date": NIGHT,
    "registered_at": utc("2025-06-01T06:00"),
    "updated_at": utc("2026-01-31T06:00"),
}
REFUSED_ROW = {"as_of_date": NIGHT, "reasons": ["amount_negative"]}
DAY = {
    "as_of_date": NIGHT,
    "event_date": NIGHT,
    "is_active": True,
    "is_transacting": True,
    "transfer_count": 2,
    "transfer_amount_minor": 500,
    "transfer_last_at": utc("2026-01-31T06:00"),
    "rail_upi_count": 2,
    "rail_upi_amount_minor": 500,
    "largest_transfer_minor": 300,
}
OF_NIGHT = {"as_of_date": NIGHT, "event_date": NIGHT}
# One function makes these for every feed; transactions and customers stand for all.
OF_EVERY_FEED = {"before_1970", "in_the_future", "event_date_disagrees", "early"}
DELIVERY = {
    "as_of_date": NIGHT,
    "source": "payments",
    "records": 100,
    "delivered": 100,
    "accepted": 90,
    "quarantined": 5,
    "duplicate": 2,
    "waiting": 3,
    "erased": 0,
}
PROFILE = {
    "as_of_date": NIGHT,
    "customer_id": "anna",
    "first_date": BEFORE,
    "active_days": 2,
    "first_days": 3,
    "last_any_date": NIGHT,
    "any_days_0_63": 3,
    "transfer_count": 2,
    "transfer_amount_minor": 500,
    "first_transfer_date": BEFORE,
    "last_transfer_date": NIGHT,
    "transacting_count": 2,
    "transacting_amount_minor": 500,
    "first_transacting_date": BEFORE,
    "last_transacting_date": NIGHT,
}
WINDOW = {
    "as_of_date": NIGHT,
    "definition": "n_day",
    "period": "day_1",
    "first_date": date(2026, 1, 23),
    "slice": "all",
    "slice_value": "",
    "customers": 10,
    "retained": 4,
}
# Table, a good row, and per case: what is changed about it and the expectations that this breaks.
GROUP = {
    "as_of_date": NIGHT,
    "question": "recharge_to_transfer",
    "method": "naive",
    "grp": "stayed",
    "customers": 80,
    "retained": 48,
    "rate": Decimal("0.600000"),
    "low": Decimal("0.490437"),
    "high": Decimal("0.700440"),
    "first_to": NIGHT.replace(year=NIGHT.year - 1),
}
DIFFERENCE = {"grp": "difference", "retained": None, "low": Decimal("-0.1")}
WITHOUT_RATE = {"rate": None, "low": None, "high": None}
CASES = {
    "core.transactions": (
        PAYMENT,
        {
            "good": ({}, set()),
            "no updated_at": ({"updated_at": None}, set()),
            # 19:00 UTC is half past midnight in Kolkata.
            "the evening in UTC is the next day in the zone": (
                {"occurred_at": utc("2026-01-30T19:00"), "updated_at": None},
                set(),
            ),
            "dated in UTC": (
                {"occurred_at": utc("2026-01-30T19:00"), "event_date": BEFORE},
                {"event_date_disagrees"},
            ),
            "reversed, dated by updated_at": (
                {"status": "reversed", "occurred_at": utc("2026-01-20T06:00")},
                set(),
            ),
            # Its earlier date is of the night or before, so it does not wait.
            "reversed five past midnight": (
                {"status": "reversed", "updated_at": utc("2026-01-31T18:35"), "event_date": AFTER},
                set(),
            ),
            "reversed, dated by occurred_at": (
                {"status": "reversed", "occurred_at": utc("2026-01-20T06:00"), "event_date": date(2026, 1, 20)},
                {"event_date_disagrees"},
            ),
            "paid five past midnight": (
                {"occurred_at": utc("2026-01-31T18:35"), "updated_at": None, "event_date": AFTER},
                {"early"},
            ),
            "touched two days ahead": ({"updated_at": utc("2026-02-02T06:00")}, {"in_the_future"}),
            # 18:29 UTC is one minute before midnight of the day after, in Kolkata.
            "touched within the day after": ({"updated_at": utc("2026-02-01T18:29")}, set()),
            "updated_at of an empty clock": ({"updated_at": utc("1969-12-31T00:00")}, {"before_1970"}),
            "another currency": ({"currency": "USD"}, {"currency_invalid"}),
            "implied success of a debit": ({"is_implied": True}, set()),
            "implied credit": ({"is_implied": True, "direction": "credit"}, {"implied_not_success_debit"}),
            "implied reversal": ({"is_implied": True, "status": "reversed"}, {"implied_not_success_debit"}),
        },
    ),
    "core.customers": (
        VERSION,
        {
            "good": ({}, set()),
            "dated by registered_at for want of updated_at": (
                {"updated_at": None, "event_date": date(2025, 6, 1)},
                set(),
            ),
            "early versions count at once": ({"updated_at": utc("2026-01-31T18:35"), "event_date": AFTER}, set()),
            "two days ahead": (
                {"updated_at": utc("2026-02-02T06:00"), "event_date": date(2026, 2, 2)},
                {"in_the_future"},
            ),
            "before 1970": ({"updated_at": utc("1969-06-01T06:00"), "event_date": date(1969, 6, 1)}, {"before_1970"}),
            "dated otherwise": ({"event_date": BEFORE}, {"event_date_disagrees"}),
        },
    ),
    "core.app_events": (
        {**OF_NIGHT, "event_id": "e1", "customer_id": "c1", "occurred_at": utc("2026-01-31T06:00"), "action": "screen"},
        {
            "good": ({}, set()),
            "of a device": ({"customer_id": None, "device_id": "d1"}, set()),
            "of nobody": ({"customer_id": None}, {"customer_id_or_device_id_missing"}),
            "not in the tracking plan": ({"action": "dance"}, {"unknown_event"}),
            "five past midnight": ({"occurred_at": utc("2026-01-31T18:35"), "event_date": AFTER}, {"early"}),
            "dated in UTC": (
                {"occurred_at": utc("2026-01-30T19:00"), "event_date": BEFORE},
                {"event_date_disagrees"},
            ),
        },
    ),
    "core.consents": (
        {
            **OF_NIGHT,
            "customer_id": "c1",
            "purpose": "promotional",
            "channel": "sms",
            "updated_at": utc("2026-01-31T06:00"),
            "valid_from": utc("2026-01-31T06:00"),
            "row_hash": 1,
        },
        {
            "good": ({}, set()),
            "withdrawn": ({"valid_to": utc("2026-01-31T06:00")}, set()),
            "ends before it begins": ({"valid_to": utc("2026-01-31T05:59")}, {"ends_before_it_begins"}),
        },
    ),
    "core.bills": (
        {
            **OF_NIGHT,
            "bill_id": "b1",
            "customer_id": "c1",
            "updated_at": utc("2026-01-31T06:00"),
            "issued_at": utc("2026-01-31T06:00"),
            "due_date": date(2026, 2, 14),
            "amount_minor": 500,
            "currency": "INR",
            "status": "issued",
            "row_hash": 1,
        },
        {
            "good": ({}, set()),
            "another currency": ({"currency": "USD"}, {"currency_invalid"}),
            "paid before it was issued": (
                {"status": "paid", "issued_at": utc("2026-01-31T07:00")},
                {"paid_before_issued"},
            ),
        },
    ),
    "core.quarantine": (REFUSED_ROW, {"good": ({}, set()), "no reason": ({"reasons": []}, {"no_reason"})}),
    "core.customer_daily": (
        DAY,
        {
            "good": ({}, set()),
            "only registered": (
                {name: None for name in DAY if name.startswith(("transfer", "rail", "largest"))}
                | {"is_active": False, "is_transacting": False, "event_date": AFTER},
                set(),
            ),
            "more electricity than bills": ({"electricity_count": 1}, {"categories_above_bills"}),
            "rail unknown": ({"rail_upi_count": None, "rail_upi_amount_minor": None}, set()),
            "free payments": (
                {"transfer_amount_minor": 0, "rail_upi_amount_minor": 0, "largest_transfer_minor": 0},
                set(),
            ),
            "count without amount": (
                {"recharge_count": 1, "recharge_last_at": utc("2026-01-31T06:00")},
                {"recharge_incomplete"},
            ),
            "count without time": ({"recharge_count": 1, "recharge_amount_minor": 9}, {"recharge_incomplete"}),
            "amount without count": ({"received_amount_minor": 9}, {"received_incomplete"}),
            "reversals without amount": ({"reversed_count": 1}, {"reversed_incomplete"}),
            "rail without amount": ({"rail_upi_amount_minor": None}, {"rail_upi_incomplete"}),
            "largest missing": ({"largest_transfer_minor": None}, {"largest_transfer_incomplete"}),
            "largest above the sum": ({"largest_transfer_minor": 501}, {"largest_transfer_above_sum"}),
            "paid and not transacting": ({"is_transacting": False}, {"transacting_disagrees", "active_disagrees"}),
            "transacting and not active": ({"is_active": False}, {"active_disagrees"}),
            "used the app": ({"foreground_event_count": 3, "night_event_count": 3}, set()),
            "more events at night than there were": (
                {"foreground_event_count": 3, "night_event_count": 4},
                {"night_above_foreground"},
            ),
            "active tomorrow": ({"event_date": AFTER}, {"active_after_the_night"}),
            "told on the last day before its windows close": ({"event_date": date(2026, 1, 24)}, set()),
            "told a day after that": ({"event_date": date(2026, 1, 23)}, {"late_after_close"}),
            "more over rails than paid": ({"rail_upi_count": 3}, {"rails_above_families"}),
            "more money over rails than paid": ({"rail_upi_amount_minor": 501}, {"rails_above_families"}),
        },
    ),
    "mart.customer_profile": (
        PROFILE,
        {
            "good": ({}, set()),
            "only registered": ({name: None for name in PROFILE if name not in ("as_of_date", "customer_id")}, set()),
            "more dates before the mask": ({"active_days": 40}, set()),
            "an electricity bill without its date": ({"electricity_count": 1}, {"electricity_incomplete"}),
            "a bit that was not counted": (
                {"active_days": 1},
                {"mask_above_active_days", "first_days_above_active_days"},
            ),
            "the sign bit counts as well": ({"any_days_64_127": -(1 << 63)}, {"mask_above_active_days"}),
            "a day after the first that was not counted": ({"first_days": 7}, {"first_days_above_active_days"}),
            "began after it ended": ({"first_date": AFTER}, {"first_after_last"}),
            "active tomorrow": ({"last_any_date": AFTER}, {"active_after_the_night"}),
            "a payment of no family": ({"transacting_count": 3}, {"transacting_disagrees"}),
            "money of no family": ({"transacting_amount_minor": 501}, {"transacting_disagrees"}),
            "count without dates": (
                {"recharge_count": 1, "recharge_amount_minor": 0, "transacting_count": 3},
                {"recharge_incomplete"},
            ),
        },
    ),
    "mart.retention_cohorts": (
        WINDOW,
        {
            "good": ({}, set()),
            "nobody came back": ({"retained": 0}, set()),
            "everybody came back": ({"retained": 10}, set()),
            "more came back than there were": ({"retained": 11}, {"retained_above_customers"}),
            "of a cohort to come": ({"first_date": AFTER}, {"not_begun"}),
        },
    ),
    "ops.deliveries": (
        DELIVERY,
        {
            "good": ({}, set()),
            "takes what waited": (
                {"delivered": 0, "accepted": 2, "quarantined": 1, "duplicate": 0, "waiting": -3},
                set(),
            ),
            "one row lost": ({"accepted": 89}, {"unbalanced"}),
            "negative count": ({"accepted": 99, "erased": -9}, {"negative"}),
            "takes back what it lands": ({"accepted": 96, "waiting": -3}, {"took_what_it_landed"}),
            "one row above the limit": ({"accepted": 89, "quarantined": 6}, {"over_limit"}),
            "one row is no share": (
                {"delivered": 3, "accepted": 2, "quarantined": 1, "duplicate": 0, "waiting": 0},
                set(),
            ),
            "two rows are": (
                {"delivered": 3, "accepted": 1, "quarantined": 2, "duplicate": 0, "waiting": 0},
                {"over_limit"},
            ),
            "one row where none may be": (
                {"source": "strict", "delivered": 3, "accepted": 2, "quarantined": 1, "duplicate": 0, "waiting": 0},
                {"over_limit"},
            ),
            "a dump is judged as a whole": ({"source": "history", "accepted": 5, "quarantined": 90}, set()),
        },
    ),
    "mart.upgrade_retention": (
        GROUP,
        {
            "good": ({}, set()),
            "a difference": (DIFFERENCE, set()),
            "nobody": ({"customers": 0, "retained": 0, **WITHOUT_RATE}, set()),
            "the difference of an empty group": ({**DIFFERENCE, **WITHOUT_RATE}, set()),
            "who stayed, weighted": ({"method": "matched", "retained": None, "rate": Decimal("0.55")}, set()),
            "more came back than there were": ({"retained": 81}, {"retained_above_customers", "rate_disagrees"}),
            "a rate of other counts": ({"retained": 47}, {"rate_disagrees"}),
            "a rate of nobody": ({"customers": 0, "retained": 0}, {"rate_without_customers"}),
            "customers without a rate": (WITHOUT_RATE, {"rate_without_customers"}),
            "an interval with one end": ({"high": None}, {"interval_incomplete"}),
            "below its interval": ({"low": Decimal("0.600001")}, {"rate_outside"}),
            "above its interval": ({"high": Decimal("0.599999")}, {"rate_outside"}),
            "a share below nothing": ({"low": Decimal("-0.000001")}, {"group_below_zero"}),
            "of windows that are open": ({"first_to": NIGHT}, {"not_closed"}),
        },
    ),
    "mart.selections": (
        {"as_of_date": NIGHT, "step": "selected", "channel": "push"},
        {
            "good": ({}, set()),
            "withheld": ({"step": "held_out"}, set()),
            "left out": ({"step": "capped", "channel": None}, set()),
            "selected over nothing": ({"channel": None}, {"channel_disagrees"}),
            "left out over a channel": ({"step": "over_budget"}, {"channel_disagrees"}),
        },
    ),
}


def suite_of(table: str) -> Suite:
    limits = {"payments": Decimal("0.05"), "strict": Decimal(0)}
    (suite,) = business.suites(table, zone=KOLKATA, currency="INR", close_after=7, limits=limits, events=["screen"])
    return suite


@pytest.fixture(scope="module")
def refused(spark):
    return {
        table: refusals(
            spark, CATALOGUE[table], suite_of(table), good, {case: change for case, (change, _) in cases.items()}
        )
        for table, (good, cases) in CASES.items()
    }


@pytest.mark.parametrize(("table", "case"), [(table, case) for table, (_, cases) in CASES.items() for case in cases])
def test_one_row_turns_exactly_what_it_breaks_red(refused, table, case):
    assert refused[table][case] == CASES[table][1][case][1]


@pytest.mark.parametrize("table", CASES)
def test_every_expectation_is_turned_red_by_some_case(table):
    red = {name for _, expected in CASES[table][1].values() for name in expected}
    expected = {expectation.name for expectation in suite_of(table).expectations}
    # Families and rails are made by one loop each: one of each stands for all.
    alike = {name for name in expected if name.endswith("_incomplete")}
    if table in ("core.app_events", "core.consents", "core.bills"):
        red, expected = red - OF_EVERY_FEED, expected - OF_EVERY_FEED
    # Is told by no row; below.
    expected -= {"eligible_conserved"}
    assert red - alike == expected - alike
    assert (
        red & alike
        == {
            f"{name}_incomplete"
            for name in ("recharge", "received", "reversed", "rail_upi", "largest_transfer", "interval", "electricity")
        }
        & alike
    )


def test_a_selection_that_lost_or_doubled_somebody_is_refused():
    told = {"rows": 3, "channel_disagrees": 0}
    for eligible, is_well in ((3, True), (4, False), (2, False)):
        results = judge(suite_of("mart.selections"), {**told, business.ELIGIBLE.name: eligible})
        assert {result.expectation: result.success for result in results} == {
            "channel_disagrees": True,
            "eligible_conserved": is_well,
        }


def test_without_any_limit_no_share_is_judged():
    assert "over_limit" not in [expectation.name for expectation in business.deliveries({}).expectations]


def test_a_table_whose_declaration_says_it_all_has_no_business_suite():
    assert business.suites("core.customers_state", zone=KOLKATA, currency="INR", close_after=7, limits={}) == ()


BAND = (Decimal("0.5"), Decimal(2))


@pytest.mark.parametrize(
    ("rows", "success"),
    [(49, False), (50, True), (200, True), (201, False), (0, False)],
)
def test_volume_is_judged_against_the_median_of_the_history(rows, success):
    # The mean would be 400: a festival does not make the next weeks look empty.
    volume = business.volume_expectation([100, 1400, 90, 10], None, 4, "fail")
    assert volume is None
    volume = business.volume_expectation([100, 1400, 100, 100, 10], BAND, 4, "warn")
    (result,) = judge(
        Suite("feed", "core.t", (business.ROWS_OF_THE_DAY,), ()).expecting(volume), {"rows_of_the_day": rows}
    )
    assert (result.success, result.observed, result.severity) == (success, str(rows), "warn")


@pytest.mark.parametrize(
    ("history", "band", "why"),
    [
        ([100, 100, 100], BAND, "three weeks of four"),
        ([], BAND, "no history"),
        ([0, 0, 0, 0], BAND, "nothing is usual"),
        ([100, 100, 100, 100], None, "no band"),
    ],
)
def test_volume_is_not_judged_where_nothing_is_known_to_be_usual(history, band, why):
    assert business.volume_expectation(history, band, 4, "fail") is None, why


def test_rows_of_the_day_leave_late_rows_out(spark):
    table = CATALOGUE["core.transactions"]
    late = {**PAYMENT, "event_date": BEFORE}
    figures = gather(spark, table, suite_of(table.name), {"one of two": [PAYMENT, late]})["one of two"]
    assert (figures["rows"], figures["rows_of_the_day"]) == (2, 1)


@pytest.mark.parametrize(
    ("with_rail", "success"),
    [(4, True), (2, True), (1, False)],
)
def test_a_null_share_that_moved_by_more_than_a_half_is_a_warning(spark, with_rail, success):
    """The night before every payment had its rail; tonight `with_rail` of four."""
    table = CATALOGUE["core.transactions"]
    suite = suite_of(table.name)
    nights = {
        "before": [{**PAYMENT, "rail": "upi"}] * 4,
        "tonight": [{**PAYMENT, "rail": "upi"}] * with_rail + [PAYMENT] * (4 - with_rail),
    }
    figures = gather(spark, table, suite, nights)
    moved = business.null_share_expectations(table, figures["tonight"], figures["before"])
    results = {result.expectation: result for result in judge(suite.expecting(*moved), figures["tonight"])}
    assert (results["rail_null_share"].success, results["rail_null_share"].severity) == (success, "warn")
    assert all(result.success for name, result in results.items() if name != "rail_null_share")


@pytest.mark.parametrize(
    ("tonight", "before", "why"),
    [
        ({"rows": 5, "rail_null_share": 1}, None, "the first night"),
        ({"rows": 5, "rail_null_share": 1}, {"rows": 0, "rail_null_share": 0}, "nothing the night before"),
        ({"rows": 0, "rail_null_share": 0}, {"rows": 5, "rail_null_share": 1}, "nothing tonight"),
        ({"rows": 5, "rail_null_share": 1}, {"rows": 5}, "the column is new"),
    ],
)
def test_null_shares_are_compared_only_where_both_nights_tell_them(tonight, before, why):
    assert business.null_share_expectations(CATALOGUE["core.transactions"], tonight, before) == (), why
