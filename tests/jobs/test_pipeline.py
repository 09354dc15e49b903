"""The night as whoever schedules it sees it: stages, what waits for what, and what is announced."""

from __future__ import annotations

from graphlib import TopologicalSorter

import conf
from jobs import pipeline
from tests.conftest import Place
from tests.jobs.sources import payments


def test_stages_wait_for_those_that_write_what_they_read() -> None:
    settings = conf.load(environ={})
    edges = pipeline.edges(settings)
    assert pipeline.stages(settings) == pipeline.STAGES
    # Of the stage before, and of an earlier one: select reads the consents that conform has posted.
    assert {("judge", "select"), ("conform", "select")} <= edges
    waiting = {stage: {before for before, after in edges if after == stage} for stage in pipeline.STAGES}
    assert tuple(TopologicalSorter(waiting).static_order()) == pipeline.STAGES


def test_a_stage_without_a_job_is_none(place: Place) -> None:
    """Without triggers nobody is selected, and the stages around it still follow each other."""
    settings = place.configure(payments())
    assert pipeline.stages(settings) == ("land", "conform", "know", "judge", "export")
    assert ("judge", "export") in pipeline.edges(settings)


def test_marts_are_announced_by_the_stage_that_publishes_them() -> None:
    settings = conf.load(environ={})
    assert "mart.customer_profile" in pipeline.marts(settings, "know")
    assert pipeline.marts(settings, "land") == ()
    told = pipeline.told(settings, "know")
    assert "- **retention**: mart.retention_cohorts, of mart.customer_profile" in told.splitlines()
    assert "- **land payments**: raw.payments" in pipeline.told(settings, "land").splitlines()
