"""The seven triggers that ship, each with one customer who is in and some who are just out, from what they did."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.progress import Progress
from jobs.runner import backfill
from schemas.acting import SELECTED
from tests.conftest import Place

NIGHT = date(2026, 4, 15)
FIRST = NIGHT - timedelta(days=92)
BASE = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n[conf]\npackaged = { sources = false }\n'
CAPS = '[holdout]\nshare = 0\nkey = "tests"\n'


def source(feed: str, columns: dict[str, str], mapped: str) -> str:
    named = "\n".join(f'{name} = "{type_}"' for name, type_ in columns.items())
    return f"""\
name  = "{feed}"
feed  = "{feed}"
owner = "tests"
about = "Life stories, in one file."
late_days = 0

[files]
path     = "{feed}.csv"
format   = "csv"
manifest = "computed"
zone     = "Asia/Kolkata"

[columns]
{named}

[map]
{mapped}
"""


COLUMNS = {
    "customers": {"customer": "string", "at": "timestamp", "deleted": "boolean"},
    "consents": {"customer": "string", "purpose": "string", "channel": "string", "at": "timestamp"},
    "transactions": {
        "id": "string",
        "customer": "string",
        "at": "timestamp",
        "product": "string",
        "category": "string",
        "rupees": "decimal(14,2)",
        "plan": "int",
    },
    "app_events": {"id": "string", "customer": "string", "at": "timestamp"},
    "bills": {"id": "string", "customer": "string", "at": "timestamp", "due": "date", "status": "string"},
}
MAPS = {
    "customers": 'customer_id = "customer"\nregistered_at = "at"\nupdated_at = "at"\nis_deleted = "deleted"\n',
    "consents": 'customer_id = "customer"\npurpose = "purpose"\nchannel = "channel"\nupdated_at = "at"\n'
    'valid_from = "at"\n',
    "transactions": 'transaction_id = "id"\ncustomer_id = "customer"\noccurred_at = "at"\nproduct = "product"\n'
    'category = "category"\ndirection = "\'debit\'"\nstatus = "\'success\'"\n'
    'amount_minor = "cast(rupees * 100 as bigint)"\ncurrency = "\'INR\'"\nplan_validity_days = "plan"\n'
    'counterparty_token = "customer"\nbiller_id = "category"\n',
    "app_events": 'event_id = "id"\ncustomer_id = "customer"\noccurred_at = "at"\naction = "\'opened\'"\n'
    'is_foreground = "true"\n',
    "bills": 'bill_id = "id"\ncustomer_id = "customer"\nupdated_at = "at"\nbiller_id = "\'electricity\'"\n'
    'category = "\'electricity\'"\ndue_date = "due"\namount_minor = "cast(50000 as bigint)"\ncurrency = "\'INR\'"\n'
    'status = "status"\n',
}


@dataclass
class Life:
    """What one customer did, in days before the night (0 is the night itself)."""

    name: str
    rows: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)

    def add(self, feed: str, *cells: str) -> Life:
        self.rows.setdefault(feed, []).append(cells)
        return self

    def opened(self, *days: int) -> Life:
        for day in days:
            self.add("app_events", f"{self.name}-{day}", self.name, at(day))
        return self

    def paid(self, product: str, *days: int, rupees: str = "200", category: str = "mobile", plan: str = "") -> Life:
        for day in days:
            number = len(self.rows.get("transactions", ()))
            self.add("transactions", f"{self.name}-{number}", self.name, at(day), product, category, rupees, plan)
        return self

    def bill(self, due_in: int, status: str, day: int) -> Life:
        """`due_in`: days after the night."""
        return self.add("bills", f"{self.name}-bill", self.name, at(day), str(NIGHT + timedelta(days=due_in)), status)

    def deleted(self, day: int) -> Life:
        return self.add("customers", self.name, at(day), "true")


def at(days_before: int) -> str:
    return f"{NIGHT - timedelta(days=days_before)}T12:00:00+05:30"


def premium(name: str, *, largest: str = "5000") -> Life:
    """Twenty transfers, twenty recharges and twenty bills, two months ago."""
    life = Life(name)
    life.paid("p2p_transfer", *[60] * 19).paid("p2p_transfer", 60, rupees=largest)
    return life.paid("recharge", *[61] * 20).paid("bill_payment", *[62] * 20, category="gas")


LIVES = [
    # Once sent Rs 5,000, premium, has not opened the app for thirty days.
    premium("lapsed").opened(30),
    premium("lapsed for a day less").opened(29),
    premium("lapsed, sent a rupee less", largest="4999").opened(30),
    # Recharges, and was in the app on three days of the last four weeks.
    Life("ready").paid("recharge", 40).opened(27, 10, 1),
    Life("ready, a day outside").paid("recharge", 40).opened(28, 10, 1),
    # Sent money for the first time today, after a life of recharges; or yesterday, when it was told.
    Life("moves up").paid("recharge", 20).paid("p2p_transfer", 0),
    Life("moved up before").paid("recharge", 20).paid("p2p_transfer", 5),
    # Five payments, and away for sixty days.
    Life("dormant").paid("recharge", 60, 61, 62, 63, 64),
    Life("dormant for a day less").paid("recharge", 59, 61, 62, 63, 64),
    Life("dormant, paid four times").paid("recharge", 60, 61, 62, 63),
    # Sends money and never paid a merchant.
    Life("sends").paid("p2p_transfer", 3, 20),
    Life("sends, and pays merchants").paid("p2p_transfer", 3, 20).paid("p2m_payment", 70),
    Life("sends, once in four weeks").paid("p2p_transfer", 3, 28),
    Life("sends, and is gone").paid("p2p_transfer", 3, 20).deleted(1),
    # An electricity bill due three days after the day on which the message goes out.
    Life("bill").paid("recharge", 20).bill(4, "issued", 10),
    Life("bill, tomorrow it is one day").paid("recharge", 20).bill(2, "issued", 10),
    Life("bill in two days").paid("recharge", 20).bill(3, "issued", 10),
    Life("bill, paid").paid("recharge", 20).bill(4, "issued", 10).bill(4, "paid", 1),
    Life("bill, paid by a payment").bill(4, "issued", 10).paid("bill_payment", 1, rupees="500", category="electricity"),
    # A plan of 28 days that ends three days after the day on which the message goes out.
    Life("plan").paid("recharge", 24, plan="28"),
    Life("plan ends a day later").paid("recharge", 23, plan="28"),
    Life("plan, renewed").paid("recharge", 24, plan="28").paid("recharge", 1, plan="28"),
]
# Trigger → who is in. Everybody else is out, most of them by a day or a rupee.
EXPECTED = {
    "lapsed_premium_sender": {"lapsed"},
    "first_transfer": {"ready"},
    "level_up": {"moves up"},
    "win_back": {"dormant"},
    "merchant_cross_sell": {"sends"},
    "bill_due": {"bill", "bill, tomorrow it is one day"},
    "recharge_expiring": {"plan"},
}


def write(place: Place) -> None:
    rows: dict[str, list[tuple[str, ...]]] = {feed: [] for feed in COLUMNS}
    for life in LIVES:
        rows["customers"].append((life.name, at(90), ""))
        rows["consents"] += [
            (life.name, purpose, channel, at(90))
            for purpose in ("promotional", "service")
            for channel in ("push", "sms", "in_app")
        ]
        for feed, told in life.rows.items():
            rows[feed] += told
    place.landing.mkdir()
    for feed, told in rows.items():
        with (place.landing / f"{feed}.csv").open("w", newline="") as opened:
            csv.writer(opened, lineterminator="\n").writerows([tuple(COLUMNS[feed]), *told])


@pytest.fixture(scope="module")
def ends(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, dict[str, str]]]:
    """Trigger → customer who met it → the step at which that ended."""
    place = Place(Path(tmp_path_factory.mktemp("lives")))
    place.configure(*(source(feed, COLUMNS[feed], MAPS[feed]) for feed in COLUMNS), caps=CAPS)
    (place.root / "conf" / "base.toml").write_text(BASE)
    write(place)
    settings = place.settings()
    yesterday = NIGHT - timedelta(days=1)
    backfill(settings, FIRST, NIGHT, reason="life stories", step_from=yesterday, contacts="live", progress=Progress())
    told = Lake(spark, settings, Ledger.open(settings.ledger_url)).read_day("mart.selections", NIGHT).collect()
    yield {name: {row["customer_id"]: row["step"] for row in told if row["trigger"] == name} for name in EXPECTED}


@pytest.mark.parametrize("trigger", EXPECTED)
def test_one_is_in_and_others_are_just_out(ends: dict[str, dict[str, str]], trigger: str) -> None:
    """In is who competes; on the night before some were met already, and a few are held out by the draw."""
    in_time = {who for who, step in ends[trigger].items() if step in (SELECTED, "held_out", "cooling_down")}
    assert in_time == EXPECTED[trigger]


def test_who_is_gone_is_not_written_to(ends: dict[str, dict[str, str]]) -> None:
    assert ends["merchant_cross_sell"]["sends, and is gone"] == "suppressed"
