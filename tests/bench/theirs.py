"""One night of the oracle in a process of its own: `python -m tests.bench.theirs DATE OUT`.

Yesterday's tables are read from the lake's own files. The last line on stdout is JSON: seconds by stage and by part,
and rows by table.
"""

from __future__ import annotations

import json
import sys
import time
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import conf
from tests.oracle import checks, parts
from tests.oracle.night import Night
from tests.oracle.tables import Tables, connect

STAGES = {
    "land": ("land",),
    "conform": ("conform", "states", "identity"),
    "know": ("devices", "daily", "profile", "retention", "dues", "upgrade"),
    "judge": ("scores", "segments"),
    "select": ("selection", "outcomes"),
}


def main() -> int:
    day, out = date.fromisoformat(sys.argv[1]), Path(sys.argv[2])
    settings = conf.load()
    database = connect()
    database.execute(f"set memory_limit = '12GB'; set temp_directory = '{out}/spilled'")
    # Where the lake has run this night already, the oracle does not see it.
    yesterday = day - timedelta(days=1)
    tables = Tables(database, settings, out, beneath=Path(settings.lake.root), beneath_until=yesterday)
    first = min(tables.days("core.transactions"))
    night = Night(day, first, first, settings, tables, Path(settings.landing), tables, is_exact=False)
    seconds: dict[str, dict[str, float]] = {"stages": defaultdict(float), "parts": {}}
    rows: dict[str, int] = {}
    wrong: list[str] = []
    for stage, names in STAGES.items():
        for module in parts.modules(names):
            began = time.perf_counter()
            module.run(night)
            wrong += [fault for table in module.writes(settings) for fault in checks.faults(tables, table, day)]
            taken = time.perf_counter() - began
            rows |= {table: _count(tables, table, day) for table in module.writes(settings)}
            part = module.__name__.rpartition(".")[2]
            seconds["stages"][stage] += taken
            seconds["parts"][part] = taken
            print(f"{taken:8.1f} s  {part}", file=sys.stderr, flush=True)
    if wrong:
        print("\n".join(wrong), file=sys.stderr)
        return 1
    print(json.dumps({**seconds, "rows": rows}))
    return 0


def _count(tables: Tables, table: str, day: date) -> int:
    found = tables.database.execute(f"select count(*) from {tables.on(table, day)}").fetchone()
    return found[0] if found else 0


if __name__ == "__main__":
    sys.exit(main())
