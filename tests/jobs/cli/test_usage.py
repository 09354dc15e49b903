"""What a person gets wrong ends with exit 2 and one sentence, before anything is started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.__main__ import main


@pytest.fixture(autouse=True)
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CLM_CONF", "CLM_ENV", "CLM_LEDGER_URL", "CLM_LANDING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLM_LAKE", str(tmp_path / "lake"))
    return tmp_path / "lake"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("run", "Missing option '--date'"),
        ("run --date 2026-02-30", "'2026-02-30' is not a date"),
        ("run --date 2026-01-31 --stage lnd", "did you mean land?"),
        ("backfill --from 2026-01-02 --to 2026-01-01 --reason forgotten", "--to 2026-01-01 is before --from"),
        ("backfill --from 2026-01-01 --to 2026-01-02", "Missing option '--reason'"),
        ("backfill --from 2026-01-01 --to 2026-01-02 --reason x", "--reason is empty or too short"),
        ("backfill --from 2026-01-01 --to 2026-01-02 --reason forgotten --until jugde", "did you mean judge?"),
        ("plan --from 2026-01-01 --to 2026-01-02 --table raw.payment", "did you mean raw.payments?"),
        ("plan --from 2026-01-03 --to 2026-01-02", "swap them"),
        ("digest nothing.here --from 2026-01-01 --to 2026-01-02", "There is no table 'nothing.here'"),
        ("table core.transaction", "did you mean core.transactions?"),
        ("table core.transactions --csv --json", "choose one"),
        ("status --env moon", "no environment 'moon'"),
        ("simulate --customers 0 --from 2026-01-01 --to 2026-01-01 --out x", "--customers"),
        ("simulate --customers 9 --from 2026-01-01 --to 2026-01-01 --out x --format xml", "Unknown format 'xml'"),
        ("simulate --customers 9 --from 2026-01-01 --to 2026-01-01 --out x --feeds cats", "no feed 'cats'"),
        ("simulate --customers 9 --from 2026-01-01 --to 2026-01-01 --out x --late 1.5", "--late"),
        ("stats", "No such command 'stats'"),
        ("quarantine list", "`clm quarantine` is not built yet"),
        ("rules chek", "No such command 'chek'"),
        ("preview segment premium_dormnt", "did you mean premium_dormant?"),
        ("fit customer_scor --through 2026-01-31", "did you mean customer_score?"),
        ("backfill --from 2026-01-01 --to 2026-01-02 --reason forgotten --step-from soon", "'soon' is not a date"),
    ],
)
def test_a_mistake_is_exit_2_and_a_sentence(
    arguments: str, said: str, lake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("clm: ")
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert not lake.exists(), "a mistake begins no lake"


def test_a_reason_of_blanks_is_no_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backfill", "--from", "2026-01-01", "--to", "2026-01-02", "--reason", " " * 9]) == 2
    assert "--reason" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command", ["run", "backfill", "plan", "status", "digest", "table", "doctor", "simulate", "demo"]
)
def test_every_command_has_help_with_the_common_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(option in printed for option in ("--env", "--quiet", "--debug"))


def test_what_is_not_built_is_not_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "backfill" in printed
    assert "quarantine" not in printed


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--date", "2026-01-01"]])
def test_light_commands_load_no_engine(arguments: list[str]) -> None:
    code = (
        "import sys; from jobs.__main__ import main; main(sys.argv[1:]);"
        "heavy = {'pyspark', 'great_expectations', 'pandas', 'pyarrow'} & set(sys.modules);"
        "print(heavy); sys.exit(bool(heavy))"
    )
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-200:]
