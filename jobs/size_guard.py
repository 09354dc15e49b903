"""The size guard: a trigger is held back for a night of which far more or fewer are eligible than its owner expects."""

from __future__ import annotations

from conf import Trigger

# Of so few a change by a share says nothing.
FEW = 100


def why_held(trigger: Trigger, eligible: int, before: int | None) -> str | None:
    """Why the night holds the trigger back; None where it does not. `before`: how many the night before had."""
    expected = trigger.expect
    if eligible < expected.min:
        return f"{eligible:,} are eligible, and at least {expected.min:,} are expected"
    if expected.max is not None and eligible > expected.max:
        return f"{eligible:,} are eligible, and at most {expected.max:,} are expected"
    if expected.change is None or before is None or max(eligible, before) < FEW:
        return None
    if abs(eligible - before) > expected.change * before:
        return (
            f"{eligible:,} are eligible after {before:,} the night before, and a change by at most "
            f"{100 * expected.change:g} % is expected"
        )
    return None
