"""What a person is told of expectations that were not met."""

from __future__ import annotations

from datetime import date

from expectations.check import Result
from jobs.audit import Judged
from jobs.night_quality import complaints


def told(day: int, expectation: str, observed: str, *, success: bool = False) -> Judged:
    result = Result("core.bills", "business", expectation, "warn", success, observed, f"{expectation} is so")
    return date(2026, 1, day), result


def test_an_expectation_is_told_once_with_its_last_night() -> None:
    judged = [told(3, "paid", "7"), told(1, "paid", "2"), told(2, "paid", "0", success=True), told(2, "due", "1")]
    assert list(complaints(judged)) == [
        # Two of three nights; what is shown is of the last one, whatever the order they were judged in.
        "warn: core.bills 2026-01-03: paid: expected that paid is so; observed 7 (1 more from 2026-01-01 on)",
        "warn: core.bills 2026-01-02: due: expected that due is so; observed 1",
    ]


def test_what_was_met_is_not_told() -> None:
    assert list(complaints([told(1, "paid", "2", success=True)])) == []
