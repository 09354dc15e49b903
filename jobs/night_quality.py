"""ops.quality: what every audit of the nights said, good or bad."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from jobs.audit import Judged
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
    for complaint in complaints(night.judged):
        night.progress.note(complaint)
    staged = night.stage(QUALITY.name, select_contract(frame, QUALITY))
    night.publish(staged, {}, announced_empty=night.days)


def complaints(judged: Iterable[Judged]) -> Iterator[str]:
    """A sentence for each expectation that was not met: what its last night said, and how many there were before."""
    nights: dict[tuple[str, str, str, str], list[Judged]] = defaultdict(list)
    for day, result in judged:
        if not result.success:
            nights[result.severity, result.table, result.suite, result.expectation].append((day, result))
    for (severity, table, _, expectation), unmet in nights.items():
        unmet.sort(key=lambda each: each[0])
        day, result = unmet[-1]
        told = f"expected that {result.about}; observed {result.observed}"
        before = f" ({len(unmet) - 1} more from {unmet[0][0]} on)" if len(unmet) > 1 else ""
        yield f"{severity}: {table} {day}: {expectation}: {told}{before}"
