"""The funnel: where each eligible customer ends, and that it keeps its promises over many nights."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from jobs import selection
from schemas.acting import SELECTED, WITHHELD
from tests.jobs.acting import ago, caps, selected, steps, trigger, triggers
from tests.jobs.rows import NIGHT

OFFER = triggers(trigger())
PUSH = {"channel": "push", "max": 2, "days": 7}


def of(*customers: str, **told: Any) -> list[dict[str, Any]]:
    return [{"customer_id": customer, **told} for customer in customers]


# ---- before anybody competes


def test_without_a_consent_for_purpose_and_channel_nobody_is_written_to(spark: SparkSession) -> None:
    given = [
        {"customer_id": "yes", "purpose": "promotional", "channel": "push"},
        # Another purpose, another channel.
        {"customer_id": "service", "purpose": "service", "channel": "push"},
        {"customer_id": "sms", "purpose": "promotional", "channel": "sms"},
        # Taken back on the night itself, at 23:00 in India; and from the morning after on.
        {"customer_id": "back", "purpose": "promotional", "channel": "push", "valid_to": f"{NIGHT} 17:30"},
        {"customer_id": "later", "purpose": "promotional", "channel": "push", "valid_to": "2026-02-01 03:00"},
        # Given only from the day after on.
        {"customer_id": "soon", "purpose": "promotional", "channel": "push", "valid_from": "2026-02-01 03:00"},
        # Given, and taken back by a newer version.
        {"customer_id": "newer", "purpose": "promotional", "channel": "push"},
        {
            "customer_id": "newer",
            "purpose": "promotional",
            "channel": "push",
            "updated_at": "2026-01-10 00:00",
            "valid_to": "2026-01-10 00:00",
            "as_of_date": "2026-01-10",
        },
        # Taken back too, but the lake learns it only on the night after.
        {"customer_id": "unheard", "purpose": "promotional", "channel": "push"},
        {
            "customer_id": "unheard",
            "purpose": "promotional",
            "channel": "push",
            "updated_at": "2026-01-10 00:00",
            "valid_to": "2026-01-10 00:00",
            "as_of_date": "2026-02-01",
        },
    ]
    customers = ("yes", "service", "sms", "back", "later", "soon", "newer", "unheard", "nothing")
    told = steps(selected(spark, of(*customers), OFFER, consents=given))
    assert told == {
        "yes": "selected",
        "service": "no_consent",
        "sms": "no_consent",
        "back": "no_consent",
        # As of the night it is given; that it ends at once is what delivery looks at again.
        "later": "selected",
        "soon": "no_consent",
        "newer": "no_consent",
        "unheard": "selected",
        "nothing": "no_consent",
    }


def test_closed_channels_are_passed_over_and_who_has_no_other_is_suppressed(spark: SparkSession) -> None:
    two = triggers(trigger(channels=("push", "email")))
    closed = [
        ("gone", None, date(2025, 1, 1)),
        ("objected", "promotional/push", NIGHT),
        ("objected", "promotional/email", NIGHT),
        ("bounced", "promotional/push", NIGHT),
        # Objected to what is of another kind.
        ("service", "service/push", NIGHT),
        # Told of longer ago than complaints count.
        ("long_ago", "promotional/push", NIGHT - timedelta(days=selection.COMPLAINED_DAYS)),
        # Told of after the night.
        ("after", "promotional/push", NIGHT + timedelta(days=1)),
        # Of two complaints the earlier was told of late, and counts.
        ("late", "promotional/push", NIGHT, datetime(2025, 6, 1, tzinfo=UTC)),
        (
            "late",
            "promotional/push",
            NIGHT - timedelta(days=selection.COMPLAINED_DAYS),
            datetime(2025, 6, 2, tzinfo=UTC),
        ),
    ]
    customers = ("gone", "objected", "bounced", "service", "long_ago", "after", "late")
    told = selected(spark, of(*customers), two, unreachable=closed)
    assert {row["customer_id"]: (row["step"], row["channel"]) for row in told} == {
        "gone": ("suppressed", None),
        "objected": ("suppressed", None),
        "bounced": ("selected", "email"),
        "service": ("selected", "push"),
        "long_ago": ("selected", "push"),
        "after": ("selected", "push"),
        "late": ("selected", "email"),
    }


@pytest.mark.parametrize(
    ("repeat", "days_ago", "expected"),
    [
        ({"kind": "cooldown", "days": 7}, 6, "cooling_down"),
        ({"kind": "cooldown", "days": 7}, 7, "selected"),
        ({"kind": "once"}, 400, "cooling_down"),
        ({"kind": "until_goal", "days": 7}, 6, "cooling_down"),
        ({"kind": "until_goal", "days": 7}, 7, "selected"),
    ],
)
def test_who_was_written_to_is_not_written_to_again_too_soon(
    spark: SparkSession, repeat: dict[str, Any], days_ago: int, expected: str
) -> None:
    rules = triggers(trigger(repeat=repeat))
    told = selected(spark, of("anna"), rules, contacts=[{"customer_id": "anna", "as_of_date": ago(days_ago)}])
    assert steps(told) == {"anna": expected}


def test_a_contact_about_something_else_is_no_reason_to_wait(spark: SparkSession) -> None:
    rules = triggers(trigger(repeat={"kind": "once"}))
    before = [
        {"customer_id": "anna", "subject": "bill 1", "as_of_date": ago(2)},
        {"customer_id": "bert", "subject": "bill 2", "trigger": "other", "as_of_date": ago(2)},
        # Of the night itself and of one after it: a night made again does not see what it did.
        {"customer_id": "carl", "subject": "bill 2", "as_of_date": ago(0)},
        {"customer_id": "dora", "subject": "bill 2", "as_of_date": ago(-1)},
    ]
    told = selected(spark, of("anna", "bert", "carl", "dora", subject="bill 2"), rules, contacts=before)
    assert set(steps(told).values()) == {"selected"}


def test_who_reached_the_goal_after_a_contact_is_converted(spark: SparkSession) -> None:
    rules = triggers(trigger(goal_days=10))
    until = triggers(trigger(repeat={"kind": "until_goal", "days": 7}, goal_days=10))
    before = [{"customer_id": customer, "as_of_date": ago(9)} for customer in ("did", "before", "not_yet")]
    before += [{"customer_id": "long_ago", "as_of_date": ago(11)}]
    rows = [
        *of("did", goal_date=NIGHT - timedelta(days=8)),
        # On the night of the selection, so before the message could have come.
        *of("before", goal_date=NIGHT - timedelta(days=9)),
        *of("not_yet"),
        *of("long_ago", goal_date=NIGHT),
    ]
    assert steps(selected(spark, rows, rules, contacts=before)) == {
        "did": "converted",
        "before": "selected",
        "not_yet": "selected",
        # The contact is too old to have been the reason, so it may be said again.
        "long_ago": "selected",
    }
    assert steps(selected(spark, rows, until, contacts=before))["long_ago"] == "converted"


# ---- caps


def test_caps_count_the_days_before_and_the_gap_and_the_same_night(spark: SparkSession) -> None:
    def past(customer: str, *days: int, **told: str) -> list[dict[str, Any]]:
        return [{"customer_id": customer, "trigger": "else", "as_of_date": ago(day), **told} for day in days]

    before = [
        *past("full", 3, 7),
        *past("room", 3, 8),
        *past("near", 1),
        *past("service", 3, 4, message_class="service"),
        *past("email", 3, 4, channel="email"),
    ]
    limits = caps({**PUSH, "min_gap_days": 2})
    told = steps(selected(spark, of("full", "room", "near", "service", "email"), OFFER, limits, contacts=before))
    assert told == {
        "full": "capped",
        # The eighth day before the night is not within the seven.
        "room": "selected",
        # Yesterday is one day ago, and two have to lie between.
        "near": "capped",
        "service": "selected",
        "email": "selected",
    }


def test_the_first_channel_with_room_is_taken_and_service_has_no_caps(spark: SparkSession) -> None:
    rules = triggers(
        trigger("first", priority=1, channels=("push", "email")),
        trigger("second", priority=2, channels=("push", "email")),
        trigger("third", priority=3, channels=("push", "email")),
        trigger("reminder", priority=4, channels=("push",), message_class="service"),
    )
    limits = caps({"channel": "push", "max": 1, "days": 7}, {"channel": "email", "max": 1, "days": 7})
    rows = [{"customer_id": "anna", "trigger": rule.name} for rule in rules]
    told = {row["trigger"]: (row["step"], row["channel"]) for row in selected(spark, rows, rules, limits)}
    assert told == {
        "first": ("selected", "push"),
        "second": ("selected", "email"),
        "third": ("capped", None),
        "reminder": ("selected", "push"),
    }


# ---- budget and priority


def test_the_budget_goes_to_the_greatest_rank_and_who_cannot_be_ranked_comes_last(spark: SparkSession) -> None:
    rules = triggers(trigger(budget={"amount_minor": 250, "cost_minor": 100}))
    rows = [
        {"customer_id": "small", "rank": 1.0},
        {"customer_id": "great", "rank": 9.0},
        {"customer_id": "middle", "rank": 5.0},
        {"customer_id": "unknown", "rank": None},
    ]
    told = steps(selected(spark, rows, rules))
    assert told == {"great": "selected", "middle": "selected", "small": "over_budget", "unknown": "over_budget"}


def test_who_is_passed_over_for_want_of_money_is_free_for_the_next_trigger(spark: SparkSession) -> None:
    rules = triggers(trigger("dear", priority=1, budget={"contacts": 1}), trigger("cheap", priority=2))
    rows = [
        {"customer_id": customer, "trigger": name, "rank": rank}
        for name in ("dear", "cheap")
        for customer, rank in (("anna", 2.0), ("bert", 1.0))
    ]
    told = selected(spark, rows, rules, caps({"channel": "push", "max": 1, "days": 7}))
    assert {(row["trigger"], row["customer_id"]): row["step"] for row in told} == {
        ("dear", "anna"): "selected",
        ("dear", "bert"): "over_budget",
        ("cheap", "anna"): "capped",
        ("cheap", "bert"): "selected",
    }


def test_rounds_end_where_a_budget_does() -> None:
    rules = triggers(
        trigger("a", priority=1),
        trigger("b", priority=2, budget={"contacts": 1}),
        trigger("c", priority=2),
        trigger("d", priority=3),
        trigger("e", priority=4, budget={"contacts": 1}),
    )
    assert selection.rounds(rules) == [["a", "b", "c"], ["d", "e"]]


def test_what_the_size_guard_holds_back_does_not_compete(spark: SparkSession) -> None:
    rules = triggers(trigger("held", priority=1), trigger("other", priority=2))
    rows = [{"customer_id": "anna", "trigger": name} for name in ("held", "other")]
    limits = caps({"channel": "push", "max": 1, "days": 7})
    told = selected(spark, rows, rules, limits, guarded=[(NIGHT, "held")])
    assert {row["trigger"]: row["step"] for row in told} == {"held": "size_guard", "other": "selected"}


# ---- holdouts


def test_holdouts_are_stable_and_a_greater_share_keeps_those_of_a_smaller_one(spark: SparkSession) -> None:
    everyone = of(*(f"c{number}" for number in range(400)))

    def held(share: float, of_trigger: float) -> dict[str, set[str]]:
        rules = triggers(trigger(holdout=of_trigger))
        told = selected(spark, everyone, rules, caps(share=share))
        return {step: {row["customer_id"] for row in told if row["step"] == step} for step in (*WITHHELD, SELECTED)}

    first, again, more = held(0.05, 0.1), held(0.05, 0.1), held(0.1, 0.2)
    assert first == again
    assert 8 <= len(first["held_out_global"]) <= 36
    assert 20 <= len(first["held_out"]) <= 62
    assert first["held_out_global"] < more["held_out_global"]
    assert first["held_out"] <= more["held_out"] | more["held_out_global"]


def test_a_service_message_is_withheld_from_nobody_but_by_its_own_holdout(spark: SparkSession) -> None:
    rules = triggers(trigger(message_class="service"))
    told = selected(spark, of(*(f"c{number}" for number in range(50))), rules, caps(share=0.9))
    assert Counter(row["step"] for row in told) == {"selected": 50}


# ---- many nights


def _nights(spark: SparkSession, rules: Any, limits: Any, ranks: dict[str, float], nights: int) -> list[Row]:
    """Night after night of the same eligible customers, each night knowing the contacts of those before it."""
    contacts: list[dict[str, Any]] = []
    told: list[Row] = []
    for number in range(nights):
        night = NIGHT + timedelta(days=number)
        rows = [
            {"customer_id": customer, "trigger": rule.name, "rank": rank, "as_of_date": night}
            for customer, rank in ranks.items()
            for rule in rules
        ]
        found = selected(spark, rows, rules, limits, contacts=contacts)
        told += found
        contacts += [
            {
                "customer_id": row["customer_id"],
                "trigger": row["trigger"],
                "channel": row["channel"],
                "as_of_date": str(night),
            }
            for row in found
            if row["step"] in (SELECTED, *WITHHELD)
        ]
    return told


@pytest.mark.parametrize("nights", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_a_short_budget_keeps_the_share_of_the_held_out_among_its_winners(spark: SparkSession, nights: int) -> None:
    draw = Random(7)
    ranks = {f"c{number}": draw.random() for number in range(50 * nights)}
    rules = triggers(trigger(holdout=0.2, budget={"contacts": 40}, repeat={"kind": "once"}))
    told = _nights(spark, rules, caps(), ranks, nights)
    assert set(Counter(row["as_of_date"] for row in told if row["step"] in (SELECTED, *WITHHELD)).values()) == {40}
    # Were a withheld contact none, the held-out would come again each night and fill the budget.
    for half in (range(nights // 2), range(nights // 2, nights)):
        days = {NIGHT + timedelta(days=number) for number in half}
        winners = [row["step"] for row in told if row["as_of_date"] in days and row["step"] in (SELECTED, *WITHHELD)]
        assert winners.count("held_out") / len(winners) == pytest.approx(0.2, abs=0.07)
    held = {row["customer_id"] for row in told if row["step"] == "held_out"}
    assert not held & {row["customer_id"] for row in told if row["step"] == SELECTED}


def test_caps_hold_over_any_seven_days(spark: SparkSession) -> None:
    rules = triggers(
        trigger("one", priority=1, repeat={"kind": "cooldown", "days": 1}),
        trigger("two", priority=2, repeat={"kind": "cooldown", "days": 2}),
        trigger("three", priority=3, repeat={"kind": "cooldown", "days": 3}, budget={"contacts": 3}),
    )
    told = _nights(spark, rules, caps(PUSH, share=0.1), {f"c{number}": float(number) for number in range(8)}, 12)
    contacts: defaultdict[str, list[date]] = defaultdict(list)
    for row in told:
        if row["step"] in (SELECTED, *WITHHELD):
            contacts[row["customer_id"]].append(row["as_of_date"])
    assert len(contacts) == 8
    for days in contacts.values():
        assert len(days) >= 2
        for first in days:
            assert sum(first <= day < first + timedelta(days=7) for day in days) <= 2


def test_nights_that_do_not_know_of_each_other_are_selected_at_once(spark: SparkSession) -> None:
    rules = triggers(trigger("a", budget={"contacts": 2}), trigger("b", priority=2, channels=("push", "email")))
    limits = caps(PUSH, share=0.1)
    nights = [NIGHT, NIGHT + timedelta(days=1)]
    before = [{"customer_id": f"c{number}", "as_of_date": ago(number)} for number in range(6)]
    rows = [
        {"customer_id": f"c{number}", "trigger": rule.name, "rank": float(number % 4), "as_of_date": night}
        for number in range(9)
        for rule in rules
        for night in nights
    ]
    Random(3).shuffle(rows)
    alone = [
        row
        for night in nights
        for row in selected(spark, [row for row in rows if row["as_of_date"] == night], rules, limits, contacts=before)
    ]
    assert selected(spark, rows, rules, limits, contacts=before) == alone
    assert len(alone) == len(rows)
