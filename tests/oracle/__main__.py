"""`make oracle`: the lake and the oracle over a simulated month and over UCI Online Retail, compared row by row.

`python -m tests.oracle lake --from DATE --to DATE` compares the lake that CLM_LAKE, CLM_LANDING and CLM_CONF name.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import conf
from tests.oracle import lakes, parts
from tests.oracle.comparison import Told, nights
from tests.oracle.lakes import Loaded

MONTH = "month"
UCI = "online_retail"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--show", type=int, default=3, help="how many differing rows to print of a table and night")
    which = parser.add_subparsers(dest="which", required=True)
    made = which.add_parser("both", help="a simulated month and UCI, each loaded anew (what make oracle does)")
    made.add_argument("--customers", type=int, default=700, help="of the month")
    made.add_argument("--data", type=Path, default=Path("../shared/data"), help="where online_retail/ is, if anywhere")
    lake = which.add_parser("lake", help="a lake that is there")
    lake.add_argument("--from", dest="first", type=date.fromisoformat, required=True)
    lake.add_argument("--to", dest="last", type=date.fromisoformat, required=True)
    lake.add_argument("--first-night", type=date.fromisoformat, help="the lake's first night; default: --from")
    lake.add_argument("--judged-from", type=date.fromisoformat, help="the first with levels; default: --from")
    lake.add_argument("--parts", default=",".join(parts.PARTS), help="which parts; the others are read from the lake")
    lake.add_argument("--out", type=Path, help="an empty folder where the oracle's tables are kept; default: nowhere")
    asked = parser.parse_args()
    if asked.which == "lake":
        if fault := _fault(asked):
            parser.error(fault)
        first, judged_from = asked.first_night or asked.first, asked.judged_from or asked.first
        names = asked.parts.split(",")
        told = nights(conf.load(), asked.first, asked.last, first, judged_from, names, out=asked.out)
        return _said("lake", told, asked.show)
    with tempfile.TemporaryDirectory(prefix="clm-oracle-") as folder:
        code = _compared(MONTH, lakes.month(Path(folder) / MONTH, customers=asked.customers), asked.show)
        if not (asked.data / UCI).exists():
            print(f"{UCI}: not compared, it is not in {asked.data}")
            return code
        return _compared(UCI, lakes.online_retail(Path(folder) / UCI, asked.data), asked.show) or code


def _compared(what: str, lake: Loaded, show: int) -> int:
    return _said(what, nights(lake.settings, lake.first, lake.last, lake.first, lake.judged_from), show)


def _fault(asked: argparse.Namespace) -> str | None:
    """What is wrong with what was asked, before anything is computed."""
    settings = conf.load()
    if unknown := sorted(set(asked.parts.split(",")) - set(parts.PARTS)):
        return f"--parts {', '.join(unknown)}: there is no such part; choose of {', '.join(parts.PARTS)}"
    if asked.last < asked.first:
        return f"--to {asked.last} is before --from {asked.first}"
    if not list(Path(settings.lake.root).glob("*/*/_delta_log")):
        return f"{settings.lake.root} holds no Delta table: set CLM_LAKE"
    if not Path(settings.landing).is_dir() and "land" in asked.parts.split(","):
        return f"{settings.landing} is no folder: set CLM_LANDING"
    if settings.personal_sources and settings.token_keys is None and "land" in asked.parts.split(","):
        return "sources have personal columns, and CLM_TOKEN_KEYS names no key file"
    if asked.out and asked.out.exists() and any(asked.out.iterdir()):
        return f"--out {asked.out} is not empty: what lies there would be taken for this run's"
    return None


def _said(what: str, told: Sequence[Told], show: int) -> int:
    """Prints the table, with examples of what differs; 1 where anything does, or where there was nothing to compare."""
    for each in told:
        for difference in each.differing[:show]:
            print(
                f"\n{each.table} {difference.day}: {difference.only_ours} only ours, {difference.only_oracle} not ours"
            )
            for whose, row in difference.examples[: 2 * show]:
                print(f"  {whose:6} {row}")
    print(f"\n{what:40} {'nights':>6} {'rows':>12} {'differences':>12}")
    for each in told:
        print(f"  {each.table:38} {each.nights:>6} {each.rows:>12,} {each.differences:>12,}")
    rows = sum(each.rows for each in told)
    differences = sum(each.differences for each in told)
    print(f"  {len(told)} tables{'':29} {'':>6} {rows:>12,} {differences:>12,}")
    return 1 if differences or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
