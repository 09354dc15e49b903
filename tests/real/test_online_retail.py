"""A year of a real shop, onboarded by configuration alone: the known counts, DuckDB, a range and single nights.

The whole dump is judged here and its last nights are run; `make real DATA=...` runs the whole year, and prints it.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from jobs import dump, land
from jobs.expressions import check_mapping
from jobs.ledger import Ledger
from jobs.mapping import reasons, reasons_of
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from jobs.taking import take
from tests.real.comparison import differences
from tests.real.marks import DATA, needs
from tests.real.online_retail import expected
from tests.real.online_retail.lake import DUMP, Shop

# Holds a Saturday on which the shop was closed, and refused rows of both reasons.
SINCE = date(2011, 12, 1)

pytestmark = needs((DUMP,))


@pytest.fixture(scope="module")
def shop(compiled: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop's last nights, loaded as one range; what the dump holds of earlier dates stays out."""
    shop = Shop.begin(tmp_path_factory.mktemp("shop"), DATA)
    backfill(shop.settings, SINCE, expected.LAST, reason="first load", progress=Progress())
    return shop


def test_the_whole_dump_is_judged_as_known(compiled: SparkSession, tmp_path: Path):
    shop = Shop.begin(tmp_path, DATA)
    (source,) = shop.settings.sources
    ledger = Ledger.open(f"sqlite:///{tmp_path}/ledger.db")
    parts = take(source, Path(shop.settings.landing), ledger, [expected.FIRST])
    lake = shop.settings.lake
    dated = dump.dated(
        land.read(compiled, source, parts),
        source,
        check_mapping(compiled, source),
        zone=lake.zone,
        currency=lake.currency,
        first_night=expected.FIRST,
    )
    names = reasons_of(F.col("bits"), reasons(source, source.feed_spec))
    groups = dated.groupBy("night", "status", F.array_sort(names).alias("reasons")).agg(
        F.sum("source_rows").alias("rows"), F.count(F.lit(1)).alias("invoices")
    )
    found: dict[str, int] = {}

    def add(name: str, amount: int) -> None:
        found[name] = found.get(name, 0) + amount

    nights: set[date] = set()
    for night, status, refused, rows, invoices in groups.collect():
        nights.add(night)
        kinds = ["delivered", *(["quarantined"] if refused else ["accepted"])]
        kinds += [f"quarantined for {reason}" for reason in refused]
        kinds += ["quarantined for both"] if len(refused) == 2 else []
        for kind in kinds:
            add(f"{kind}, rows", rows)
            add(f"{kind}, invoices", invoices)
        if not refused:
            add("accepted, sales" if status == "success" else "accepted, cancellations", invoices)
    found["dates with invoices"] = len(nights)
    # What is duplicate or waits is found by conform, of a range; everything else is settled here.
    known = {name: value for name, value in expected.KNOWN.items() if name not in ("duplicate, rows", "waiting, rows")}
    assert differences({name: found.get(name) for name in known}, known) == []
    of_duckdb = expected.computed(DATA / DUMP)
    assert differences(found, {name: of_duckdb[name] for name in found}) == []


def test_duckdb_finds_the_same_in_the_range(shop: Shop):
    assert differences(shop.figures(expected.LAST), expected.computed(DATA / DUMP, SINCE)) == []


@pytest.mark.parametrize(
    "night",
    [pytest.param(date(2011, 12, 8), id="trade"), pytest.param(date(2011, 12, 3), id="closed", marks=pytest.mark.slow)],
)
def test_a_night_alone_finds_what_the_range_found(shop: Shop, night: date):
    of_range = shop.digests([night])
    run_night(shop.settings, night, progress=Progress())
    assert differences(shop.digests([night]), of_range) == []
