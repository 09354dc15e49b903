"""Campaign feedback of a real grocer, onboarded by configuration alone: the known counts, and DuckDB."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from jobs.progress import Progress
from tests.real.comparison import differences
from tests.real.complete_journey import expected
from tests.real.complete_journey.lake import figures, loaded
from tests.real.marks import DATA, needs

pytestmark = needs(expected.FILES)


@pytest.fixture(scope="module")
def of_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    return figures(loaded(tmp_path_factory.mktemp("grocer"), DATA, Progress()))


def test_the_campaigns_have_the_known_outcomes(of_lake: dict[str, int]):
    assert differences({name: of_lake.get(name) for name in expected.KNOWN}, expected.KNOWN) == []


def test_duckdb_finds_the_same_in_the_files(of_lake: dict[str, int]):
    assert differences(of_lake, expected.computed(DATA)) == []
