"""Campaign feedback of a real grocer, onboarded by configuration alone: the known counts, and DuckDB.

Both dumps are judged here as a whole and their last nights are posted; `make real DATA=...` posts the whole year.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import dump, land
from jobs.expressions import check_mapping
from jobs.ledger import Ledger
from jobs.progress import Progress
from jobs.taking import take
from tests.real.comparison import differences
from tests.real.complete_journey import expected
from tests.real.complete_journey.lake import Feedback, figures, landed, loaded, outcomes
from tests.real.marks import DATA, needs

# A campaign begins on the 28th; coupons are redeemed before and after it, on some days several of one household.
SINCE = date(2017, 12, 23)

pytestmark = needs(expected.FILES)


@pytest.fixture(scope="module")
def judged(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What both dumps say as a whole, before any night posts it."""
    root = tmp_path_factory.mktemp("grocer")
    settings = landed(root, DATA)
    ledger = Ledger.open(f"sqlite:///{root}/ledger.db")
    found: dict[str, int] = {}
    told: set[Feedback] = set()
    for source in settings.sources:
        dated = dump.dated(
            land.read(spark, source, take(source, Path(settings.landing), ledger, [expected.FIRST])),
            source,
            check_mapping(spark, source),
            zone=settings.lake.zone,
            currency=settings.lake.currency,
            first_night=expected.FIRST,
        )
        rows = dated.select("bits", "trigger_id", "outcome", "occurred_at").collect()
        found[f"{source.name}, delivered"] = len(rows)
        found[f"{source.name}, quarantined"] = sum(row["bits"] != 0 for row in rows)
        told |= {Feedback(*values) for _, *values in rows}
    return found | outcomes(told)


def test_the_campaigns_have_the_known_outcomes(judged: dict[str, int]):
    assert differences({name: judged.get(name) for name in expected.KNOWN}, expected.KNOWN) == []


def test_duckdb_finds_the_same_in_the_files(judged: dict[str, int]):
    # What is duplicate is found by conform, of a range; everything else is settled here.
    by_conform = (", accepted", ", duplicate", ", waiting")
    of_duckdb = {name: value for name, value in expected.computed(DATA).items() if not name.endswith(by_conform)}
    assert differences(judged, of_duckdb) == []


def test_more_coupons_of_a_day_are_duplicates(spark: SparkSession, tmp_path: Path):
    of_lake = figures(loaded(tmp_path, DATA, Progress(), since=SINCE))
    assert differences(of_lake, expected.computed(DATA, SINCE)) == []
    assert of_lake["coupon_redemptions, duplicate"] > 0
