"""`python -m tests.real`: which data sets it asks for, and what its exit code says."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jobs.errors import DataRefused
from tests.real import __main__ as real


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds what one data set needs, and nothing of the other."""
    (tmp_path / "sales.csv").touch()
    shop = real.DataSet("Shop", (Path("sales.csv"),), lambda place, asked, progress: [])
    phone = real.DataSet("Phone", (Path("usage.csv"),), lambda place, asked, progress: ["events: 3, expected 4"])
    monkeypatch.setattr(real, "DATA_SETS", {"shop": shop, "phone": phone})
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["tests.real", *arguments])
    return real.main()


def test_all_agree_is_zero(data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    assert run(monkeypatch, "--data", str(data), "--only", "shop") == 0
    assert "Shop: everything agrees." in capsys.readouterr().out


def test_any_difference_is_one_and_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (data / "usage.csv").touch()
    assert run(monkeypatch, "--data", str(data)) == 1
    told = capsys.readouterr().out
    assert "Shop: everything agrees." in told
    assert "differs: events: 3, expected 4" in told
    assert "Phone: 1 figures differ." in told


def test_data_that_is_absent_is_named_before_anything_runs(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as exit_:
        run(monkeypatch, "--data", str(data))
    assert exit_.value.code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert f"there is no {data / 'usage.csv'}" in " ".join(told.err.split())


def test_a_delivery_that_is_refused_is_one(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def refuse(place: Path, asked: object, progress: object) -> list[str]:
        raise DataRefused("sales.csv: the column paid is missing.")

    monkeypatch.setitem(real.DATA_SETS, "shop", real.DataSet("Shop", (Path("sales.csv"),), refuse))
    assert run(monkeypatch, "--data", str(data), "--only", "shop") == 1
    assert "Shop: sales.csv: the column paid is missing." in capsys.readouterr().err
