"""What cannot be told is refused in a sentence."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from jobs.errors import Usage
from jobs.simulate.plan import Mess, Simulation, packaged_source


@pytest.fixture
def simulation(tmp_path: Path) -> Simulation:
    return Simulation(customers=1, first=date(2026, 1, 1), last=date(2026, 1, 1), seed=1, out=tmp_path)


def test_a_customer_for_a_day_in_an_empty_folder_can_be_told(simulation: Simulation) -> None:
    simulation.check()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"customers": 0}, "customers is 0"),
        ({"customers": 1_000_000_000}, "from 1 to 999,999,999"),  # its id would need a tenth digit
        ({"last": date(2025, 12, 31)}, "is before the first day"),
        ({"format": "xml"}, "Unknown format 'xml'"),
        ({"world": "flat"}, "Unknown world 'flat'"),
        ({"feeds": ()}, "No feed"),
        ({"feeds": ("customers", "cats")}, "no feed 'cats'"),
        ({"mess": Mess(late=1.5)}, "late is 1.5"),
        ({"mess": Mess(late=0.6, broken=0.6)}, "more than 1"),
    ],
)
def test_nonsense_is_refused(simulation: Simulation, changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(Usage, match=sentence):
        replace(simulation, **changes).check()


@pytest.mark.parametrize("name", ["payments", "customers", "truth"])
def test_a_folder_with_deliveries_is_refused(simulation: Simulation, name: str) -> None:
    (simulation.out / name).mkdir()
    with pytest.raises(Usage, match="choose an empty folder"):
        simulation.check()


def test_a_file_is_no_folder(simulation: Simulation) -> None:
    file = simulation.out / "file"
    file.touch()
    with pytest.raises(Usage, match="not a folder"):
        replace(simulation, out=file).check()


def test_the_format_is_what_the_source_declares_unless_another_is_asked_for(simulation: Simulation) -> None:
    payments, customers = packaged_source("transactions"), packaged_source("customers")
    assert [simulation.format_of(source) for source in (payments, customers)] == ["csv", "jsonl"]
    assert replace(simulation, format="parquet").format_of(payments) == "parquet"
