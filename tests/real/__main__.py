"""`python -m tests.real --data DIR`: the real data in DIR, onboarded, loaded and compared with computations of its own.

Exits 1 where anything differs. Works in a temporary folder, which is removed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from conf.errors import ConfError
from jobs.errors import ClmError
from jobs.progress import progress_for
from tests.real.online_retail import check
from tests.real.online_retail.lake import DUMP


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help=f"the folder that holds {DUMP}")
    parser.add_argument(
        "--nights", type=int, default=14, help="how many nights to run singly as well (default: %(default)s)"
    )
    asked = parser.parse_args()
    if not (asked.data / DUMP).is_file():
        parser.error(f"there is no {asked.data / DUMP}: let --data (or make's DATA) name the folder that holds {DUMP}")
    if not 0 <= asked.nights <= check.MOST_NIGHTS:
        parser.error(f"--nights {asked.nights}: say 0 to {check.MOST_NIGHTS}")
    try:
        with tempfile.TemporaryDirectory(prefix="clm-real-") as place:
            found = check.run(Path(place), asked.data, nights=asked.nights, progress=progress_for())
    except (ClmError, ConfError) as error:
        print(f"tests.real: {error}", file=sys.stderr)
        return 1
    console = Console(highlight=False)
    for difference in found:
        console.print(f"differs: {difference}", markup=False, soft_wrap=True)
    console.print(f"Online Retail: {f'{len(found)} figures differ' if found else 'everything agrees'}.", markup=False)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
