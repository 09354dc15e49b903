"""App events of one real phone, onboarded by configuration alone, against the files read line by line."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from jobs.progress import Progress
from tests.real.comparison import differences
from tests.real.marks import DATA, needs
from tests.real.usage_logger import expected
from tests.real.usage_logger.lake import figures, loaded

pytestmark = needs(expected.FILES)


@pytest.fixture(scope="module")
def of_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    return figures(loaded(tmp_path_factory.mktemp("phone"), DATA, Progress()))


def test_every_line_of_both_logs_is_posted_as_the_files_say(of_lake: dict[str, int]):
    assert differences(of_lake, expected.computed(DATA)) == []
