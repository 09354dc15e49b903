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

MONTH = "month"
UCI = "online_retail"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle", description=__doc__)
    parser.add_argument("--show", type=int, default=3, help="how many differing rows to print of a table and night")
    which = parser.add_subparsers(dest="which")
    made = which.add_parser("both", help="a simulated month and UCI, each loaded anew (default)")
    made.add_argument("--customers", type=int, default=700, help="of the month")
    made.add_argument("--data", type=Path, default=Path("../shared/data"), help="where online_retail/ is, if anywhere")
    lake = which.add_parser("lake", help="a lake that is there")
    lake.add_argument("--from", dest="first", type=date.fromisoformat, required=True)
    lake.add_argument("--to", dest="last", type=date.fromisoformat, required=True)
    lake.add_argument("--first-night", type=date.fromisoformat, help="the lake's first night; default: --from")
    lake.add_argument("--parts", default=",".join(parts.PARTS), help="which parts; the others are read from the lake")
    lake.add_argument("--out", type=Path, help="where the oracle's tables are kept; default: nowhere")
    asked = parser.parse_args(sys.argv[1:] or ["both"])
    if asked.which == "lake":
        names = asked.parts.split(",")
        first = asked.first_night or asked.first
        return _said("lake", nights(conf.load(), asked.first, asked.last, first, names, out=asked.out), asked.show)
    with tempfile.TemporaryDirectory(prefix="clm-oracle-") as folder:
        month = lakes.month(Path(folder) / MONTH, customers=asked.customers)
        code = _said(MONTH, nights(month.settings, month.first, month.last, month.first), asked.show)
        if not (asked.data / UCI).exists():
            print(f"{UCI}: not compared, it is not in {asked.data}")
            return code
        uci = lakes.online_retail(Path(folder) / UCI, asked.data)
        return _said(UCI, nights(uci.settings, uci.first, uci.last, uci.first), asked.show) or code


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
