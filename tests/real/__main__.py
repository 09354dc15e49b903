"""`python -m tests.real --data DIR`: the real data in DIR, onboarded, loaded and compared with computations of its own.

Exits 1 where anything differs. Works in a temporary folder, which is removed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from conf.errors import ConfError
from jobs.errors import ClmError
from jobs.progress import Progress, progress_for
from tests.real.complete_journey import check as complete_journey
from tests.real.complete_journey.expected import FILES as COMPLETE_JOURNEY_FILES
from tests.real.online_retail import check as online_retail
from tests.real.online_retail.lake import DUMP
from tests.real.usage_logger import check as usage_logger
from tests.real.usage_logger.expected import FILES as USAGE_LOGGER_FILES


@dataclass(frozen=True)
class DataSet:
    """What `check` compares and prints below a folder, and the files that it needs."""

    title: str
    files: tuple[Path, ...]
    check: Callable[[Path, argparse.Namespace, Progress], list[str]]


# Online Retail first: its queries are compiled, and Spark keeps what the small lakes ask for.
DATA_SETS = {
    "online_retail": DataSet(
        "Online Retail",
        (DUMP,),
        lambda place, asked, progress: online_retail.run(place, asked.data, nights=asked.nights, progress=progress),
    ),
    "complete_journey": DataSet(
        "Complete Journey",
        COMPLETE_JOURNEY_FILES,
        lambda place, asked, progress: complete_journey.run(place, asked.data, progress=progress),
    ),
    "usage_logger": DataSet(
        "Usage Logger",
        USAGE_LOGGER_FILES,
        lambda place, asked, progress: usage_logger.run(place, asked.data, progress=progress),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.real", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the folder that holds all of them")
    parser.add_argument("--only", choices=DATA_SETS, metavar="NAME", help=f"one of {', '.join(DATA_SETS)}")
    parser.add_argument(
        "--nights",
        type=int,
        default=14,
        help="how many nights of Online Retail to run singly as well (default: %(default)s)",
    )
    asked = parser.parse_args()
    wanted = {asked.only: DATA_SETS[asked.only]} if asked.only else DATA_SETS
    for name, data_set in wanted.items():
        for file in data_set.files:
            if not (asked.data / file).is_file():
                parser.error(
                    f"there is no {asked.data / file}: let --data (or make's DATA) name the folder that holds {file}; "
                    f"python -m tests.real --only NAME goes without {name}"
                )
    if not 0 <= asked.nights <= online_retail.MOST_NIGHTS:
        parser.error(f"--nights {asked.nights}: say 0 to {online_retail.MOST_NIGHTS}")
    agrees = [_agrees(data_set, asked) for data_set in wanted.values()]
    return 0 if all(agrees) else 1


def _agrees(data_set: DataSet, asked: argparse.Namespace) -> bool:
    console = Console(highlight=False)
    try:
        with tempfile.TemporaryDirectory(prefix="clm-real-") as place:
            found = data_set.check(Path(place), asked, progress_for())
    except (ClmError, ConfError) as error:
        print(f"tests.real: {data_set.title}: {error}", file=sys.stderr)
        return False
    for difference in found:
        console.print(f"differs: {difference}", markup=False, soft_wrap=True)
    says = f"{len(found)} figures differ" if found else "everything agrees"
    console.print(f"{data_set.title}: {says}.\n", markup=False)
    return not found


if __name__ == "__main__":
    sys.exit(main())
