"""The lake and the oracle agree row for row; and where they do not, the comparison says so."""

from __future__ import annotations

import ast
import shutil
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

import conf
from jobs.progress import Progress
from jobs.runner import backfill
from jobs.simulate.plan import Mess, Simulation
from jobs.simulate.run import simulate_deliveries
from schemas import CATALOGUE
from tests.oracle import checks, coverage, parts
from tests.oracle.comparison import APART, COMPARED_AS, Told, compare, nights
from tests.oracle.lakes import Loaded
from tests.oracle.tables import Tables, connect, delta_files

FIRST, LAST = date(2026, 1, 5), date(2026, 1, 13)  # Monday to Tuesday, with a Sunday that takes what waits
# In so few rows what goes wrong has to go wrong more often.
MESS = Mess(
    late=0.05, very_late=0.02, touched=0.05, duplicate=0.03, broken=0.02, changed=0.01, early=0.02, reversed=0.03
)


@pytest.fixture(scope="module")
def loaded(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """All eight feeds of 60 customers, as one load of which the last four nights are judged."""
    root = tmp_path_factory.mktemp("oracle")
    keys = root / "keys.toml"
    keys.touch(mode=0o600)
    keys.write_text(f'current = 1\n[keys]\n1 = "{"ab" * 32}"\n')
    limits = root / "conf" / "sources"
    limits.mkdir(parents=True)
    for source in (Path(conf.__file__).parent / "sources").glob("*.toml"):
        (limits / source.name).write_text(source.read_text().replace("max_quarantined = 0.05", "max_quarantined = 0.9"))
    own = {"CLM_LAKE": "lake", "CLM_LANDING": "landing", "CLM_CONF": "conf", "CLM_TOKEN_KEYS": "keys.toml"}
    settings = conf.load(environ={key: str(root / name) for key, name in own.items()})
    simulate_deliveries(spark, Simulation(60, first=FIRST, last=LAST, seed=5, out=root / "landing", mess=MESS))
    begins = LAST - timedelta(days=3)
    backfill(settings, FIRST, LAST, reason="first load", step_from=begins, contacts="live", progress=Progress())
    return Loaded(settings, FIRST, LAST, begins)


@pytest.fixture(scope="module")
def told(loaded: Loaded, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Told], Path]:
    out = tmp_path_factory.mktemp("told")
    return nights(loaded.settings, FIRST, LAST, FIRST, loaded.judged_from, out=out), out


def test_every_table_agrees_row_for_row(told: tuple[list[Told], Path]) -> None:
    tables, _ = told
    assert {each.table: each.differing for each in tables if each.differences} == {}
    # And there was something to compare in each of them.
    empty = {each.table for each in tables if not each.rows}
    assert empty <= {"mart.trigger_outcomes", "mart.holdouts"}, empty


def test_what_the_oracle_wrote_is_well(loaded: Loaded, told: tuple[list[Told], Path]) -> None:
    tables, out = told
    oracle = Tables(connect(), loaded.settings, out)
    found = [
        fault for each in tables for day in oracle.days(each.table) for fault in checks.faults(oracle, each.table, day)
    ]
    assert found == []


def test_a_row_that_differs_is_found_on_both_sides(
    loaded: Loaded, told: tuple[list[Told], Path], tmp_path: Path
) -> None:
    _, out = told
    shutil.copytree(out, tmp_path / "changed")
    database = connect()
    changed = Tables(database, loaded.settings, tmp_path / "changed")
    ours = Tables(database, loaded.settings, tmp_path / "nothing", beneath=Path(loaded.settings.lake.root))
    rows = f"from {changed.on('core.customer_daily', LAST)}"
    database.execute(f"create table daily as {rows}")
    database.execute(
        "update daily set recharge_count = coalesce(recharge_count, 0) + 1 "
        "where customer_id = (select min(customer_id) from daily)"
    )
    changed.write("core.customer_daily", LAST, "from daily")
    found = Told("core.customer_daily")
    compare(ours, changed, LAST, found)
    (difference,) = found.differing
    assert difference.only_ours == difference.only_oracle > 0
    assert {whose for whose, _ in difference.examples} == {"ours", "oracle"}


def test_a_fault_of_the_oracle_s_rows_is_named(loaded: Loaded, tmp_path: Path) -> None:
    tables = Tables(connect(), loaded.settings, tmp_path)
    tables.write("mart.holdouts", LAST, "select 'offer' as \"trigger\", 'anna' as customer_id from range(2)")
    assert checks.faults(tables, "mart.holdouts", LAST) == [f"mart.holdouts {LAST}: a key is there twice (1)"]
    tables.write("mart.holdouts", LAST, "select 'offer' as \"trigger\", null as customer_id")
    assert checks.faults(tables, "mart.holdouts", LAST) == [f"mart.holdouts {LAST}: customer_id: missing (1)"]


def test_a_table_without_an_oracle_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = conf.load(environ={})
    assert coverage.faults(settings) == []
    monkeypatch.setitem(CATALOGUE, "mart.new", replace(CATALOGUE["mart.dues"], name="mart.new"))
    (fault,) = coverage.faults(settings)
    assert fault.startswith("mart.new has no oracle")
    monkeypatch.setitem(coverage.UNTOLD, "mart.new", "a reason")
    monkeypatch.setitem(coverage.UNTOLD, "mart.dues", "a reason that is not needed")
    assert coverage.faults(settings) == ["mart.dues has an oracle: take it out of UNTOLD"]


def test_what_is_set_apart_is_there() -> None:
    settings = conf.load(environ={})
    for table, columns in {**APART, **COMPARED_AS}.items():
        declared = {**CATALOGUE, **{f"raw.{each.name}": each.raw_table() for each in settings.sources}}[table]
        assert columns.keys() <= set(declared.column_names)


def test_a_delta_log_that_lost_its_beginning_is_not_guessed_at(tmp_path: Path) -> None:
    (tmp_path / "_delta_log").mkdir()
    (tmp_path / "_delta_log" / f"{1:020}.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match="lost its first entries"):
        delta_files(duckdb.connect(), tmp_path)


def test_the_parts_share_no_code_with_the_lake() -> None:
    """What loads the lakes to compare with is no part of it."""
    folder = Path(parts.__file__).parent
    modules = [path for path in folder.glob("*.py") if not path.name.startswith("test_") and path.stem != "lakes"]
    assert len(modules) > len(parts.PARTS)
    for module in modules:
        for node in ast.walk(ast.parse(module.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            shared = {name for name in names if name.split(".")[0] in ("jobs", "expectations", "pyspark", "dags")}
            assert not shared, f"{module.name} imports {shared}"
