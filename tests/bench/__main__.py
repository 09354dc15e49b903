"""`make bench`: the lake and the oracle, DuckDB, over the same nights in the same run; writes docs/performance.md.

What is made for it (a base lake, lakes of every size, what was measured) stays in the folder of `--work` and is taken
up again: sizes may be measured one after the other, and the page shows all there is. Size L needs 60 GB there.
Machines are shared and noisy: read the ratios, and the medians only beside each other.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs.progress import progress_for
from tests.bench import base, report, scaled, small
from tests.bench.processes import run
from tests.bench.scaled import FORMS, SIZES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--sizes", default="S,M", help=f"of {', '.join(SIZES)}, and small; default: S,M")
    parser.add_argument("--forms", default="parquet", help=f"how deliveries come: of {', '.join(FORMS)}")
    parser.add_argument("--runs", type=int, default=3, help="of each engine, in turn")
    parser.add_argument("--work", type=Path, default=Path("bench"), help="where all of it lies")
    parser.add_argument("--page", action="store_true", help="only write the page of what was measured")
    asked = parser.parse_args()
    for given, known in ((asked.sizes, (*SIZES, "small")), (asked.forms, FORMS)):
        if unknown := sorted(set(given.split(",")) - set(known)):
            parser.error(f"{', '.join(unknown)}: choose of {', '.join(known)}")
    asked.work.mkdir(parents=True, exist_ok=True)
    results = asked.work.resolve() / "results.jsonl"
    for name in [] if asked.page else asked.sizes.split(","):
        if name == "small":
            for figures in small.measure(asked.work.resolve(), asked.runs):
                _note(results, {"small": figures})
            continue
        for form in asked.forms.split(","):
            for told in side_by_side(asked.work.resolve(), name, form, asked.runs):
                _note(results, told)
    report.write(results)
    return 0


def side_by_side(work: Path, name: str, form: str, runs: int) -> Iterator[dict[str, Any]]:
    """Both engines in turn; one row is one run of one of them, told when it has ended."""
    progress = progress_for(quiet=False)
    size, folder = SIZES[name], work / f"{name}-{form}"
    base.make(work / "base", progress)
    if not (folder / "delivered.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with progress.step(f"make tonight of {name}"):
            told = scaled.make_tonight(folder, work / "base", size, form)
        (folder / "delivered.json").write_text(json.dumps(told))
    overlay = scaled.overlay(folder, form)
    if not (folder / "ready").exists():
        with progress.step(f"make yesterday of {name}"):
            scaled.make_yesterday(folder, work / "base", size, overlay, progress)
        (folder / "ready").touch()
    delivered = json.loads((folder / "delivered.json").read_text())
    environ = {
        "CLM_LAKE": str(folder / "lake"),
        "CLM_LANDING": str(folder / "landing"),
        "CLM_TOKEN_KEYS": str(folder / base.KEYS),
        **({"CLM_CONF": str(overlay)} if overlay else {}),
    }
    for number in range(runs):
        out = folder / "oracle"
        shutil.rmtree(out, ignore_errors=True)
        commands = {"theirs": ["tests.bench.theirs", str(base.TONIGHT), str(out)]}
        commands["ours"] = ["tests.bench.ours", str(base.TONIGHT)]
        for engine, command in commands.items():
            with progress.step(f"{name} {form}, run {number + 1}: {engine}"):
                ran = run([sys.executable, "-m", *command], environ)
            yield {
                "size": name,
                "form": form,
                "engine": engine,
                "delivered": delivered,
                "seconds": ran.seconds,
                "peak_memory": ran.peak_memory,
                "bytes_read": ran.bytes_read,
                "bytes_written": ran.bytes_written,
                **ran.told,
            }


def _note(results: Path, told: dict[str, Any]) -> None:
    with results.open("a") as lines:
        lines.write(json.dumps(told) + "\n")
        lines.flush()
        os.fsync(lines.fileno())


if __name__ == "__main__":
    sys.exit(main())
