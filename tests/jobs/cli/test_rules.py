"""`clm rules`: every faulty rule of a folder in one go, exit 3; and what rules may read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jobs.__main__ import main
from tests.segment_text import segment


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CLM_CONF folder for segments."""
    for name in ("CLM_ENV", "CLM_LEDGER_URL", "CLM_LANDING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLM_LAKE", str(tmp_path / "lake"))
    monkeypatch.setenv("CLM_CONF", str(tmp_path / "own"))
    (tmp_path / "own" / "segments").mkdir(parents=True)
    return tmp_path / "own" / "segments"


def test_every_faulty_rule_of_a_folder_is_named_and_nothing_begins(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "a.toml").write_text(segment("one", "rand() > 0.5") + segment("two", "recharge_cuont > 1"))
    (folder / "b.toml").write_text(segment("three", "reflect('a', 'b') = 'c'") + segment("one", "true"))
    for command in ("rules check", "rules columns", "run --date 2026-01-31", "explain U1", "preview segment one"):
        assert main(command.split()) == 3, command
        said = capsys.readouterr()
        assert said.out == ""
        lines = said.err.splitlines()
        assert len(lines) == 4, command
        assert lines[0].startswith("clm: ")
        assert sum("one: " in line for line in lines) == 2
        assert any("a.toml:10: two: when reads recharge_cuont" in line for line in lines)
        assert any("b.toml:2: three: when has the function reflect()" in line for line in lines)
    assert not (tmp_path / "lake").exists()


def test_rules_that_are_well_are_listed_with_their_versions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.toml").write_text(segment("sender", "recharge_count>=1"))
    assert main(["rules", "check", "--no-examples", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    [own] = [row for row in rows if row["name"] == "sender"]
    assert (own["kind"], own["text"], len(own["rule_version"])) == ("segment", "recharge_count >= 1", 12)
    assert main(["rules", "check", "--no-examples"]) == 0
    assert "Of your own in place of what is shipped: sender." in capsys.readouterr().out


def test_what_may_be_read_is_listed_for_people_and_for_programs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rules", "columns", "--json"]) == 0
    rows = {row["column"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows["recharge_count"]["may_be_null"] is False
    assert rows["days_since_app_open"]["may_be_null"] is True
    assert rows["level"]["accepted"][-1] == "premium"
    assert rows["risk_band"]["accepted"] == ["low", "medium", "high"]
    assert rows["largest_transfer_minor"]["type"] == "money"
    assert main(["rules", "columns"]) == 0
    assert "days_since_upi" in capsys.readouterr().out
