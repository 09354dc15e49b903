"""A year of a real shop, onboarded by configuration alone: the range, the known counts, DuckDB, single nights.

`make real DATA=...` does the same at length, and prints it.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.progress import Progress
from jobs.runner import backfill, run_night
from tests.real.comparison import differences
from tests.real.online_retail import expected
from tests.real.online_retail.lake import DUMP, Shop

BESIDE_THE_CHECKOUT = Path(__file__).parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("CLM_REAL_DATA") or BESIDE_THE_CHECKOUT)

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not (DATA / DUMP).is_file(), reason=f"the Online Retail data is not at CLM_REAL_DATA/{DUMP}"),
]


@pytest.fixture(scope="module")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The whole year, loaded as one range."""
    shop = Shop.begin(tmp_path_factory.mktemp("shop"), DATA)
    backfill(shop.settings, expected.FIRST, expected.LAST, reason="first load", progress=Progress())
    return shop


@pytest.fixture(scope="module")
def figures(shop: Shop) -> dict[str, int]:
    return shop.figures(expected.LAST)


def test_the_known_counts_come_out(figures: dict[str, int]):
    assert differences({name: figures[name] for name in expected.KNOWN}, expected.KNOWN) == []


def test_duckdb_finds_the_same(figures: dict[str, int]):
    assert differences(figures, expected.computed(DATA / DUMP)) == []


# A Thursday of trade with refused rows, and a Saturday on which the shop was closed.
@pytest.mark.parametrize("night", [date(2011, 12, 8), date(2011, 12, 3)], ids=["trade", "closed"])
def test_a_night_alone_finds_what_the_range_found(shop: Shop, night: date):
    of_range = shop.digests([night])
    run_night(shop.settings, night, progress=Progress())
    assert differences(shop.digests([night]), of_range) == []
