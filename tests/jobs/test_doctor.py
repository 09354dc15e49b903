"""The checks that need no Spark; those of a lake stand in cli/test_tables.py, beside one."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

import conf
from conf import Settings
from jobs.doctor import examine, jars, lake_is_writable, pinned
from jobs.errors import DataRefused, Failed
from jobs.ledger import Ledger
from jobs.progress import Progress
from tests.jobs.history import conf_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return conf.load(environ={"CLM_LAKE": str(tmp_path / "lake"), "CLM_CONF": conf_of(tmp_path)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "jars").mkdir()
    (tmp_path / "jars" / "delta-1.0.jar").write_bytes(b"delta")
    return tmp_path / "jars"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    (tmp_path / "jars.txt").write_text(f"# Delta\nio.delta:delta:1.0  sha256:{hashlib.sha256(b'delta').hexdigest()}\n")
    return tmp_path / "jars.txt"


def test_jars_are_compared_byte_for_byte(folder: Path, listed: Path) -> None:
    assert jars(folder, listed).startswith("1 jars")
    (folder / "delta-1.0.jar").write_bytes(b"another")
    with pytest.raises(Failed, match=r"delta-1\.0\.jar .* is not the file"):
        jars(folder, listed)


def test_a_missing_and_a_strange_jar_are_named(folder: Path, listed: Path) -> None:
    (folder / "old-0.9.jar").touch()
    with pytest.raises(Failed, match=r"old-0\.9\.jar .* Spark would load it"):
        jars(folder, listed)
    (folder / "delta-1.0.jar").unlink()
    with pytest.raises(Failed, match=r"delta-1\.0\.jar is not in"):
        jars(folder, listed)


def test_without_the_list_the_installed_delta_must_be_there(folder: Path) -> None:
    with pytest.raises(Failed, match="Run `make setup`"):
        jars(folder, folder / "no-list.txt")


def test_a_lake_that_cannot_be_made(settings: Settings, tmp_path: Path) -> None:
    assert "can be made" in lake_is_writable(settings)
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(Failed, match="CLM_LAKE"):
        lake_is_writable(settings)


def test_another_zone_than_the_lake_was_begun_with(settings: Settings) -> None:
    ledger = Ledger.open(settings.ledger_url)
    ledger.pin("zone", "Europe/London")
    with pytest.raises(DataRefused, match="Europe/London"):
        pinned(settings, ledger)


def test_where_there_is_no_lake_the_machine_is_looked_at_and_none_is_begun(settings: Settings, tmp_path: Path) -> None:
    found = {check.name: check.is_well for check in examine(settings, None, Progress())}
    assert found == {"java": True, "jars": True, "lake": True, "ledger": True}
    assert not (tmp_path / "lake").exists()
