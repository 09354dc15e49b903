"""However a command ends, there is one sentence, the right exit code, and no value of a row."""

from __future__ import annotations

import signal
from datetime import date
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from conf import ConfError, Fault
from jobs import planning
from jobs.__main__ import main
from jobs.cli.endings import ending
from jobs.errors import Busy, DataRefused, Failed, Usage
from jobs.progress import Progress

PHONE = "9876543210123"


@pytest.mark.parametrize(("kind", "code"), [(Failed, 1), (Usage, 2), (DataRefused, 3), (Busy, 4)])
def test_errors_of_ours_keep_their_sentence(kind: type[Failed], code: int) -> None:
    assert ending(kind("the disk is full")) == (code, "the disk is full")


def test_every_fault_of_a_configuration_is_said() -> None:
    faults = [Fault(file="a.toml", line=3, key="x", message="unknown key"), Fault(file="b.toml", message="is missing")]
    assert ending(ConfError(faults)) == (2, "a.toml:3: x: unknown key\nclm: b.toml: is missing")


def test_a_surprise_is_named_by_its_type_and_step_only() -> None:
    with pytest.raises(ValueError) as raised, Progress().step("land payments"), Progress().step("write raw.payments"):
        raise ValueError(f"phone {PHONE}")
    code, sentence = ending(raised.value)
    assert code == 1
    assert sentence.startswith("ValueError in the step “write raw.payments”")
    assert "--debug" in sentence
    assert PHONE not in sentence


def test_ctrl_c_says_that_nothing_is_half_written() -> None:
    code, sentence = ending(KeyboardInterrupt())
    assert code == 1
    assert "Nothing is half-written" in sentence


@pytest.mark.parametrize("debug", [False, True])
def test_a_surprise_in_a_command(
    debug: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setenv("CLM_LAKE", str(tmp_path))
    monkeypatch.setattr(planning, "plan", breaks)
    today = date(2026, 1, 31).isoformat()
    assert main(["plan", "--from", today, "--to", today, *(["--debug"] if debug else [])]) == 1
    printed = capsys.readouterr().err
    assert printed.splitlines()[-1].startswith("clm: ZeroDivisionError; this should not happen.")
    assert ("Traceback" in printed) is debug


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_terminate_in_a_command(
    sent: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def is_interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(sent)

    monkeypatch.setenv("CLM_LAKE", str(tmp_path))
    monkeypatch.setattr(planning, "plan", is_interrupted)
    assert main(["plan", "--from", "2026-01-31", "--to", "2026-01-31"]) == 1
    assert capsys.readouterr().err.startswith("clm: stopped. Nothing is half-written")


def test_a_spark_error_is_told_as_its_class_without_the_value(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(PHONE,)], "phone string")
    with pytest.raises(PySparkException, match=PHONE) as raised, Progress().step("write core.customers"):
        rows.selectExpr("cast(phone as int)").collect()
    code, sentence = ending(raised.value)
    assert code == 1
    assert sentence.startswith("Spark stopped in the step “write core.customers” with [CAST_INVALID_INPUT].")
    assert PHONE not in sentence


def test_a_failed_write_is_told_as_what_made_it_fail(spark: SparkSession, tmp_path: Any) -> None:
    rows = spark.createDataFrame([(PHONE,)], "phone string")
    with pytest.raises(PySparkException) as raised:
        rows.selectExpr("cast(phone as int) as n").write.parquet(str(tmp_path / "out"))
    assert "[CAST_INVALID_INPUT]" in ending(raised.value)[1]


def test_what_spark_refuses_before_it_runs(spark: SparkSession) -> None:
    with pytest.raises(PySparkException, match="nothing_here") as raised:
        spark.sql("select * from nothing_here")
    assert "[TABLE_OR_VIEW_NOT_FOUND]" in ending(raised.value)[1]
