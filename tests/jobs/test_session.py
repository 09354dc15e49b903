"""What Spark is told when it starts; and a session for few rows, while a query over many is under way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from pyspark.sql import SparkSession

from jobs.__main__ import main
from jobs.session import INTERPRETED, MANY_ROWS, TASKS, ManyRows, open_session, spark_options
from tests.conftest import Place

WHOLE_STAGE = "spark.sql.codegen.wholeStage"


@pytest.fixture
def tasks(spark: SparkSession) -> Iterator[str]:
    """How many tasks the session shuffles into: not as many as there are cores."""
    before = str(spark.conf.get(TASKS))
    spark.conf.set(TASKS, "7")
    yield "7"
    spark.conf.set(TASKS, before)


def settings_of(spark: SparkSession) -> tuple[str | None, str | None]:
    return spark.conf.get(WHOLE_STAGE), spark.conf.get(TASKS)


def test_many_rows_are_compiled_until_the_last_of_them_is_done(spark: SparkSession, tasks: str) -> None:
    cores = str(spark.sparkContext.defaultParallelism)
    many = ManyRows(spark)
    entered, leave = Event(), Event()

    def other() -> None:
        with many.compiled(MANY_ROWS):
            entered.set()
            leave.wait(30)

    with ThreadPoolExecutor(1) as pool:
        with many.compiled(MANY_ROWS):
            begun = pool.submit(other)
            assert entered.wait(30)
        # This one is done, the other one goes on.
        assert settings_of(spark) == ("true", cores)
        leave.set()
        begun.result()
    assert {key: spark.conf.get(key) for key in INTERPRETED} == INTERPRETED
    assert spark.conf.get(TASKS) == tasks


def test_few_rows_are_not(spark: SparkSession, tasks: str) -> None:
    with ManyRows(spark).compiled(MANY_ROWS - 1):
        assert settings_of(spark) == ("false", tasks)


def test_an_error_leaves_the_session_as_it_was(spark: SparkSession, tasks: str) -> None:
    with pytest.raises(ZeroDivisionError), ManyRows(spark).compiled(MANY_ROWS):
        _ = 1 / 0
    assert settings_of(spark) == ("false", tasks)


def test_a_session_that_compiles_stays_as_it_is(compiled: SparkSession, tasks: str) -> None:
    with ManyRows(compiled).compiled(MANY_ROWS):
        assert settings_of(compiled) == ("true", tasks)


def test_a_session_for_few_rows_yields_to_what_is_configured(place: Place) -> None:
    settings = place.configure(base=f'[spark]\nshuffle_partitions = 5\n[spark.conf]\n"{WHOLE_STAGE}" = "true"\n')
    few, many = spark_options(settings, few_rows=True), spark_options(settings)
    assert (few[WHOLE_STAGE], few[TASKS], many[TASKS]) == ("true", "1", "5")
    assert few["spark.sql.adaptive.enabled"] == "false"
    assert "spark.sql.adaptive.enabled" not in many
    flags = "spark.driver.defaultJavaOptions"
    assert ("TieredStopAtLevel" in few[flags], "TieredStopAtLevel" in many[flags]) == (True, False)


def test_a_session_that_is_open_stays_as_it_is(compiled: SparkSession, place: Place) -> None:
    assert open_session(place.configure(), few_rows=True).conf.get(WHOLE_STAGE) == "true"


def test_what_spark_submit_is_told_is_what_a_session_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """As Java reads a properties file: a key until the first blank, and a backslash begins an escape."""
    settings = place.configure(
        base='[spark]\nmaster = "local[1]"\n[spark.conf]\n"spark.some.pattern" = "a\\\\\\\\d b"\n'
    )
    assert settings.spark.conf["spark.some.pattern"] == r"a\\d b"
    with pytest.MonkeyPatch.context() as patched:
        for name, value in place.environ.items():
            patched.setenv(name, value)
        assert main(["spark-properties", "--out", str(place.root / "spark.properties")]) == 0
        assert main(["spark-properties", "--out", str(place.root / "no folder" / "spark.properties")]) == 1
    assert "cannot be written (No such file or directory)" in capsys.readouterr().err
    lines = (place.root / "spark.properties").read_text().splitlines()
    assert dict(line.replace("\\\\", "\\").split(" ", 1) for line in lines) == spark_options(settings)
