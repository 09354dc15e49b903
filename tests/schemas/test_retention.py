"""How long something is kept, by the calendar."""

from __future__ import annotations

from datetime import date

import pytest

from schemas import CATALOGUE
from schemas.lists import KEEP
from schemas.retention import oldest_kept


@pytest.mark.parametrize(
    ("keep", "last", "oldest"),
    [
        ("90 days", date(2026, 3, 31), date(2025, 12, 31)),
        ("1 months", date(2026, 3, 31), date(2026, 2, 28)),
        ("25 months", date(2026, 1, 15), date(2023, 12, 15)),
        ("8 years", date(2024, 2, 29), date(2016, 2, 29)),
        ("1 years", date(2024, 2, 29), date(2023, 2, 28)),
    ],
)
def test_days_are_counted_and_months_are_those_of_the_calendar(keep: str, last: date, oldest: date) -> None:
    assert oldest_kept(keep, last) == oldest


@pytest.mark.parametrize("keep", ["", "for ever", "0 days", "-1 days", "3 weeks", "90"])
def test_what_does_not_say_how_long_is_refused(keep: str) -> None:
    with pytest.raises(ValueError, match="does not say how long"):
        oldest_kept(keep, date(2026, 1, 1))


def test_everything_says_how_long_it_is_kept() -> None:
    last = date(2026, 1, 1)
    assert all(oldest_kept(keep, last) < last for keep in [KEEP, *(table.keep for table in CATALOGUE.values())])
