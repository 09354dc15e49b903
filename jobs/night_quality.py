"""ops.quality: what every audit of the nights said, good or bad."""

from __future__ import annotations

from jobs.frames import local_frame, select_contract
from jobs.runner import Night
from schemas.ops import QUALITY


def run(night: Night) -> None:
    """Publish what this stage's audits said, beside what earlier stages of the same nights said of other tables."""
    if not night.judged:
        return
    rows = [
        (day, result.table, result.suite, result.expectation, result.severity, result.success, result.observed)
        for day, result in night.judged
    ]
    frame = local_frame(night.spark, rows, QUALITY.ddl(nullable=True))
    if night.ledger.published(QUALITY.name, night.first, night.last):
        judged_again = sorted({result.table for _, result in night.judged})
        earlier = night.lake.read(QUALITY.name, known_on=night.last, since=night.first)
        frame = frame.unionByName(earlier.where(~earlier["table"].isin(judged_again)))
    for day, result in night.judged:
        if not result.success:
            night.progress.note(
                f"{result.severity}: {result.table} {day}: {result.expectation}: expected that {result.about}; "
                f"observed {result.observed}"
            )
    staged = night.stage(QUALITY.name, select_contract(frame, QUALITY))
    night.publish(staged, {}, announced_empty=night.days)
