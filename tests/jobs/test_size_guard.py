"""When a night holds a trigger back: far more or fewer eligible than its owner expects."""

from __future__ import annotations

from typing import Any

import pytest

from conf import Trigger
from jobs.size_guard import why_held
from tests.jobs.acting import trigger

CHANGED = "{} are eligible after {} the night before, and a change by at most 50 % is expected"


def of(**expect: Any) -> Trigger:
    return Trigger.model_validate(trigger(expect=expect))


@pytest.mark.parametrize(
    ("expect", "eligible", "before", "why"),
    [
        ({}, 10**9, 0, None),
        ({"min": 10}, 10, None, None),
        ({"min": 10}, 9, None, "9 are eligible, and at least 10 are expected"),
        ({"max": 1000}, 1000, None, None),
        ({"max": 1000}, 1001, None, "1,001 are eligible, and at most 1,000 are expected"),
        ({"change": 0.5}, 300, 200, None),
        (
            {"change": 0.5},
            301,
            200,
            CHANGED.format(301, 200),
        ),
        (
            {"change": 0.5},
            99,
            200,
            CHANGED.format(99, 200),
        ),
        # The first night has nothing to compare with, and of a handful each one is a large share.
        ({"change": 0.5}, 5000, None, None),
        ({"change": 0.5}, 9, 3, None),
        (
            {"change": 0.5},
            100,
            0,
            CHANGED.format(100, 0),
        ),
    ],
)
def test_who_is_held_back_and_why(expect: dict[str, Any], eligible: int, before: int | None, why: str | None) -> None:
    assert why_held(of(**expect), eligible, before) == why
