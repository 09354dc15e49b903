"""The long check: a year as one range against DuckDB and the known counts, then its last nights singly."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from jobs.calendar import days_between
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from tests.real.comparison import differences, print_side_by_side
from tests.real.online_retail.expected import FIRST, KNOWN, LAST, computed, retention
from tests.real.online_retail.lake import DUMP, SNAPSHOTS, Shop

MOST_NIGHTS = (LAST - FIRST).days
REASON = "first load"


def run(place: Path, data: Path, *, nights: int, progress: Progress) -> list[str]:
    """Prints what it finds below `place`; returns one sentence for each difference."""
    with progress.step(f"the range {FIRST} to {LAST}"):
        whole = Shop.begin(place / "range", data)
        backfill(whole.settings, FIRST, LAST, reason=REASON, progress=progress)
    with progress.step("DuckDB, from the file"):
        of_duckdb = computed(data / DUMP)
    with progress.step("the same figures from the lake"):
        of_lake = whole.figures(LAST)
    _print(of_lake, of_duckdb)
    close_after = whole.settings.lake.close_after
    kept = retention(data / DUMP, close_after=close_after, known_on=LAST)
    kept_in_lake = whole.retention(LAST)
    _print_retention(kept_in_lake, kept)
    found = differences(of_lake, of_duckdb) + differences(kept_in_lake, kept)
    found += differences({name: of_lake[name] for name in KNOWN if name in of_lake}, KNOWN)
    return found + (_nights(whole, place, data, nights, progress) if nights else [])


def _nights(whole: Shop, place: Path, data: Path, nights: int, progress: Progress) -> list[str]:
    """The last nights one by one in a lake of their own, against the same nights of the range."""
    days = days_between(LAST - timedelta(days=nights - 1), LAST)
    before = days[0] - timedelta(days=1)
    with progress.step(f"a second lake, the range {FIRST} to {before}"):
        stepped = Shop.begin(place / "nights", data)
        backfill(stepped.settings, FIRST, before, reason=REASON, progress=progress)
    for count, day in enumerate(days, start=1):
        with progress.step(f"night {count} of {nights}: {day}"):
            run_night(stepped.settings, day, progress=Progress())
    of_nights, of_range = stepped.digests(days), whole.digests(days)
    # A range keeps the snapshots of its last week.
    kept = whole.digests(days, SNAPSHOTS)
    of_range |= kept
    of_nights |= {name: digest for name, digest in stepped.digests(days, SNAPSHOTS).items() if name in kept}
    found = differences(of_nights, of_range)
    Console(highlight=False).print(
        f"\n{nights} nights run singly: {len(of_range)} digests of the range, {len(found)} of the nights differ."
    )
    return found


def _print(of_lake: Mapping[str, int], of_duckdb: Mapping[str, int]) -> None:
    by_month = [name for name in of_duckdb if name[:4].isdigit()]
    totals = [name for name in of_duckdb if name not in by_month]
    print_side_by_side("The year", {"lake": of_lake, "DuckDB": of_duckdb, "known": KNOWN}, totals)
    names = list(dict.fromkeys(name[8:] for name in by_month))
    table = Table("month", title="By month: lake / DuckDB", title_justify="left", box=None, header_style="bold")
    for name in names:
        table.add_column(name, justify="right")
    for month in dict.fromkeys(name[:7] for name in by_month):
        pairs = [[figures.get(f"{month} {name}") for figures in (of_lake, of_duckdb)] for name in names]
        table.add_row(month, *(" / ".join("–" if each is None else f"{each:,}" for each in pair) for pair in pairs))
    Console(width=140, highlight=False).print("\n", table, sep="")


def _print_retention(of_lake: Mapping[str, int], of_duckdb: Mapping[str, int]) -> None:
    """Customers and retained by month of the first sale, the lake's beside DuckDB's: the triangle, then the windows."""
    periods = list(dict.fromkeys(name.split()[1] for name in of_duckdb))
    triangle = sorted((period for period in periods if period.startswith("month_")), key=lambda name: int(name[6:]))
    for title, columns in (
        ("calendar months", triangle),
        ("windows", [each for each in periods if each not in triangle]),
    ):
        table = Table("first sale", title=f"Retained, {title}: lake / DuckDB", title_justify="left", box=None)
        for period in ("customers", *columns):
            table.add_column(period.removeprefix("month_").removeprefix("days_"), justify="right")
        for cohort in dict.fromkeys(name.split()[0] for name in of_duckdb):
            names = [f"{cohort} month_0 customers", *(f"{cohort} {period} retained" for period in columns)]
            pairs = [(of_lake.get(name), of_duckdb.get(name)) for name in names]
            table.add_row(cohort, *("" if pair == (None, None) else "{} / {}".format(*pair) for pair in pairs))
        Console(width=180, highlight=False).print("\n", table, sep="")
