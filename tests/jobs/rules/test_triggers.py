"""Triggers checked before anything runs: each fault is named, and what decides makes the version."""

from __future__ import annotations

from typing import Any

import pytest

from jobs.errors import DataRefused
from jobs.rules.triggers import TriggerRule
from tests.jobs.acting import trigger, triggers


def of(**changes: Any) -> TriggerRule:
    [found] = triggers(trigger(**changes))
    return found


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"when": "in_segment('reday_for_first_transfer')"}, "did you mean ready_for_first_transfer?"),
        ({"when": "days_to_due = 3"}, "there is no such column"),
        ({"when": "segments is null"}, "there is no such column"),
        ({"rank_by": "level"}, "rank_by is a text and should be a number or money"),
        ({"rank_by": "rand()"}, "rank_by has the function rand()"),
        ({"evidence": ("phone",)}, "evidence phone is personal (in core.customers) and never leaves the lake"),
        ({"evidence": ("customer_id",)}, "evidence customer_id is personal"),
        ({"evidence": ("recharge_cuont",)}, "there is no column recharge_cuont; did you mean recharge_count?"),
        ({"matches": ()}, "matches is empty; give an example"),
        ({"matches": ({"days_to_due": 1},)}, "matches 1: there is no column days_to_due"),
    ],
)
def test_a_faulty_trigger_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DataRefused) as refused:
        of(**changes)
    assert said in str(refused.value)
    assert ": offer: " in str(refused.value)


def test_a_due_is_read_by_triggers_over_dues_only() -> None:
    found = of(over="dues", when="days_to_due = 3 and level = 'premium'", matches=({"days_to_due": 3},))
    assert found.predicate.columns == ("days_to_due", "level")


def test_a_disabled_trigger_is_checked_and_does_nothing() -> None:
    assert triggers(trigger(enabled=False)) == ()
    with pytest.raises(DataRefused):
        triggers(trigger(enabled=False, when="nothing = 1"))


def test_the_version_is_of_all_that_decides_and_of_nothing_else() -> None:
    version = of().version
    assert version == of(about="Said otherwise.", owner="others", when="recharge_count>=1").version
    others = [
        of(when="recharge_count >= 2", matches=({"recharge_count": 2},)),
        of(holdout=0.1),
        of(budget={"contacts": 5}),
        of(channels=("email",)),
        of(repeat={"kind": "once"}),
        of(evidence=("recharge_count",)),
    ]
    assert len({version, *(other.version for other in others)}) == 7
