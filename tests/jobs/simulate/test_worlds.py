"""The worlds look as they are meant to from outside, and the truth about them is told."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from pyspark.sql import SparkSession

from jobs.simulate.plan import WORLDS as NAMES
from jobs.simulate.plan import Simulation
from jobs.simulate.run import simulate, simulate_deliveries
from jobs.simulate.worlds import WORLDS
from tests.jobs.simulate.worlds_check import compare

FIRST = date(2026, 1, 1)
# First dates of so many days are compared; their windows, and what is delivered late, must be over.
COHORTS = 60
DAYS = COHORTS + 119 + 7
FEEDS = ("customers", "transactions")


def _simulation(customers: int, seed: int, out: Path, world: str = "causal") -> Simulation:
    last = FIRST + timedelta(days=DAYS - 1)
    return Simulation(customers, first=FIRST, last=last, seed=seed, out=out, feeds=FEEDS, world=world)


def test_the_names_of_the_plan_are_those_of_the_worlds() -> None:
    assert tuple(WORLDS) == NAMES


@pytest.mark.parametrize("world", NAMES)
def test_sending_keeps_people_in_the_causal_world_only(compiled: SparkSession, tmp_path: Path, world: str) -> None:
    short = replace(_simulation(4000, 5, tmp_path, world), last=FIRST + timedelta(days=1), feeds=("customers",))
    simulate(compiled, short)
    told = json.loads((tmp_path / "truth" / "outcomes.json").read_text())
    assert told["world"] == world
    if world == "causal":
        assert told["retained_if_upgraded"] > told["retained_if_not"]
    else:
        assert told["effect_among_upgraded"] == 0
    ((customers, worse),) = duckdb.sql(
        f"""select count(*), count(*) filter (retained_if_not and not retained_if_upgraded)
        from '{tmp_path}/truth/outcomes.parquet'"""
    ).fetchall()
    assert customers > 20
    assert worse == 0


@pytest.mark.slow  # the next one has the same of more customers
def test_the_default_world_has_its_shape(compiled: SparkSession, tmp_path: Path) -> None:
    simulate_deliveries(compiled, _simulation(6000, 3, tmp_path))
    seen = compare(tmp_path, FIRST, FIRST + timedelta(days=COHORTS - 1))
    assert seen.customers > 1200
    assert seen.naive_stayed == pytest.approx(0.40, abs=0.08)
    assert seen.naive_upgraded == pytest.approx(0.70, abs=0.06)
    # Each method takes away more of what is no effect.
    assert seen.naive_upgraded - seen.naive_stayed > seen.landmark_upgraded - seen.landmark_stayed > seen.matched


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_default_world_is_calibrated(compiled: SparkSession, tmp_path: Path, seed: int) -> None:
    simulate_deliveries(compiled, _simulation(200_000, seed, tmp_path))
    seen = compare(tmp_path, FIRST, FIRST + timedelta(days=COHORTS - 1))
    assert seen.naive_stayed == pytest.approx(0.40, abs=0.01)
    assert seen.naive_upgraded == pytest.approx(0.70, abs=0.01)
