"""A process of its own that takes and leaves the run lease as it is told, a word a line; see test_lease.

Arguments: ledger URL, command, day. Words: `enter`, `keep` (enter, and leave it to the next stage), `leave`.
Answers: `in`, `out`, or the sentence of Busy.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from datetime import date

from jobs.errors import Busy
from jobs.ledger import Ledger

url, command, day = sys.argv[1:]
ledger = Ledger.open(url)
held = ExitStack()
for word in map(str.strip, sys.stdin):
    if word == "leave":
        held.close()
        print("out", flush=True)
        continue
    run = ledger.start_run(command, date.fromisoformat(day), date.fromisoformat(day))
    try:
        held.enter_context(ledger.lease(run, keep=word == "keep"))
        print("in", flush=True)
    except Busy as busy:
        print(busy, flush=True)
