"""App events of one real phone, onboarded by configuration alone, against the files read line by line.

Both logs are posted here, and what that tells of the owner is computed; `make real DATA=...` publishes that too.
"""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from conf import Settings
from jobs import daily
from jobs.progress import Progress
from tests.real.comparison import differences
from tests.real.marks import DATA, needs
from tests.real.onboarding import lake_of
from tests.real.usage_logger import expected
from tests.real.usage_logger.lake import figures, figures_of_owner, loaded

pytestmark = needs(expected.FILES)


@pytest.fixture(scope="module")
def phone(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return loaded(tmp_path_factory.mktemp("phone"), DATA, Progress(), until="conform")


def test_every_line_of_both_logs_is_posted_as_the_files_say(phone: Settings):
    assert differences(figures(phone), expected.computed(DATA)) == []


def test_only_an_app_in_front_makes_the_owner_active(phone: Settings):
    events = lake_of(phone).read("core.app_events", known_on=expected.LAST)
    told = daily.transform({"app_events": events}, phone.tracking, zone=phone.lake.zone)
    assert differences(figures_of_owner(told), expected.of_owner(DATA)) == []
