"""A process of its own that stages and publishes days of one table as it is told, a line each; see test_lake.

Lines: `stage DAY`, `publish DAY` (stages it as well where that has not been done). One row per day, its key the
day of the month. Answers: `ready`, then `staged`, `published`, or the class of the error.
"""

from __future__ import annotations

import sys
from datetime import date

import conf
from jobs.errors import ClmError
from jobs.lake import Lake, Staged
from jobs.ledger import Ledger
from jobs.session import INTERPRETED, open_session
from tests.jobs.notes import NOTES, note, notes

settings = conf.load()
small = {"master": "local[1]", "driver_memory": "512m", "shuffle_partitions": 1, "conf": INTERPRETED}
spark = open_session(settings.model_copy(update={"spark": settings.spark.model_copy(update=small)}))
ledger = Ledger.open(settings.ledger_url)
run = ledger.start_run("run", date(2026, 1, 1), date(2026, 1, 31))
lake = Lake(spark, settings, ledger, run)
staged: dict[date, Staged] = {}


def stage(day: date) -> None:
    staged[day] = lake.stage(NOTES, notes(spark, [note(day, key=day.day)]), [day], [])


print("ready", flush=True)
for line in sys.stdin:
    word, said = line.split()
    day = date.fromisoformat(said)
    try:
        if day not in staged:
            stage(day)
        if word == "publish":
            lake.publish(staged.pop(day), upstreams={})
        print("published" if word == "publish" else "staged", flush=True)
    except ClmError as error:
        print(type(error).__name__, flush=True)
