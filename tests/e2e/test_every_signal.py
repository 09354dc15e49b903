"""All eight feeds as they are shipped and simulated: nights and a range agree, and what comes late does no harm."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

import conf
from conf import Settings
from jobs import pipeline
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from jobs.simulate.plan import Simulation
from jobs.simulate.run import simulate_deliveries
from tests.jobs.rows import cells

# Thirty tables a night, and three lakes.
pytestmark = pytest.mark.slow

FIRST, LAST = date(2026, 1, 19), date(2026, 1, 25)  # Monday to Sunday, which takes what waits
SINGLE = 3
OPTIONAL = ("app_events", "bills", "contacts", "devices")


@dataclass(frozen=True)
class OneLake:
    """A lake over the landing folder beside it."""

    spark: SparkSession
    root: Path

    @property
    def settings(self) -> Settings:
        own = {"CLM_LAKE": "lake", "CLM_LANDING": "landing", "CLM_CONF": "conf", "CLM_TOKEN_KEYS": "keys.toml"}
        return conf.load(environ={key: str(self.root / name) for key, name in own.items()})

    def read(self) -> Lake:
        return Lake(self.spark, self.settings, Ledger.open(self.settings.ledger_url))

    def digests(self, first: date, last: date) -> dict[str, tuple[int, str]]:
        """Table and day → rows and digest, of everything that does not tell how it was run."""
        ledger = Ledger.open(self.settings.ledger_url)
        tables = [each.name for each in pipeline.tables(self.settings) if each.name != "ops.quality"]
        return {
            f"{table} {day}": (each.rows, each.digest)
            for table in tables
            for day, each in ledger.published(table, first, last).items()
        }


@pytest.fixture(scope="module")
def simulated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Deliveries of a week, keys and configuration."""
    root = tmp_path_factory.mktemp("signals")
    simulate_deliveries(spark, Simulation(60, first=FIRST, last=LAST, seed=5, out=root / "landing"))
    (root / "conf").mkdir()
    (root / "conf" / "base.toml").write_text('[spark]\nmaster = "local[2]"\nshuffle_partitions = 2\n')
    (root / "keys.toml").write_text(f'current = 1\n[keys]\n1 = "{"ab" * 32}"\n')
    (root / "keys.toml").chmod(0o600)
    return root


@pytest.fixture(scope="module")
def in_one_go(spark: SparkSession, simulated: Path) -> OneLake:
    lake = OneLake(spark, simulated)
    backfill(lake.settings, FIRST, LAST, reason="first load", contacts="live", progress=Progress())
    return lake


def copied(spark: SparkSession, simulated: Path, root: Path) -> OneLake:
    for name in ("landing", "conf"):
        shutil.copytree(simulated / name, root / name)
    shutil.copy2(simulated / "keys.toml", root / "keys.toml")
    return OneLake(spark, root)


def test_nights_one_by_one_are_the_range(spark: SparkSession, simulated: Path, in_one_go: OneLake, tmp_path: Path):
    stepped = copied(spark, simulated, tmp_path)
    since = LAST - timedelta(days=SINGLE - 1)
    before = since - timedelta(days=1)
    backfill(stepped.settings, FIRST, before, reason="first load", contacts="live", progress=Progress())
    for number in range(SINGLE):
        run_night(stepped.settings, since + timedelta(days=number), progress=Progress())
    assert stepped.digests(since, LAST) == in_one_go.digests(since, LAST)


def test_every_row_is_accounted_for_and_every_feed_reaches_the_profile(in_one_go: OneLake):
    lake = in_one_go.read()
    accounts = lake.read("ops.deliveries", known_on=LAST)
    assert accounts.where("delivered <> accepted + quarantined + duplicate + waiting + erased").count() == 0
    delivered = {row["feed"] for row in accounts.where("accepted > 0").select("feed").distinct().collect()}
    assert delivered == {source.feed for source in in_one_go.settings.sources}
    profile = lake.read_day("mart.customer_profile", LAST)
    reached = ("recharge_count", "session_count", "device_brand", "bill_version_count", "contact_linked_count")
    counted = profile.agg(*(F.count(name).alias(name) for name in reached)).first()
    assert counted is not None and all(counted[name] > 0 for name in reached), counted
    open_dues = lake.read_day("mart.dues", LAST).where("state = 'open'")
    assert {row["kind"] for row in open_dues.select("kind").distinct().collect()} == {"bill", "plan"}
    assert lake.read("core.contact_links", known_on=LAST).count() > 0


def known_in_the_end(lake: OneLake) -> Mapping[str, list[tuple[str | None, ...]]]:
    """What is known of each customer, but for the order in which it was learnt."""

    def told(frame: DataFrame, *without: str) -> list[tuple[str | None, ...]]:
        return cells(frame.drop("as_of_date", *without))

    read = lake.read()
    return {
        "mart.customer_profile": told(read.read_day("mart.customer_profile", LAST)),
        # When it was first seen is the one thing that differs.
        "mart.dues": told(read.read_day("mart.dues", LAST), "first_seen_date", "payments"),
        **{
            f"core.{feed}_state": told(read.read_day(f"core.{feed}_state", LAST))
            for feed in ("bills", "contacts", "devices")
        },
    }


def test_sources_that_are_not_required_may_be_missing_and_come_late(
    spark: SparkSession, simulated: Path, in_one_go: OneLake, tmp_path: Path
):
    late = copied(spark, simulated, tmp_path)
    landing, aside = tmp_path / "landing", tmp_path / "aside"
    held_back = [FIRST + timedelta(days=number) for number in (4, 5)]  # Friday and Saturday come on Sunday
    for feed in OPTIONAL:
        for day in held_back:
            for folder in sorted((landing / feed).glob(f"{day}*")):
                (aside / feed).mkdir(parents=True, exist_ok=True)
                shutil.move(folder, aside / feed / folder.name)
    backfill(late.settings, FIRST, held_back[-1], reason="first load", progress=Progress())
    assert late.read().read_day("core.app_events", held_back[0]).count() == 0
    shutil.copytree(aside, landing, dirs_exist_ok=True)
    run_night(late.settings, LAST, progress=Progress())
    assert known_in_the_end(late) == known_in_the_end(in_one_go)
