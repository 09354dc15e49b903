"""Nights whose snapshot before them is no longer kept know what was known all the same: the logs still tell it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs import pipeline
from jobs.ledger import Ledger
from jobs.progress import Progress
from jobs.runner import backfill
from tests.conftest import Place

# More than the week for which snapshots are kept, and no month end among them.
FIRST, LAST = date(2026, 1, 5), date(2026, 1, 14)
SHIPPED = Path(__file__).parents[2] / "conf/sources"
REGISTERED = "2026-01-05T10:00:00+05:30"
REPEATED = date(2026, 1, 7)
REVIEWED = f'[[backfill]]\nfrom = {REPEATED}\nto = {REPEATED}\nreason = "looked at again"\nasked_by = "a test"\n'


@dataclass(frozen=True)
class PlaceWithKeys(Place):
    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "CLM_TOKEN_KEYS": str(self.root / "keys.toml")}


def customer(name: str, changed: str, mobile: str, language: str = "en") -> str:
    row = {"user_id": name, "registered": REGISTERED, "changed": changed, "kyc": "full", "language": language}
    return json.dumps({**row, "city_tier": "1", "region": "KA", "mobile": mobile, "email": None, "deleted": False})


def place_with_deliveries(root: Path) -> tuple[PlaceWithKeys, Settings]:
    """c2 knows the number of c3, who registers nine days later; c1 changes her language, and c2 is told of again."""
    root.mkdir()
    place = PlaceWithKeys(root)
    keys = root / "keys.toml"
    keys.write_text(f'current = 1\n[keys]\n1 = "{"ab" * 32}"\n')
    keys.chmod(0o600)
    sources = [(SHIPPED / f"{name}.toml").read_text("utf-8") for name in ("customers", "contacts")]
    base = '[spark]\nmaster = "local[1]"\nshuffle_partitions = 2\n'
    settings = place.configure(*sources, base=base, backfills=REVIEWED)
    registered = {
        FIRST: [customer("c1", REGISTERED, "9876500001"), customer("c2", REGISTERED, "9876500002")],
        REPEATED: [
            customer("c1", "2026-01-07T10:00:00+05:30", "9876500001", "hi"),
            customer("c2", REGISTERED, "9876500002"),
        ],
        LAST: [customer("c3", "2026-01-14T10:00:00+05:30", "9876500003")],
    }
    saved = {"user_id": "c2", "number": "9876500003", "saved": "2026-01-06T10:00:00+05:30", "deleted": False}
    day = FIRST
    while day <= LAST:
        place.deliver("customers", day, registered.get(day, []), name="part-0001.jsonl.gz")
        book = [json.dumps(saved)] if day == FIRST + timedelta(days=1) else []
        place.deliver("contacts", day, book, name="part-0001.jsonl.gz")
        day += timedelta(days=1)
    return place, settings


def digests(settings: Settings, first: date) -> dict[str, tuple[int, str]]:
    ledger = Ledger.open(settings.ledger_url)
    return {
        f"{table.name} {day}": (each.rows, each.digest)
        for table in pipeline.tables(settings)
        # It tells how a night was run: which snapshots were looked at, too.
        if table.name != "ops.quality"
        for day, each in ledger.published(table.name, first, LAST).items()
    }


@pytest.fixture(scope="module")
def in_one_go(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    _, settings = place_with_deliveries(tmp_path_factory.mktemp("unkept") / "whole")
    backfill(settings, FIRST, LAST, reason="first load", until="conform", progress=Progress())
    return settings


@pytest.mark.slow
def test_a_second_range_longer_than_a_week_finds_what_one_range_finds(in_one_go: Settings, tmp_path: Path) -> None:
    _, settings = place_with_deliveries(tmp_path / "twice")
    backfill(settings, FIRST, REPEATED - timedelta(days=1), reason="first load", until="conform", progress=Progress())
    backfill(settings, REPEATED, LAST, reason="second load", until="conform", progress=Progress())
    found = digests(in_one_go, REPEATED)
    assert found[f"core.contact_links {LAST}"][0] == 1, "c2 knows c3"
    assert digests(settings, REPEATED) == found


def test_a_night_made_again_without_the_snapshot_before_it_is_the_same(in_one_go: Settings) -> None:
    kept = Ledger.open(in_one_go.ledger_url).kept_days("core.customers_state")
    assert min(kept) > REPEATED, "the week of the first nights is over"
    before = digests(in_one_go, FIRST)
    backfill(in_one_go, REPEATED, REPEATED, reason="looked at again", until="conform", progress=Progress())
    after = digests(in_one_go, FIRST)
    # A snapshot of that night is there again, for a while.
    assert {what: after.get(what) for what in before} == before
