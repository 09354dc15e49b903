"""All feeds of one small super-app: their columns, their truth, and that they tell one story."""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest
from pyspark.sql import SparkSession

from jobs.simulate import app, bills, campaigns, consents, contacts, devices, planted
from jobs.simulate.plan import SOURCE_OF, Mess, Simulation, Summary, packaged_source
from jobs.simulate.run import simulate
from schemas.columns import CHANNELS, PURPOSES
from schemas.event_feeds import OUTCOMES

FIRST = date(2026, 1, 1)
MESSY = Mess(late=0.05, very_late=0.02, touched=0.03, duplicate=0.05, broken=0.08, changed=0.03, early=0.02, odd=0.2)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    out = tmp_path_factory.mktemp("feeds")
    return Simulation(customers=800, first=FIRST, last=FIRST + timedelta(days=13), seed=11, out=out, mess=MESSY)


@pytest.fixture(scope="module")
def summary(spark: SparkSession, story: Simulation) -> Summary:
    return simulate(spark, story)


@pytest.fixture(scope="module")
def truth(story: Simulation, summary: Summary) -> dict[str, list[dict[str, Any]]]:
    told: dict[str, list[dict[str, Any]]] = {}
    for source in SOURCE_OF.values():
        files = sorted(story.out.glob(f"truth/{source}/*.parquet"))
        told[source] = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
    return told


def _lines(out: Path, source: str) -> list[dict[str, Any]]:
    files = sorted(out.glob(f"{source}/*/part-*.jsonl.gz"))
    return [json.loads(line) for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]


def _csv(out: Path, source: str) -> list[dict[str, Any]]:
    with duckdb.connect() as db:
        return db.sql(f"from read_csv('{out}/{source}/*/*.csv.gz', all_varchar = true)").to_arrow_table().to_pylist()


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_every_feed_is_delivered_on_every_day_and_told_of(story: Simulation, summary: Summary) -> None:
    assert set(summary.sources) == set(SOURCE_OF.values())
    for source in SOURCE_OF.values():
        names = {path.parent.name for path in story.out.glob(f"{source}/*/manifest.json")}
        assert names >= {str(day) for day in story.dates}
        rows = 0
        for path in story.out.glob(f"{source}/*/manifest.json"):
            manifest = json.loads(path.read_text())
            assert manifest["date"] == path.parent.name[:10]
            rows += sum(file["rows"] for file in manifest["files"])
        assert rows == summary.sources[source].rows > 0
    deliveries = [json.loads(path.read_text())["delivery_id"] for path in story.out.glob("*/*/manifest.json")]
    assert len(set(deliveries)) == len(deliveries) == summary.deliveries
    # Continuous sources deliver twice on some days.
    assert any(name.endswith("-2") for name in deliveries)


FLAWS = {
    "app_events": app.FLAWS,
    "devices": devices.FLAWS,
    "contacts": contacts.FLAWS,
    "consents": consents.FLAWS,
    "bills": bills.FLAWS,
}


@pytest.mark.parametrize("source", FLAWS)
def test_whatever_can_be_wrong_with_a_feed_is_wrong_somewhere(
    truth: dict[str, list[dict[str, Any]]], source: str
) -> None:
    kinds = Counter(row["kind"] for row in truth[source])
    assert kinds.keys() >= {"clean", "late", "duplicate", "broken"}
    for row in truth[source]:
        assert (row["answer"] == "quarantined") == bool(row["reasons"])
        assert row["delivery_date"] <= row["answered_on"]
        if row["kind"] == "duplicate":
            assert row["answer"] == "duplicate"
        if row["kind"] in ("clean", "late", "odd", "unknown"):
            assert row["answer"] == "accepted"
    needs_text = {"parquet"} if packaged_source(source).format == "parquet" else set[str]()
    reasons = {reason for row in truth[source] for reason in row["reasons"]} - {"changed_after_posting"}
    assert reasons == {reason for reason, text in FLAWS[source].items() if not (text and needs_text)}


def test_events_are_calls_of_the_segment_spec(story: Simulation, truth: dict[str, list[dict[str, Any]]]) -> None:
    lines = _lines(story.out, "app_events")
    told = {row["message_id"]: row for row in truth["app_events"] if row["kind"] in ("clean", "late", "unknown")}
    assert {line["type"] for line in lines} == {"track", "screen", "identify", "alias"}
    skewed = 0
    for line in lines:
        fact = told.get(line["messageId"])
        if fact is None or fact["kind"] == "duplicate":
            continue
        sent, received = _moment(line["sentAt"]), _moment(line["receivedAt"])
        # However wrong the device's own clock, the time that is left when the wait is taken off is right.
        happened = received - (sent - _moment(line["originalTimestamp"]))
        assert fact["event_date"] == (happened + timedelta(hours=5, minutes=30)).date()
        assert line["timestamp"] is None or abs(_moment(line["timestamp"]) - happened) < timedelta(seconds=1)
        skewed += abs(received - sent) > timedelta(minutes=5)
        assert line["userId"] or line["anonymousId"]
    assert 0.002 < skewed / len(lines) < 0.1
    stamped = sum(line["timestamp"] is not None for line in lines)
    assert 0.2 < stamped / len(lines) < 0.45
    assert any(line["context"]["active"] is False and line["event"] == "push_received" for line in lines)
    assert any((line["properties"]["dwell_ms"] or 0) < 0 for line in lines)


def test_a_newcomer_is_nameless_until_identified(story: Simulation, truth: dict[str, list[dict[str, Any]]]) -> None:
    told = {row["message_id"] for row in truth["app_events"] if row["kind"] in ("broken", "changed")}
    lines = [line for line in _lines(story.out, "app_events") if line["messageId"] not in told]
    identified = {line["userId"]: line for line in lines if line["type"] == "identify" and line["userId"]}
    assert len(identified) > 50
    nameless: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if line["userId"] is None and line["anonymousId"] and line["type"] != "alias":
            nameless[line["anonymousId"]].append(line["receivedAt"])
    joined = [line for line in identified.values() if line["anonymousId"] in nameless]
    assert len(joined) > 0.8 * len(identified)
    for user, line in identified.items():
        number = int(user[1:])
        assert line["traits"]["phone"] in [*planted.spellings(number), *planted.spellings(number - 1)]
        assert line["traits"]["email"] == planted.email_of(number)


def test_payments_come_with_a_visit_to_the_app(story: Simulation, summary: Summary) -> None:
    lines = _lines(story.out, "app_events")
    done = Counter(line["userId"] for line in lines if line["event"] == "payment_done")
    paid = Counter(row["user_id"] for row in _csv(story.out, "payments") if row["flow"] == "debit")
    both = [user for user in paid if user and done[user]]
    assert len(both) > 0.9 * len([user for user in paid if user])


def test_a_device_is_in_one_hand_a_day_and_some_are_shared(
    story: Simulation, truth: dict[str, list[dict[str, Any]]]
) -> None:
    facts = [row for row in truth["devices"] if row["answer"] == "accepted"]
    assert len({(row["device_id"], row["event_date"]) for row in facts}) == len(facts)
    users: dict[str, set[str]] = defaultdict(set)
    for row in facts:
        users[row["device_id"]].add(row["user_id"] or "")
    assert any(len(whose - {""}) == 2 for whose in users.values())
    assert any(row["user_id"] is None for row in facts)
    # The devices feed and the app speak of the same devices.
    named = {line["context"]["device"]["id"] for line in _lines(story.out, "app_events")}
    assert len(named & users.keys()) > 0.9 * len(users)


def test_a_paid_bill_is_paid_by_a_payment_of_the_same_amount(
    story: Simulation, truth: dict[str, list[dict[str, Any]]]
) -> None:
    rows = [row for row in _csv(story.out, "bills") if row["rupees"].replace(".", "").isdigit()]
    broken = {row["payment_id"] for row in truth["payments"] if row["kind"] == "broken"}
    payments = {
        (row["user_id"], row["biller"], row["category"], row["rupees"]): row["created"]
        for row in _csv(story.out, "payments")
        if row["product"] == "bill_payment" and row["payment_id"] not in broken
    }
    paid = [row for row in rows if row["state"] == "PAID" and row["user_id"] and row["changed"] > "2026-01-03"]
    assert len(paid) > 20
    found = [row for row in paid if (row["user_id"], row["biller"], row["category"], row["rupees"]) in payments]
    # Broken payments and those that come late aside.
    assert len(found) > 0.75 * len(paid)
    for row in found:
        assert payments[row["user_id"], row["biller"], row["category"], row["rupees"]] < row["changed"]
    for row in rows:
        if row["state"] == "ISSUED" and row["due"] and row["due"][:2] == "20":
            ahead = date.fromisoformat(row["due"]) - date.fromisoformat(row["issued"][:10])
            assert timedelta(days=10) <= ahead <= timedelta(days=20)
    assert {row["state"] for row in rows} == {"ISSUED", "PAID", "CANCELLED", "PART PAID"}
    assert any(row["state"] == "PAID" and row["issued"] > row["changed"] for row in rows)


def test_money_goes_to_people_of_the_address_book(story: Simulation, summary: Summary) -> None:
    def digits(text: str) -> str:
        return "".join(sign for sign in text if sign.isdigit())[-10:]

    book: dict[str, set[str]] = defaultdict(set)
    for line in _lines(story.out, "contacts"):
        if line["user_id"] and line["number"]:
            book[line["user_id"]].add(digits(line["number"]))
    sizes = sorted(len(entries) for entries in book.values())
    assert 40 < sizes[len(sizes) // 2] < 75
    assert sizes[-1] <= 200
    customers = {planted.phone_of(number) for number in range(story.customers)}
    known = sum(len(entries & customers) for entries in book.values())
    assert 0.2 < known / sum(sizes) < 0.4
    sent = [
        row for row in _csv(story.out, "payments") if row["payee"] and row["user_id"] in book and row["flow"] == "debit"
    ]
    assert len(sent) > 30
    assert 0.5 < sum(digits(row["payee"]) in book[row["user_id"]] for row in sent) / len(sent) < 0.95


def test_consents_are_of_known_purposes_and_channels(story: Simulation, truth: dict[str, list[dict[str, Any]]]) -> None:
    rows = _csv(story.out, "consents")
    assert {row["purpose"] for row in rows} - {"marketing"} <= set(PURPOSES)
    assert {row["channel"] for row in rows} - {"pigeon"} <= set(CHANNELS)
    assert any(row["to_time"] and row["from_time"] and row["to_time"] < row["from_time"] for row in rows)
    assert {"granted", "withdrawn"} <= {row["version"] for row in truth["consents"]}


def test_feedback_is_of_known_outcomes(story: Simulation, summary: Summary) -> None:
    lines = _lines(story.out, "campaign_feedback")
    assert {line["outcome"] for line in lines} - {"seen"} <= set(OUTCOMES)
    assert set(campaigns.FLAWS) >= {"trigger_id_missing", "outcome_invalid"}


def test_phones_are_unique_valid_and_written_in_many_ways(story: Simulation, summary: Summary) -> None:
    numbers = [*range(20_000), *range(planted.SPARE, planted.SPARE + 20_000)]
    phones = {planted.phone_of(number) for number in numbers}
    assert len(phones) == len(numbers)
    assert all(len(phone) == 10 and phone[0] in "6789" for phone in phones)
    lines = [line for line in _lines(story.out, "customers") if line["user_id"]]
    spelt = Counter[int]()
    for line in lines:
        number = int(line["user_id"][1:])
        own = [*planted.spellings(number), *planted.spellings(planted.SPARE + number), *planted.spellings(number - 1)]
        assert line["mobile"] in own
        spelt[own.index(line["mobile"]) % 5] += 1
        assert line["email"] is None or line["email"].strip().lower() == planted.email_of(number)
    assert len(spelt) == 5
    # Some numbers change hands: the customer before had given it up.
    assert any(line["mobile"] in planted.spellings(int(line["user_id"][1:]) - 1) for line in lines)
