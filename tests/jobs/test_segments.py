"""mart.customer_segments and its moves: what the shipped rules make of facts, and how levels hold over nights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from random import Random

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import conf
from conf import Segment
from jobs import membership, segment_status, segments, transitions
from jobs.frames import local_frame
from jobs.rules.book import RuleBook, compile_book
from jobs.rules.columns import scores
from jobs.transitions import History
from schemas.judgement import CUSTOMER_SEGMENTS, SCORES, SEGMENT_TRANSITIONS
from schemas.mart import CUSTOMER_PROFILE
from tests.jobs.rows import NIGHT, Row, cells, table_frame

SETTINGS = conf.load(environ={})
ENGINE_COLUMNS = {
    **scores("risk", ("low", "medium", "high")),
    **scores("customer", ("worst", "weak", "middle", "good", "best")),
}
BOOK = compile_book(SETTINGS, ENGINE_COLUMNS)
ONE_DAY = timedelta(days=1)


class Risk:
    name = "risk"
    prefix = "risk"


def ago(days: int, night: date = NIGHT) -> str:
    return str(night - timedelta(days=days))


def bits(*days: int) -> int:
    """A word of a mask with these days."""
    return sum(1 << day for day in days)


def of(customer: str, **facts: object) -> Row:
    """A profile of a customer who was active a year ago, three weeks ago and today, but for `facts`."""
    return {
        "customer_id": customer,
        "as_of_date": str(NIGHT),
        "first_date": ago(365),
        "last_any_date": ago(0),
        "any_days_0_63": bits(0, 20),
        **facts,
    }


def away(days: int) -> Row:
    """Last active so many days ago."""
    return {
        "last_any_date": ago(days),
        "any_days_0_63": bits(days) if days < 64 else None,
        "any_days_64_127": bits(days - 64) if 64 <= days < 128 else None,
    }


def judged(
    spark: SparkSession,
    rows: Sequence[Row],
    before: Sequence[Row] | None = None,
    book: RuleBook = BOOK,
    **more: object,
) -> DataFrame:
    profile = table_frame(spark, CUSTOMER_PROFILE, rows)
    held = None if before is None else held_frame(spark, before)
    return segments.judged(profile, None, held, book, **more)


def held_frame(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    """How customers were judged the night before; segments stand in one text, blanks between them."""
    told = [
        (
            NIGHT - ONE_DAY,
            row["customer_id"],
            row.get("lifecycle", "active"),
            row.get("level", "visitor"),
            str(row.get("segments", "")).split(),
        )
        for row in rows
    ]
    return local_frame(spark, told, CUSTOMER_SEGMENTS.ddl(nullable=True))


def stages(frame: DataFrame, what: str = "lifecycle") -> dict[str, str]:
    return {row["customer_id"]: row[what] for row in frame.collect()}


def test_everyone_has_the_first_stage_that_is_met(spark: SparkSession) -> None:
    rows = {
        # Three days ago for the first time.
        "new": of("new", first_date=ago(6), **{**away(3), "any_days_0_63": bits(3, 6)}),
        "active": of("active", **away(28)),
        "at_risk": of("at_risk", **away(29)),
        "dormant": of("dormant", **away(60)),
        "churned": of("churned", **away(90)),
        # Registered and never did anything.
        "registered": of("registered", first_date=None, last_any_date=None, any_days_0_63=None),
        # Came back on day 13 after 60 days: away from day 73.
        "reactivated": of("reactivated", any_days_0_63=bits(2, 13), any_days_64_127=bits(73 - 64)),
    }
    found = stages(judged(spark, list(rows.values())))
    assert found == {name: name for name in rows}


@pytest.mark.parametrize(
    ("mask", "first", "expected"),
    [
        ((bits(2, 13), bits(72 - 64)), 365, "active"),  # away for 59 days only
        ((bits(2, 14), bits(74 - 64)), 365, "active"),  # came back on day 14: two weeks have passed
        ((bits(5), None), 365, "reactivated"),  # before that further back than the mask tells
        ((bits(5), None), 5, "new"),  # before that there is nothing: the first time
        ((bits(0, 59), bits(64 - 64)), 365, "active"),  # no gap of 60 anywhere near
        ((bits(0), bits(60 - 64 + 64)), 365, "reactivated"),  # bit 63 of the second word: 127 days
    ],
)
def test_who_comes_back_is_told_from_the_mask(
    spark: SparkSession, mask: tuple[int, int | None], first: int, expected: str
) -> None:
    row = of("x", first_date=ago(first), any_days_0_63=mask[0], any_days_64_127=mask[1])
    assert stages(judged(spark, [row])) == {"x": expected}


# What makes somebody premium: twenty transfers among sixty payments for three families.
PREMIUM: Row = {
    "transfer_count": 20,
    "recharge_count": 15,
    "bill_count": 5,
    "transacting_count": 60,
    "electricity_count": 2,
    "last_app_date": ago(45),
}


def test_the_level_is_the_highest_that_is_earned_and_may_stay(spark: SparkSession) -> None:
    rows = [
        of("visitor"),
        of("shopper", marketplace_count=3, transacting_count=3),  # nothing of the ladder
        of("recharge", recharge_count=1),
        of("electric", recharge_count=5, electricity_count=1),  # the automatic upgrade by an electricity bill
        of("postpaid", postpaid_count=1),  # and by a post-paid phone bill
        of("sender", transfer_count=1),
        of("power", transfer_count=5, transacting_count=20, recharge_count=14, merchant_count=1),
        of("premium", **PREMIUM, **away(89)),  # away for three months all but a day
        of("came_down", **PREMIUM, **away(90)),  # power may be away for four
        of("forgotten", **PREMIUM, **away(119), recharge_amount_minor=1),
        of("lost", **{**PREMIUM, "last_any_date": ago(400)}),
    ]
    assert stages(judged(spark, rows), "level") == {
        "visitor": "visitor",
        "shopper": "visitor",
        "recharge": "recharge",
        "electric": "postpaid",
        "postpaid": "postpaid",
        "sender": "sender",
        "power": "power",
        "premium": "premium",
        "came_down": "power",
        "forgotten": "power",
        "lost": "visitor",
    }


def test_a_level_that_was_held_is_left_only_when_stay_fails(spark: SparkSession) -> None:
    rows = [of("keeps"), of("falls", **away(90)), of("earns", transfer_count=1), of("unknown")]
    before = [
        {"customer_id": "keeps", "level": "premium"},  # earned by an older rule; was there today
        {"customer_id": "falls", "level": "premium"},  # three months away, and nothing earned below
        {"customer_id": "earns", "level": "recharge"},
        {"customer_id": "unknown", "level": "platinum"},  # a level that there is no more
    ]
    assert stages(judged(spark, rows, before), "level") == {
        "keeps": "premium",
        "falls": "visitor",
        "earns": "sender",
        "unknown": "visitor",
    }


def test_the_segments_of_the_design(spark: SparkSession) -> None:
    rows = [
        of("upi", last_upi_date=ago(3), upi_count=1),
        of("recharges", recharge_count=2, transacting_count=2, last_recharge_date=ago(3)),
        of("electric", bill_count=1, electricity_count=1, last_electricity_date=ago(80)),
        of("phone", bill_count=1, postpaid_count=1, last_postpaid_date=ago(2)),
        of("premium", **PREMIUM, **away(45)),
        of("low", device_ram_mb=2048, device_sim_count=2),
    ]
    told = {row["customer_id"]: row["segments"] for row in judged(spark, rows).collect()}
    assert told == {
        "upi": ["upi_user"],
        "recharges": ["recharge_only", "recharge_user"],
        "electric": ["electricity_user", "postpaid_user"],
        "phone": ["postpaid_user"],
        "premium": ["premium_dormant"],
        "low": ["dual_sim", "low_end_phone"],
    }


# ---- moves


def moves(frame: DataFrame, history: History, *columns: str, book: RuleBook = BOOK) -> list[tuple[str | None, ...]]:
    columns = columns or ("customer_id", "kind", "name", "from_value", "to_value", "move", "cause")
    return cells(transitions.transform(frame, book, history), *columns)


def test_who_moved_and_where(spark: SparkSession) -> None:
    rows = [of("up", transfer_count=1, transfer_days_0_63=1), of("down", **PREMIUM, **away(90)), of("same"), of("new")]
    before = [
        {"customer_id": "up", "level": "recharge", "segments": "ready_for_first_transfer"},
        {"customer_id": "down", "lifecycle": "dormant", "level": "premium", "segments": "premium_dormant"},
        {"customer_id": "same"},
    ]
    history = History(start=None, versions=BOOK.versions)
    assert moves(judged(spark, rows, before), history) == [
        ("down", "level", "level", "premium", "power", "downgraded", "customer"),
        ("down", "lifecycle", "lifecycle", "dormant", "churned", "entered", "customer"),
        ("down", "segment", "premium_dormant", None, None, "left", "customer"),
        # A customer of whom nothing was known the night before.
        ("new", "level", "level", None, "visitor", "entered", "customer"),
        ("new", "lifecycle", "lifecycle", None, "active", "entered", "customer"),
        ("up", "level", "level", "recharge", "sender", "upgraded", "customer"),
        ("up", "segment", "ready_for_first_transfer", None, None, "left", "customer"),
        ("up", "segment", "sender", None, None, "entered", "customer"),
    ]


def test_who_moved_on_any_of_the_nights(spark: SparkSession) -> None:
    def on(night: date, *rows: Row) -> DataFrame:
        return held_frame(spark, rows).withColumn("as_of_date", F.lit(night))

    before = on(ago(2), *({"customer_id": name} for name in ("same", "level", "segments", "back", "gone", "stage")))
    first = on(
        ago(1),
        {"customer_id": "same"},
        {"customer_id": "level", "level": "sender"},
        {"customer_id": "segments", "segments": "a"},
        {"customer_id": "back", "segments": "a"},
        {"customer_id": "stage"},
        {"customer_id": "new"},
    )
    last = on(
        NIGHT,
        {"customer_id": "same"},
        {"customer_id": "level", "level": "sender"},
        {"customer_id": "segments", "segments": "a b"},
        {"customer_id": "back"},
        {"customer_id": "stage", "lifecycle": "dormant"},
        {"customer_id": "new"},
    )
    told = segments.moved(first.unionByName(last), before, nights=2)
    # She who is gone tells no move, but looks like one who came.
    assert sorted(row[0] for row in told.collect()) == ["back", "gone", "level", "new", "segments", "stage"]


def test_on_the_first_night_everything_is_entered_because_it_is_the_first(spark: SparkSession) -> None:
    told = moves(judged(spark, [of("x", recharge_count=1)]), History(start=NIGHT))
    assert told == [
        ("x", "level", "level", None, "recharge", "entered", "start"),
        ("x", "lifecycle", "lifecycle", None, "active", "entered", "start"),
        ("x", "segment", "recharge_only", None, None, "entered", "start"),
    ]


def test_the_values_that_decided_are_the_evidence(spark: SparkSession) -> None:
    row = of("x", device_ram_mb=2048, last_upi_date=ago(3))
    told = transitions.transform(judged(spark, [row]), BOOK, History(start=NIGHT))
    evidence = {row["name"]: row["evidence"] for row in told.collect()}
    assert evidence["low_end_phone"] == '{"device_ram_mb":2048}'
    assert evidence["upi_user"] == '{"days_since_upi":3}'
    assert json.loads(evidence["lifecycle"]) == {
        "days_away_before_return": 20,
        "days_since_active": 0,
        "days_since_first": 365,
    }
    assert list(json.loads(evidence["level"])) == sorted(json.loads(evidence["level"]))


def test_texts_of_the_evidence_are_json_whatever_stands_in_them(spark: SparkSession) -> None:
    book = book_of({"name": "branded", "when": "device_brand is not null"})
    row = of("x", device_brand='say "hi"\\\n')
    told = transitions.transform(judged(spark, [row], book=book), book, History(start=NIGHT)).where("kind = 'segment'")
    [moved] = told.collect()
    assert json.loads(moved["evidence"]) == {"device_brand": 'say "hi"\\\n'}


def book_of(*rules: Mapping[str, object], engines: Mapping[str, object] = ENGINE_COLUMNS) -> RuleBook:
    """A book with these segments and the shipped levels."""
    examples = {"matches": ({},), "excludes": ({},), "about": "Made up.", "owner": "tests"}
    made = tuple(Segment.model_validate({**examples, **rule}) for rule in rules)
    return compile_book(SETTINGS.model_copy(update={"segments": made, "triggers": ()}), engines)


def test_an_edit_of_a_rule_is_told_from_what_the_customer_did(spark: SparkSession) -> None:
    old, new = "days_since_active < 10", "days_since_active < 20"
    before_book, book = book_of({"name": "lively", "when": old}), book_of({"name": "lively", "when": new})
    edited = {NIGHT: {("segment", "lively")}}
    history = History(start=None, versions=before_book.versions, edited=edited)
    frame = judged(spark, [of("x", **away(15))], [{"customer_id": "x"}], book)
    columns = ("name", "move", "cause", "rule_version")
    assert moves(frame, history, *columns, book=book) == [
        ("lively", "entered", "rule_edit", book.versions["segment", "lively"])
    ]


def test_a_rule_that_is_gone_leaves_its_members_with_its_last_version(spark: SparkSession) -> None:
    before_book, book = book_of({"name": "lively", "when": "true"}), book_of()
    history = History(start=None, versions=before_book.versions, edited={NIGHT: {("segment", "lively")}})
    frame = judged(spark, [of("x")], [{"customer_id": "x", "segments": "lively"}], book)
    assert moves(frame, history, "name", "move", "cause", "rule_version", book=book) == [
        ("lively", "left", "rule_edit", before_book.versions["segment", "lively"])
    ]


def test_a_segment_whose_engine_failed_keeps_its_members(spark: SparkSession) -> None:
    rows = [of("in"), of("out")]
    before = [{"customer_id": "in", "segments": "risky"}, {"customer_id": "out"}]
    frame = judged(spark, rows, before, failed={("segment", "risky"): "risk failed"})
    told = {row["customer_id"]: row["segments"] for row in frame.collect()}
    assert told == {"in": ["risky"], "out": []}
    assert moves(frame, History(start=None, versions=BOOK.versions)) == []


def test_a_segment_counts_from_its_date_on(spark: SparkSession) -> None:
    book = book_of(
        {"name": "today", "when": "true", "effective_from": NIGHT},
        {"name": "tomorrow", "when": "true", "effective_from": NIGHT + ONE_DAY},
        {"name": "off", "when": "true", "enabled": False},
    )
    assert [row["segments"] for row in judged(spark, [of("x")], book=book).collect()] == [["today"]]


def test_scores_are_read_by_the_rules(spark: SparkSession) -> None:
    rows = [(NIGHT, "x", "risk", "1", 700, "high", "{}", ["many_reversals"])]
    told = local_frame(spark, rows, SCORES.ddl(nullable=True))
    book = book_of(
        {"name": "risky", "when": "risk_band = 'high'"},
        {"name": "reverses", "when": "array_contains(risk_reasons, 'many_reversals')"},
        {"name": "best", "when": "customer_band = 'best'"},  # an engine that says nothing of anybody tonight
    )
    profile = table_frame(spark, CUSTOMER_PROFILE, [of("x"), of("y")])
    frame = segments.judged(profile, told, None, book, engines=[Risk()])
    assert {row["customer_id"]: row["segments"] for row in frame.collect()} == {"x": ["reverses", "risky"], "y": []}


# ---- nights


def history_of(customer: int, nights: Sequence[date]) -> Iterator[Row]:
    """A life by chance: on some nights something is done, and counts grow."""
    chance = Random(customer)
    counts = {"recharge_count": 0, "transfer_count": 0, "electricity_count": 0, "transacting_count": 0}
    first = last = nights[0] - timedelta(days=chance.randrange(0, 300))
    for night in nights:
        if chance.random() < 0.2:
            last = night
            for name in counts:
                counts[name] += chance.randrange(0, 4)
        yield {
            "customer_id": f"c{customer}",
            "as_of_date": str(night),
            "first_date": str(first),
            "last_any_date": str(last),
            "any_days_0_63": bits((night - last).days) if (night - last).days < 64 else None,
            "merchant_count": 1,
            "bill_count": 1,
            **{name: count or None for name, count in counts.items()},
        }


def test_nights_at_once_are_the_nights_one_by_one(spark: SparkSession) -> None:
    nights = [NIGHT + timedelta(days=n) for n in range(6)]
    rows = [row for customer in range(40) for row in history_of(customer, nights)]
    profile = table_frame(spark, CUSTOMER_PROFILE, rows).localCheckpoint()
    at_once = segments.judged(profile, None, None, BOOK)
    told = transitions.transform(at_once, BOOK, History(start=nights[0]))
    one_by_one = one_moves = None
    before: DataFrame | None = None
    for night in nights:
        frame = segments.judged(profile.where(f"as_of_date = date'{night}'"), None, before, BOOK)
        start = night if before is None else None
        moved = transitions.transform(frame, BOOK, History(start=start, versions=BOOK.versions)).localCheckpoint()
        before = segments.transform(frame).localCheckpoint()
        one_by_one = before if one_by_one is None else one_by_one.unionByName(before)
        one_moves = moved if one_moves is None else one_moves.unionByName(moved)
    assert one_by_one is not None and one_moves is not None
    assert cells(segments.transform(at_once)) == cells(one_by_one)
    assert cells(told) == cells(one_moves)
    # And from the first night's moves alone, or from any snapshot and the moves after it, comes the last night.
    last = cells(one_by_one.where(f"as_of_date = date'{nights[-1]}'"))
    assert cells(membership.transform(None, one_moves, as_of=nights[-1])) == last
    since = one_moves.where(f"as_of_date > date'{nights[2]}'")
    snapshot = one_by_one.where(f"as_of_date = date'{nights[2]}'")
    assert cells(membership.transform(snapshot, since, as_of=nights[-1])) == last


def test_the_status_counts_members_and_moves(spark: SparkSession) -> None:
    rows = [of("a", transfer_count=1, transfer_days_0_63=1), of("b", **away(45), **PREMIUM), of("c")]
    before = [
        {"customer_id": "a", "level": "recharge", "segments": "ready_for_first_transfer"},
        {"customer_id": "b", "lifecycle": "at_risk", "level": "premium"},
        {"customer_id": "c", "segments": "risky"},
    ]
    frame = judged(spark, rows, before, failed={("segment", "risky"): "risk failed"}).localCheckpoint()
    moved = transitions.transform(frame, BOOK, History(start=None, versions=BOOK.versions))
    told = segment_status.transform(
        segments.transform(frame), moved, BOOK, days=[NIGHT], failed={("segment", "risky"): "risk failed"}
    )
    found = {row[0]: row[1:] for row in cells(told, "name", "kind", "members", "entered", "left", "state", "why")}
    assert len(found) + 1 == len(BOOK.lifecycle) + len(BOOK.levels) + len(BOOK.segments)  # sender is a level too
    assert found["premium_dormant"] == ("segment", "1", "1", "0", "ok", None)
    assert found["ready_for_first_transfer"] == ("segment", "0", "0", "1", "ok", None)
    assert found["recharge"] == ("level", "0", "0", "1", "ok", None)
    assert found["premium"] == ("level", "1", "0", "0", "ok", None)
    assert found["active"] == ("lifecycle", "2", "0", "0", "ok", None)
    # Nobody is not none: its members are unknown tonight.
    assert found["risky"] == ("segment", None, None, None, "failed", "risk failed")


def test_a_band_that_changes_is_a_move(spark: SparkSession) -> None:
    def scored(night: date, *told: tuple[str, str, str]) -> DataFrame:
        rows = [(night, customer, "risk", version, 1, band, '{"a":1}', []) for customer, band, version in told]
        return local_frame(spark, rows, SCORES.ddl(nullable=True))

    before = scored(NIGHT - ONE_DAY, ("same", "low", "1"), ("worse", "low", "1"), ("edited", "low", "0"))
    now = scored(NIGHT, ("same", "low", "1"), ("worse", "high", "1"), ("edited", "high", "1"), ("new", "low", "1"))
    told = transitions.of_bands(now, before, first=NIGHT)
    columns = ("customer_id", "name", "from_value", "to_value", "cause", "evidence")
    assert cells(told, *columns) == [
        ("edited", "risk", "low", "high", "rule_edit", '{"a":1}'),
        ("new", "risk", None, "low", "customer", '{"a":1}'),
        ("worse", "risk", "low", "high", "customer", '{"a":1}'),
    ]
    assert set(told.columns) == set(SEGMENT_TRANSITIONS.column_names)


def test_the_first_bands_of_an_engine_are_its_start(spark: SparkSession) -> None:
    rows = [(NIGHT + n * ONE_DAY, "x", "risk", "1", 1, band, "{}", []) for n, band in enumerate(("low", "high"))]
    told = transitions.of_bands(local_frame(spark, rows, SCORES.ddl(nullable=True)), None, first=NIGHT, new=["risk"])
    assert cells(told, "from_value", "to_value", "cause") == [(None, "low", "start"), ("low", "high", "customer")]


def test_a_level_that_reads_a_failed_engine_stays_what_it_was(spark: SparkSession) -> None:
    rows = [of("held", transfer_count=1), of("new", transfer_count=1)]
    before = [{"customer_id": "held", "level": "recharge", "lifecycle": "at_risk"}]
    frame = judged(spark, rows, before, failed={("level", "level"): "risk failed"})
    # Of whom nothing is known the rule says what it can without the engine.
    assert stages(frame, "level") == {"held": "recharge", "new": "sender"}
    assert stages(frame) == {"held": "active", "new": "active"}


def test_a_level_that_there_is_no_more_is_no_rung_to_come_up_from(spark: SparkSession) -> None:
    frame = judged(spark, [of("x", transfer_count=1)], [{"customer_id": "x", "level": "platinum"}])
    told = moves(frame, History(start=None, versions=BOOK.versions), "kind", "from_value", "to_value", "move")
    assert ("level", "platinum", "sender", "entered") in told


def test_evidence_holds_texts_with_line_separators(spark: SparkSession) -> None:
    book = book_of({"name": "branded", "when": "device_brand is not null"})
    row = of("x", device_brand="a\u2028b\u0085c")
    told = transitions.transform(judged(spark, [row], book=book), book, History(start=NIGHT)).where("kind = 'segment'")
    [moved] = told.collect()
    assert json.loads(moved["evidence"]) == {"device_brand": "a\u2028b\u0085c"}
