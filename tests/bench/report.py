"""`docs/performance.md`: what the bench measured, and on what."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyspark

from tests.bench.scaled import SIZES

PAGE = Path(__file__).parents[2] / "docs" / "performance.md"
STAGES = ("land", "conform", "know", "judge", "select")
Result = dict[str, Any]
HEAD = """\
# Performance

Written by `make bench` from what it measured; do not edit by hand. The yardstick is the oracle: the same night by
DuckDB, with the same duties, from the same deliveries and the same tables of yesterday (docs/adr/0018). Both ran in
turn, each in a process of its own, cold; figures are medians. Ratios are what to read: the machine is shared, and
seconds of another day are other seconds. What the oracle does not do and the lake does: search free text for numbers,
hash contacts for ad platforms, digests, what an engine learns, Great Expectations, lists.

"""


def write(results: Path) -> None:
    """The page, of everything in the file of results."""
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    sized = [row for row in rows if "size" in row]
    text = HEAD + _machine()
    groups: dict[tuple[str, str], list[Result]] = defaultdict(list)
    for row in sized:
        groups[row["size"], row["form"]].append(row)
    for (size, form), runs in sorted(groups.items(), key=lambda group: (list(SIZES).index(group[0][0]), group[0][1])):
        text += _side_by_side(size, form, runs)
    if small := {what: seconds for row in rows for what, seconds in row.get("small", {}).items()}:
        text += _small({what: median(seconds) for what, seconds in small.items()})
    PAGE.write_text(text)


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Measured on {os.cpu_count()} cores and {memory:.0f} GiB, {platform.system()} {platform.machine()}; "
        f"Spark {pyspark.__version__}, DuckDB {duckdb.__version__}, Python {platform.python_version()}.\n\n"
    )


def _side_by_side(size: str, form: str, runs: Sequence[Result]) -> str:
    ours, theirs = ([run for run in runs if run["engine"] == engine] for engine in ("ours", "theirs"))
    if not ours or not theirs:
        return ""
    wanted = SIZES[size]
    rows = "; ".join(f"{source} {rows:,}" for source, (rows, _) in ours[-1]["delivered"].items())
    delivered = sum(size for _, size in ours[-1]["delivered"].values())
    lines = [
        f"## {size}: {wanted.customers:,} customers, {form}\n",
        f"Delivered: {rows} rows; {delivered / 1e6:,.0f} MB. {min(len(ours), len(theirs))} runs of each.\n",
        "| stage | lake, s | DuckDB, s | ratio |",
        "| --- | ---: | ---: | ---: |",
    ]

    def compared(name: str, figure: Callable[[Result], float]) -> str:
        a, b = median(map(figure, ours)), median(map(figure, theirs))
        return f"| {name} | {a:,.1f} | {b:,.1f} | {a / b:.1f} |"

    lines += [compared(stage, lambda run, stage=stage: run["stages"][stage]) for stage in STAGES]
    lines.append(compared("**the night**", lambda run: sum(run["stages"][stage] for stage in STAGES)))
    lines.append(f"| export (lists and outcomes as files) | {median(r['stages']['export'] for r in ours):,.1f} | | |")
    lines.append(compared("the whole process", lambda run: run["seconds"]))
    lines.append(compared("peak memory of the process tree, GiB", lambda run: run["peak_memory"] / 2**30))
    lines.append(compared("read, GB", lambda run: run["bytes_read"] / 1e9))
    lines.append(compared("written, GB", lambda run: run["bytes_written"] / 1e9))
    dearest = sorted(_steps(ours[-1]).items(), key=lambda step: -step[1])[:8]
    if said := _same_rows(ours[-1], theirs[-1]):
        lines.append(f"\n{said}")
    lines.append("\nThe lake's dearest steps, of which two run at a time, s:")
    lines.append(", ".join(f"{what} {seconds:,.0f}" for what, seconds in dearest) + ".\n")
    return "\n".join(lines) + "\n"


def _same_rows(ours: Result, theirs: Result) -> str:
    """Whether both came to the same number of rows, by table; what they hold `make oracle` compares."""
    a, b = ours.get("rows", {}), theirs.get("rows", {})
    shared = sorted({*a} & {*b})
    if not shared:
        return ""
    differing = [f"{table} ({a[table]:,} and {b[table]:,})" for table in shared if a[table] != b[table]]
    if differing:
        return f"Of {len(shared)} tables the numbers of rows differ in {', '.join(differing)}."
    return (
        f"Both came to the same number of rows in each of {len(shared)} tables, {sum(a[t] for t in shared):,} in all."
    )


def _steps(run: Result) -> dict[str, float]:
    """Steps within the stages."""
    return {what: seconds for what, seconds in run["seconds_by_step"].items() if what.split()[0] not in run["stages"]}


def _small(seconds: Mapping[str, float]) -> str:
    lines = ["## Few rows: 1,000 customers\n", "| what | s |", "| --- | ---: |"]
    lines += [f"| {what} | {each:,.1f} |" for what, each in seconds.items()]
    if "night 90" in seconds:
        ratio = seconds["night 90"] / seconds["night 10"]
        lines.append(f"\nNight 90 is {ratio:.2f} of night 10 at the same customers.")
    if "two nights as a range" in seconds:
        further = seconds["two nights as a range"] - seconds["one night"]
        lines.append(f"One more night in a range takes {further:,.1f} s.")
    if "30 nights, nights" in seconds:
        ratio = seconds["30 nights, range"] / seconds["30 nights, nights"]
        lines.append(f"Landing and conform of 30 nights as a range take {ratio:.2f} of what they take one by one.")
    return "\n".join(lines) + "\n"
