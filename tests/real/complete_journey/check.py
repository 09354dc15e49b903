"""Campaign feedback of a real grocer: a year of campaigns as one range, against DuckDB and the known counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.progress import Progress
from tests.real.comparison import differences, print_side_by_side
from tests.real.complete_journey.expected import FIRST, KNOWN, LAST, computed
from tests.real.complete_journey.lake import figures, loaded


def run(place: Path, data: Path, *, progress: Progress) -> list[str]:
    """Prints what it finds below `place`; returns one sentence for each difference."""
    with progress.step(f"the range {FIRST} to {LAST}"):
        settings = loaded(place, data, progress)
    with progress.step("DuckDB, from the files"):
        of_duckdb = computed(data)
    with progress.step("the same figures from the lake"):
        of_lake = figures(settings)
    campaigns = [name.removesuffix(", targeted") for name in of_duckdb if name.endswith(", targeted")]
    times = [name for name in of_duckdb if " at " in name]
    others = [name for name in of_duckdb if name not in times and name.split(", ")[0] not in campaigns]
    print_side_by_side("The files", {"lake": of_lake, "DuckDB": of_duckdb, "known": KNOWN}, others)
    _print_campaigns(campaigns, of_lake, of_duckdb)
    Console(width=140, highlight=False).print(
        "\nDuplicates among the redemptions: more coupons of one household, campaign and day say nothing new."
        f"\nCompared as well: how many triggers were sent or converted at each of {len(times)} instants."
    )
    return differences(of_lake, of_duckdb) + differences({name: of_lake.get(name) for name in KNOWN}, KNOWN)


def _print_campaigns(campaigns: Sequence[str], of_lake: Mapping[str, int], of_duckdb: Mapping[str, int]) -> None:
    stages = ("targeted", "redeemed")
    table = Table("", title="\nHouseholds: lake / DuckDB / known", title_justify="left", box=None, header_style="bold")
    for stage in stages:
        table.add_column(stage, justify="right")
    for campaign in campaigns:
        names = [f"{campaign}, {stage}" for stage in stages]
        found = [[figures.get(name) for figures in (of_lake, of_duckdb, KNOWN)] for name in names]
        table.add_row(
            campaign, *(" / ".join("–" if each is None else f"{each:,}" for each in three) for three in found)
        )
    Console(highlight=False).print(table)
