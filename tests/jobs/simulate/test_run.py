"""A whole story: the same for the same seed, consistent in itself, and as messy as was asked for."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet
import pytest
from pyspark.sql import SparkSession

from jobs.simulate import flaws, mess, run
from jobs.simulate.people import people
from jobs.simulate.plan import Mess, Simulation, Summary, packaged_source
from jobs.simulate.run import simulate

MESSY = Mess(
    late=0.05,
    very_late=0.03,
    touched=0.05,
    duplicate=0.05,
    broken=0.10,
    changed=0.03,
    early=0.03,
    pending_first=0.10,
    failed=0.10,
    reversed=0.05,
)
FIRST = date(2026, 1, 1)
# The others are looked at in test_feeds.
FEEDS = ("customers", "transactions")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    out = tmp_path_factory.mktemp("story")
    last = FIRST + timedelta(days=20)
    return Simulation(customers=1500, first=FIRST, last=last, seed=7, out=out, feeds=FEEDS, mess=MESSY)


@pytest.fixture(scope="module")
def summary(spark: SparkSession, story: Simulation) -> Summary:
    return simulate(spark, story)


@pytest.fixture(scope="module")
def delivered(story: Simulation, summary: Summary) -> list[dict[str, str]]:
    """Every delivered payments row, with the date of its `delivery`."""
    return [
        row | {"delivery": path.parent.name}
        for path in sorted(story.out.glob("payments/*/part-*"))
        for row in _csv_rows(path)
    ]


@pytest.fixture(scope="module")
def truth(story: Simulation, summary: Summary) -> list[dict[str, Any]]:
    files = sorted(story.out.glob("truth/payments/*.parquet"))
    return [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]


def _sql(query: str) -> list[tuple[Any, ...]]:
    return duckdb.execute(query).fetchall()


def _csv_rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def _deliveries(out: Path) -> dict[str, bytes]:
    return {name: content for name, content in _files(out).items() if not name.startswith("truth")}


def test_the_same_seed_tells_the_same_story_in_any_partitions(
    spark: SparkSession, story: Simulation, summary: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "people", lambda *asked: people(*asked).repartition(3, "user_id"))
    assert run.simulate(spark, replace(story, out=tmp_path)) == summary
    assert _files(tmp_path) == _files(story.out)


def test_another_seed_tells_another_story(
    spark: SparkSession, story: Simulation, summary: Summary, tmp_path: Path
) -> None:
    simulate(spark, replace(story, out=tmp_path, seed=8, last=story.first, feeds=("transactions",)))
    part = "payments/2026-01-01/part-0001.csv.gz"
    assert (tmp_path / part).read_bytes() != (story.out / part).read_bytes()


def test_a_longer_story_has_the_same_first_days(
    spark: SparkSession, story: Simulation, summary: Summary, tmp_path: Path
) -> None:
    simulate(spark, replace(story, out=tmp_path, last=story.first + timedelta(days=4)))
    shorter, longer = _deliveries(tmp_path), _deliveries(story.out)
    assert len(shorter) > 10
    assert shorter.items() <= longer.items()


def test_a_customer_does_not_depend_on_how_many_there_are(
    spark: SparkSession, story: Simulation, summary: Summary, tmp_path: Path
) -> None:
    last = story.first + timedelta(days=1)
    simulate(spark, replace(story, out=tmp_path, customers=100, last=last, feeds=("transactions",)))

    def of_the_first_hundred(out: Path) -> list[dict[str, str]]:
        files = [out / "payments" / day / "part-0001.csv.gz" for day in ("2026-01-01", "2026-01-02")]
        return [row for file in files for row in _csv_rows(file) if "" < row["user_id"] < "U000000100"]

    assert of_the_first_hundred(tmp_path) == of_the_first_hundred(story.out) != []


def test_every_manifest_matches_its_files(story: Simulation, summary: Summary) -> None:
    manifests = sorted(story.out.glob("*/*/manifest.json"))
    assert len(manifests) == summary.deliveries == 2 * 21
    rows = Counter[str]()
    for path in manifests:
        manifest = json.loads(path.read_text())
        assert [manifest["source"], manifest["date"]] == [path.parent.parent.name, path.parent.name]
        assert {file["name"] for file in manifest["files"]} | {"manifest.json"} == {
            file.name for file in path.parent.iterdir()
        }
        for file in manifest["files"]:
            stored = (path.parent / file["name"]).read_bytes()
            assert (file["bytes"], file["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())
            header = 1 if ".csv" in file["name"] else 0
            assert file["rows"] == len(gzip.decompress(stored).splitlines()) - header
            rows[manifest["source"]] += file["rows"]
    assert rows == {name: source.rows for name, source in summary.sources.items()}


def test_the_truth_tells_of_every_delivered_row(
    delivered: list[dict[str, str]], truth: list[dict[str, Any]], summary: Summary, story: Simulation
) -> None:
    told = Counter((str(row["delivery_date"]), row["payment_id"], row["state"]) for row in truth)
    assert told == Counter((row["delivery"], row["payment_id"], row["state"]) for row in delivered)
    written = json.loads((story.out / "truth" / "summary.json").read_text())["sources"]["payments"]
    assert written["kinds"] == summary.sources["payments"].kinds == Counter(row["kind"] for row in truth)
    assert written["answers"] == Counter(row["answer"] for row in truth)


def test_columns_are_those_of_the_source_and_parse_unless_broken(
    delivered: list[dict[str, str]], truth: list[dict[str, Any]]
) -> None:
    broken = {row["payment_id"] for row in truth if row["kind"] == "broken"}
    good = [row for row in delivered if row["payment_id"] not in broken]
    assert list(delivered[0]) == [*packaged_source("transactions").columns, "delivery"]
    for row in good:
        created, changed = (datetime.fromisoformat(row[name]) for name in ("created", "changed"))
        assert row["created"] == f"{created:%Y-%m-%d %H:%M:%S}"
        assert timedelta(0) <= changed - created < timedelta(days=20)
        assert Decimal(row["rupees"]) >= 1
        assert row["rupees"] == f"{Decimal(row['rupees']):.2f}"
        assert row["state"] in {"OK", "FAIL", "WAIT", "BACK"}
        assert row["flow"] in {"debit", "credit"}
        assert row["method"] in {"upi", "wallet", "card", "netbanking"}
        assert row["plan_days"] in {"", "28", "56", "84"}
        # Only the own plan expires; what is topped up for somebody else does not.
        assert row["plan_days"] == "" or row["category"] == "mobile"
        assert (row["biller"] != "") == (row["product"] in {"recharge", "bill_payment"})
        assert row["user_id"].startswith("U")


def test_jsonl_carries_the_offset(story: Simulation, summary: Summary) -> None:
    lines = [
        json.loads(line)
        for path in sorted(story.out.glob("customers/*/part-0001.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    assert {tuple(line) for line in lines} == {tuple(packaged_source("customers").columns)}
    registered = {line["registered"] for line in lines} - {None, "last week"}
    assert {datetime.fromisoformat(moment).utcoffset() for moment in registered} == {timedelta(hours=5, minutes=30)}


def test_the_first_delivery_holds_those_who_were_there_before(story: Simulation, summary: Summary) -> None:
    days = summary.sources["customers"].days
    assert days[FIRST] > 0.4 * story.customers
    assert max(rows for day, rows in days.items() if day != FIRST) < 0.1 * story.customers


def test_the_states_of_a_payment_follow_each_other(
    delivered: list[dict[str, str]], truth: list[dict[str, Any]]
) -> None:
    broken = {row["payment_id"] for row in truth if row["kind"] == "broken"}
    states: dict[str, dict[str, str]] = {}
    for row in delivered:
        if row["payment_id"] not in broken:
            first = states.setdefault(row["payment_id"], {})
            first[row["state"]] = min(first.get(row["state"], "9"), row["changed"])
    for changed in states.values():
        assert len(changed.keys() & {"OK", "FAIL"}) <= 1
        if "WAIT" in changed and len(changed) > 1:
            assert changed["WAIT"] < min(at for state, at in changed.items() if state != "WAIT")
        if {"BACK", "OK"} <= changed.keys():
            assert changed["OK"] < changed["BACK"]
    assert {"WAIT", "OK", "FAIL", "BACK"} <= {state for changed in states.values() for state in changed}


def test_rows_come_as_early_and_late_as_they_say(delivered: list[dict[str, str]], truth: list[dict[str, Any]]) -> None:
    told = {(str(row["delivery_date"]), row["payment_id"], row["state"]): row for row in truth}
    seen = Counter[str]()
    for row in delivered:
        fact = told[row["delivery"], row["payment_id"], row["state"]]
        days = (fact["delivery_date"] - date.fromisoformat(row["changed"][:10])).days
        seen[fact["kind"]] += 1
        match fact["kind"]:
            case "early":
                assert days == -1
                assert row["created"][11:15] == "00:0"
                assert fact["answered_on"] == fact["event_date"] == fact["delivery_date"] + timedelta(days=1)
            case "late":
                assert 1 <= days <= 6
            case "very_late":
                assert days >= 8
            case "duplicate":
                assert 0 <= days <= 1
            case _:
                assert days == 0
    assert seen.keys() >= {"early", "late", "very_late", "duplicate", "clean"}


def test_copies_differ_from_the_original_only_as_they_say(story: Simulation, delivered: list[dict[str, str]]) -> None:
    """A touched row has another `changed`, a changed one another amount too, a duplicate nothing."""
    kinds = {
        (str(day), payment): kind
        for day, payment, kind in _sql(
            f"""select delivery_date, payment_id, kind from '{story.out}/truth/payments/*.parquet'
            where kind in ('touched', 'changed', 'duplicate')"""
        )
    }
    rows: dict[str, list[dict[str, str]]] = {}
    for row in delivered:
        if row["state"] in {"OK", "FAIL"}:
            rows.setdefault(row["payment_id"], []).append(row)
    differing: dict[str, set[str]] = {}
    for (_, payment), kind in kinds.items():
        original, copy = sorted(rows[payment], key=lambda row: row["changed"])
        differ = {name for name in original if original[name] != copy[name] and name != "delivery"}
        differing[kind] = differing.get(kind, set()) | differ
        assert original["delivery"] <= copy["delivery"]
    assert differing == {"touched": {"changed"}, "changed": {"changed", "rupees"}, "duplicate": set()}


def test_there_is_as_much_mess_as_was_asked_for(truth: list[dict[str, Any]], summary: Summary) -> None:
    payments = len({row["payment_id"] for row in truth})
    kinds = summary.sources["payments"].kinds
    # Touched and changed rows of the last days, and very late ones, mostly lie beyond the last day.
    for kind, share in (("broken", 0.10), ("duplicate", 0.05)):
        assert kinds[kind] / payments == pytest.approx(share, rel=0.25)
    for kind, share in (("touched", 0.05), ("late", 0.05), ("changed", 0.03), ("early", 0.03), ("very_late", 0.03)):
        assert 0.1 * share < kinds[kind] / payments < 1.5 * share
    states = Counter(row["state"] for row in truth if row["kind"] == "clean")
    assert states["WAIT"] / states.total() == pytest.approx(0.10, rel=0.25)
    assert states["FAIL"] / states.total() == pytest.approx(0.10, rel=0.35)
    reasons = {reason for row in truth if row["kind"] == "broken" for reason in row["reasons"]}
    assert reasons == set(mess.FLAWS)


def test_amounts_are_those_of_a_real_payments_app(story: Simulation, summary: Summary) -> None:
    means = dict(
        _sql(f"""select product, avg(try_cast(rupees as double)) from read_csv('{story.out}/payments/*/*.csv.gz',
            all_varchar = true) where state = 'OK' and flow = 'debit' group by product""")
    )
    assert means["p2p_transfer"] == pytest.approx(2736, rel=0.25)
    assert means["recharge"] == pytest.approx(248, rel=0.15)
    assert means["p2m_payment"] == pytest.approx(503, rel=0.25)


def test_without_mess_every_row_is_accepted_on_its_day(spark: SparkSession, story: Simulation, tmp_path: Path) -> None:
    last = story.first + timedelta(days=3)
    tidy = simulate(spark, replace(story, out=tmp_path, last=last, mess=Mess.none()))
    for source in tidy.sources.values():
        assert source.rows > 0
        assert source.kinds == {"clean": source.rows}
        assert source.answers == {"accepted": source.rows}
    files = f"'{tmp_path}/truth/payments/*.parquet'"
    ((states, payments, rows),) = _sql(
        f"select list(distinct state), count(distinct payment_id), count(*) from {files}"
    )
    assert states == ["OK"]
    assert payments == rows


def test_parquet_carries_declared_types_and_only_what_they_can_hold(
    spark: SparkSession, story: Simulation, summary: Summary, tmp_path: Path
) -> None:
    simulate(spark, replace(story, out=tmp_path, format="parquet", feeds=("transactions",)))
    described = {name: kind for name, kind, *_ in _sql(f"describe from '{tmp_path}/payments/*/part-0001.parquet'")}
    assert list(described) == list(packaged_source("transactions").columns)
    assert [described[name] for name in ("created", "rupees", "plan_days", "state")] == [
        "TIMESTAMP WITH TIME ZONE",
        "DECIMAL(14,2)",
        "INTEGER",
        "VARCHAR",
    ]
    reasons = {reason for (reason,) in _sql(f"select unnest(reasons) from '{tmp_path}/truth/payments/*.parquet'")}
    assert reasons == {"changed_after_posting", *flaws.weights(mess.FLAWS, "parquet")}
    # The same payments, told as instants: Kolkata is five and a half hours ahead.
    ahead = _sql(
        f"""select distinct epoch(text.created::timestamp) - epoch(typed.created)
        from read_csv('{story.out}/payments/*/*.csv.gz', all_varchar = true) text
        join '{tmp_path}/payments/*/*.parquet' typed using (payment_id, state)
        where payment_id in (select payment_id from '{tmp_path}/truth/payments/*.parquet' where kind = 'early')"""
    )
    assert ahead == [(5.5 * 3600,)]


def test_one_customer_for_two_days_is_delivered_all_the_same(spark: SparkSession, tmp_path: Path) -> None:
    last = FIRST + timedelta(days=1)
    lonely = simulate(spark, Simulation(customers=1, first=FIRST, last=last, seed=3, out=tmp_path, feeds=FEEDS))
    manifests = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("*/*/manifest.json"))]
    assert len(manifests) == lonely.deliveries == 4
    assert [] in [manifest["files"] for manifest in manifests]
