"""Nights of the lake in a process of its own, cold: `python -m tests.bench.ours FIRST [LAST] [--range]`.

The last line on stdout is JSON: seconds by step, whole and by stage, and rows of the last night by table. CLM_LAKE and
CLM_LANDING say which lake.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date
from functools import partial

from pyspark.sql import SparkSession

import conf
from jobs.calendar import days_between
from jobs.ledger import Ledger
from jobs.pipeline import STAGES, tables
from jobs.progress import Progress
from jobs.runner import backfill, run_night


class Clocked(Progress):
    """Remembers how long each step took, and names the jobs of Spark's event log after them."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def step(self, what: str) -> Generator[None, None, None]:
        began = time.perf_counter()
        if spark := SparkSession.getActiveSession():
            spark.sparkContext.setJobDescription(what)
        with super().step(what):
            yield
        taken = time.perf_counter() - began
        self.seconds[what] += taken
        print(f"{taken:8.1f} s  {what}", file=sys.stderr, flush=True)


def _rows(ledger: Ledger, table: str, night: date) -> int:
    published = ledger.published(table, night, night)
    return published[night].rows if published else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ours", description=__doc__)
    parser.add_argument("first", type=date.fromisoformat)
    parser.add_argument("last", type=date.fromisoformat, nargs="?")
    parser.add_argument("--range", action="store_true", help="as one range, not night by night")
    parser.add_argument("--until", choices=STAGES, default=STAGES[-1], help="the last stage")
    asked = parser.parse_args()
    settings, clock = conf.load(), Clocked()
    last = asked.last or asked.first
    load = partial(backfill, settings, reason="the bench measures it", until=asked.until, progress=clock)
    if asked.range:
        load(asked.first, last)
    else:
        for day in days_between(asked.first, last):
            if asked.until == STAGES[-1]:
                run_night(settings, day, progress=clock)
            else:
                load(day, day)
    stages: dict[str, float] = defaultdict(float)
    for step, seconds in clock.seconds.items():
        if (stage := step.split()[0]) in STAGES:
            stages[stage] += seconds
    ledger = Ledger.open(settings.ledger_url)
    rows = {table.name: _rows(ledger, table.name, last) for table in tables(settings)}
    print(json.dumps({"stages": stages, "seconds_by_step": clock.seconds, "rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
