"""App events of one real phone: both logs as one range, against the files read line by line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from jobs.progress import Progress
from tests.real.comparison import differences, print_side_by_side
from tests.real.usage_logger.expected import FIRST, LAST, computed
from tests.real.usage_logger.lake import figures, loaded


def run(place: Path, data: Path, *, progress: Progress) -> list[str]:
    """Prints what it finds below `place`; returns one sentence for each difference."""
    with progress.step(f"the range {FIRST} to {LAST}"):
        settings = loaded(place, data, progress)
    with progress.step("Python, from the files"):
        of_files = computed(data)
    with progress.step("the same figures from the lake"):
        of_lake = figures(settings)
    ways = {"lake": of_lake, "files": of_files}
    by_app = [name for name in of_files if ": " in name]
    of_actions = [name for name in of_files if "," not in name and " " not in name]
    times = [name for name in of_files if name.endswith("(ms)")]
    others = [name for name in of_files if name not in (*by_app, *of_actions, *times)]
    print_side_by_side("Rows of the files, and the dates of the owner", ways, others)
    print_side_by_side("\nEvents by action", ways, of_actions)
    Console(highlight=False).print(
        f"\nCompared as well: {len(by_app)} counts by date, app and action, and {len(times)} times."
    )
    return differences(of_lake, of_files)
