"""The demonstration comes out as the simulator says it must, and never empties a folder that is not its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.demo import LAST, MARK, run, told
from jobs.errors import Usage
from jobs.progress import Progress


def test_a_folder_that_it_did_not_make_is_left_alone(tmp_path: Path) -> None:
    kept = tmp_path / "demo" / "thesis.txt"
    kept.parent.mkdir()
    kept.write_text("years of work")
    with pytest.raises(Usage, match="was not made by `clm demo`"):
        run(10, 5, folder=tmp_path / "demo", env=None, progress=Progress())
    assert kept.read_text() == "years of work"


@pytest.mark.slow
def test_a_small_one_accounts_for_every_row(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / MARK).touch()
    (folder / "lake").mkdir()
    (folder / "lake" / "of_an_earlier_run").touch()
    outcome = run(60, 6, folder=folder, env=None, progress=Progress())
    assert not (folder / "lake" / "of_an_earlier_run").exists()
    assert outcome.last == LAST
    assert outcome.customers > 0
    assert 0 < outcome.transacting <= outcome.active <= outcome.customers
    for source, rows in outcome.sources.items():
        became = sum(rows[figure] for figure in ("accepted", "quarantined", "duplicate", "waiting"))
        assert rows["delivered"] == became > 0, source
    # A reversal without a known success posts that success too, so postings may be more than the rows accepted.
    assert sum(outcome.payments.values()) >= outcome.sources["payments"]["accepted"]
    said = told(outcome, "demo", "clm")
    assert "export CLM_LAKE=demo/lake" in said
