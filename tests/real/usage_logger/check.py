"""App events of one real phone: both logs as one range, against the files read line by line."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from jobs.progress import Progress
from tests.real.comparison import differences, print_side_by_side
from tests.real.onboarding import lake_of
from tests.real.usage_logger.expected import FIRST, LAST, computed, of_owner
from tests.real.usage_logger.lake import figures, figures_of_owner, loaded


def run(place: Path, data: Path, *, progress: Progress) -> list[str]:
    """Prints what it finds below `place`; returns one sentence for each difference."""
    with progress.step(f"the range {FIRST} to {LAST}"):
        settings = loaded(place, data, progress)
    with progress.step("Python, from the files"):
        of_files, owner_in_files = computed(data), of_owner(data)
    with progress.step("the same figures from the lake"):
        of_lake = figures(settings)
        owner_in_lake = figures_of_owner(lake_of(settings).read("core.customer_daily", known_on=LAST))
    by_app = [name for name in of_files if ": " in name]
    times = [name for name in (*of_files, *owner_in_files) if name.endswith("(ms)")]
    actions = [name for name in of_files if " " not in name]
    rows = [name for name in of_files if name not in (*by_app, *times, *actions)]
    dates = [name for name in owner_in_files if name not in times]
    ways = {"lake": of_lake, "files": of_files}
    print_side_by_side("Rows of the files", ways, rows)
    print_side_by_side("\nEvents by action", ways, actions)
    print_side_by_side(
        "\nEvents of the owner, core.customer_daily", {"lake": owner_in_lake, "files": owner_in_files}, dates
    )
    Console(highlight=False).print(
        f"\nCompared as well: {len(by_app)} counts by date, app and action, and {len(times)} times."
    )
    return differences(of_lake, of_files) + differences(owner_in_lake, owner_in_files)
