"""The text of a segment file, small enough to read."""

from __future__ import annotations

SEGMENT = """
[[segment]]
name = "{name}"
about = "Made up."
owner = "tests"
when = "{when}"
matches = [{{ recharge_count = 9, risk_band = "low" }}]
excludes = [{{}}]
"""


def segment(name: str, when: str) -> str:
    """One entry that is well but for its condition."""
    return SEGMENT.format(name=name, when=when)
