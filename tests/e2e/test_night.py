"""Six nights of a tiny lake, Wednesday to Monday: one by one, as a range, twice, and killed half-way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

import conf
import jobs
from conf import Settings
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from tests.conftest import Place
from tests.jobs.sources import CUSTOMERS, payments

# Nine nights one by one, a range, and a kill: minutes on two cores.
pytestmark = pytest.mark.slow

WED, THU, FRI, SAT, SUN, MON = (date(2026, 1, 21) + timedelta(days=n) for n in range(6))
NIGHTS = (WED, THU, FRI, SAT, SUN, MON)
SAME = (
    "raw.payments",
    "raw.customers",
    "core.transactions",
    "core.customers",
    "core.quarantine",
    "core.customer_daily",
)
BASE = '[spark]\nmaster = "local[1]"\ndriver_memory = "1g"\nshuffle_partitions = 2\n'

PAYMENTS = payments(
    top="late_days = 1",
    columns='payment = "string"\ncustomer = "string"\npaid = "timestamp"\nchanged = "timestamp"\nstate = "string"\n'
    'rupees = "decimal(14,2)"\n',
    changed_map='updated_at = "changed"\nstatus = "state"',
    limits="max_quarantined = 0.5",
)
HEADER = "payment,customer,paid,changed,state,rupees"


def row(
    payment: str,
    day: date,
    *,
    at: str = "10:00:00",
    changed: date | None = None,
    state: str = "success",
    rupees: str = "10.00",
) -> str:
    return f"{payment},c1,{day} {at},{changed or day} {at},{state},{rupees}"


DELIVERED: Mapping[date, list[str]] = {
    WED: [row("w1", WED), row("w2", WED, state="pending"), "w3,c2,yesterday,,success,10.00"],
    THU: [
        row("t1", THU),
        row("f1", FRI, at="00:05:00"),  # Five past midnight: early, of the next night.
        row("w1", WED),  # Known since Wednesday: a duplicate.
        row("w2", WED, changed=THU),  # The success of Wednesday's pending one.
    ],
    FRI: [
        row("w1", WED, changed=FRI, state="reversed"),  # Known since Wednesday, which lies before the look-back: waits.
        row("w4", WED),  # New, and waits as well, for nobody knows that it is new.
        row("w1", WED),
        row("t2", THU),
    ],
    SAT: [],
    SUN: [row("s1", SUN), row("t1", THU, rupees="11.00")],  # Another amount than was posted on Thursday.
    MON: [row("m1", MON), row("f2", FRI)],  # Friday lies before the look-back: waits beyond these nights.
}
VERSIONS: Mapping[date, list[str]] = {
    WED: [
        '{"customer": "c1", "registered": "2026-01-21T04:00:00Z", "changed": "2026-01-21T04:00:00Z", "language": "hi"}'
    ],
    SUN: [
        '{"customer": "c1", "registered": "2026-01-21T04:00:00Z", "changed": "2026-01-25T04:00:00Z", "language": "en"}'
    ],
}


@dataclass(frozen=True)
class OneLake:
    """One of several lakes over the same deliveries and configuration."""

    spark: SparkSession
    environ: Mapping[str, str]

    @property
    def settings(self) -> Settings:
        return conf.load(environ=dict(self.environ))

    @property
    def root(self) -> Path:
        return Path(self.environ["CLM_LAKE"])

    @property
    def ledger(self) -> Ledger:
        return Ledger.open(self.settings.ledger_url)

    def read(self) -> Lake:
        return Lake(self.spark, self.settings, self.ledger)

    def run(self, *nights: date) -> None:
        for night in nights:
            run_night(self.settings, night, progress=Progress())

    def digests(self, *nights: date) -> dict[tuple[str, date], tuple[int, str]]:
        """(table, day) → rows and digest of what has to be the same however it was computed."""
        found = {}
        for table in SAME:
            published = self.ledger.published(table, nights[0], nights[-1])
            found |= {(table, day): (each.rows, each.digest) for day, each in published.items()}
        return found

    def generations(self, night: date) -> dict[str, int]:
        return {table: self.ledger.published(table, night, night)[night].generation for table in SAME}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("nights"))
    place.configure(PAYMENTS, CUSTOMERS, base=BASE)
    for day in NIGHTS:
        place.deliver("payments", day, [HEADER, *DELIVERED[day]] if DELIVERED[day] else [])
        place.deliver("customers", day, VERSIONS.get(day, []), name="part-0001.jsonl.gz")
    return place


def one_lake(spark: SparkSession, place: Place, name: str) -> OneLake:
    return OneLake(spark, {**place.environ, "CLM_LAKE": str(place.root / name)})


@pytest.fixture(scope="module")
def until_sunday(spark: SparkSession, place: Place) -> OneLake:
    lake = one_lake(spark, place, "until_sunday")
    lake.run(WED, THU, FRI, SAT, SUN)
    return lake


@pytest.fixture(scope="module")
def night_by_night(until_sunday: OneLake, spark: SparkSession, place: Place) -> OneLake:
    lake = one_lake(spark, place, "night_by_night")
    shutil.copytree(until_sunday.root, lake.root)
    lake.run(MON)
    return lake


@pytest.fixture(scope="module")
def accounts(night_by_night: OneLake) -> list[dict[str, object]]:
    rows = night_by_night.read().read("ops.deliveries", known_on=MON).where("source = 'payments'").collect()
    return [each.asDict() for each in rows]


def test_what_each_night_learned(night_by_night: OneLake) -> None:
    posted = night_by_night.read().read("core.transactions", known_on=MON).collect()
    assert sorted(
        (each["as_of_date"], each["transaction_id"], each["status"], each["event_date"], each["is_implied"])
        for each in posted
    ) == [
        (WED, "w1", "success", WED, False),
        (WED, "w2", "pending", WED, False),
        (THU, "t1", "success", THU, False),
        (THU, "w2", "success", WED, False),  # A late row of its own day.
        (FRI, "f1", "success", FRI, False),  # Delivered on Thursday, early.
        (FRI, "t2", "success", THU, False),
        (SUN, "s1", "success", SUN, False),
        (SUN, "w1", "reversed", FRI, False),  # Dated by when it was reversed; its success is known, so none is implied.
        (SUN, "w4", "success", WED, False),
        (MON, "m1", "success", MON, False),
    ]
    refused = night_by_night.read().read("core.quarantine", known_on=MON).collect()
    assert sorted((each["as_of_date"], each["reasons"]) for each in refused) == [
        (WED, ["paid_invalid"]),
        (SUN, ["changed_after_posting"]),
    ]


def test_every_row_is_accounted_for(accounts: list[dict[str, int]]) -> None:
    for each in accounts:
        parts = ("accepted", "quarantined", "duplicate", "waiting", "erased")
        assert each["delivered"] == sum(each[part] for part in parts), each
    assert sum(each["delivered"] for each in accounts) == sum(map(len, DELIVERED.values()))
    totals = {
        part: sum(each[part] for each in accounts) for part in ("accepted", "quarantined", "duplicate", "waiting")
    }
    # w1 twice more; w3 and the changed t1; f2 still waits for the next Sunday.
    assert totals == {"accepted": 10, "quarantined": 2, "duplicate": 2, "waiting": 1}


def test_early_and_waiting_rows_are_taken_by_the_night_they_wait_for(accounts: list[dict[str, object]]) -> None:
    waiting = {
        (each["taken_from"], each["as_of_date"]): (each["delivered"], each["waiting"])
        for each in accounts
        if each["waiting"]
    }
    assert waiting == {
        (THU, THU): (4, 1),
        (THU, FRI): (0, -1),
        (FRI, FRI): (4, 3),
        (FRI, SUN): (0, -3),
        (MON, MON): (2, 1),
    }


def test_the_newest_version_of_a_customer_is_in_state(night_by_night: OneLake) -> None:
    states = [night_by_night.read().read_day("core.customers_state", day).collect() for day in (SAT, SUN)]
    assert [[(each["customer_id"], each["language"]) for each in state] for state in states] == [
        [("c1", "hi")],
        [("c1", "en")],
    ]


def test_versions_are_made_from_those_they_were_judged_against(night_by_night: OneLake) -> None:
    made_from = night_by_night.ledger.lineage("core.customers", SUN)
    assert [(each.table, each.day) for each in made_from] == [("core.customers", SAT), ("raw.customers", SUN)]


def test_nights_one_by_one_are_the_range(night_by_night: OneLake, spark: SparkSession, place: Place) -> None:
    lake = one_lake(spark, place, "range")
    backfill(lake.settings, WED, MON, reason="first load", progress=Progress())
    in_range, one_by_one = lake.digests(*NIGHTS), night_by_night.digests(*NIGHTS)
    assert len(one_by_one) == len(SAME) * len(NIGHTS)
    assert {key: in_range.get(key) for key in one_by_one if in_range.get(key) != one_by_one[key]} == {}


def test_the_same_night_twice_is_the_same_night(night_by_night: OneLake) -> None:
    """Sunday, which took what had waited; and what is late for it by now is not its own."""
    before, generations = night_by_night.digests(*NIGHTS), night_by_night.generations(SUN)
    night_by_night.run(SUN)
    assert night_by_night.digests(*NIGHTS) == before
    assert night_by_night.generations(SUN) == {table: generation + 1 for table, generation in generations.items()}


def test_a_night_killed_half_way_is_run_again(
    until_sunday: OneLake, night_by_night: OneLake, spark: SparkSession, place: Place
) -> None:
    lake = one_lake(spark, place, "killed")
    shutil.copytree(until_sunday.root, lake.root)
    process = subprocess.Popen(
        [sys.executable, "-m", "jobs", "run", "--date", str(MON)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **lake.environ, "PYTHONPATH": str(Path(jobs.__file__).parents[1])},
        start_new_session=True,
    )
    try:
        assert process.stderr
        told = next((line for line in process.stderr if "publish core.transactions" in line), "")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert told
    published = lake.digests(MON)
    assert ("core.transactions", MON) in published
    assert ("core.customer_daily", MON) not in published

    lake.run(MON)
    assert lake.digests(MON) == night_by_night.digests(MON)
    killed, again = reversed(lake.ledger.runs(MON))
    assert (killed.outcome, again.outcome) == (None, "done")
