"""`docs/dags.md`, written from the DAGs and the pipeline; Airflow need not be there.

python -m dags.docs            writes it
python -m dags.docs --check    exits 1 where the file is out of step
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import conf
from conf import Settings
from dags import alerts
from jobs import pipeline
from schemas.docs import keep_in_step

DAGS = Path(__file__).parent
PAGE = DAGS.parent / "docs" / "dags.md"
COMMAND = "python -m dags.docs"
INTRODUCTION = f"""\
# The DAGs

Written from `dags/` and `jobs/pipeline.py` by `{COMMAND}`, for the configuration that is shipped; do not edit by hand.
What to do when one of them fails stands in [runbook.md](runbook.md). Every task is `clm` in a Spark application of its
own; times are in the lake's zone."""


def render() -> str:
    """The whole page."""
    found = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(DAGS.glob("*.py"))}
    dags = {name: tree for name, tree in found.items() if _calls(tree, "DAG")}
    settings = conf.load(environ={})
    return "\n\n".join([INTRODUCTION, *(_dag(tree) for tree in dags.values()), _stages(settings)]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit code."""
    return keep_in_step(arguments, PAGE, render, COMMAND)


def _dag(tree: ast.Module) -> str:
    [dag] = _calls(tree, "DAG")
    [timetable] = _calls(tree, "CronDataIntervalTimetable")
    when = ast.literal_eval(timetable.args[0])
    return f"## {_name(dag.args[0])}\n\nSchedule: `{when}`\n\n{ast.get_docstring(tree)}"


def _name(said: ast.expr) -> str:
    return alerts.NIGHTLY if isinstance(said, ast.Attribute) else str(ast.literal_eval(said))


def _calls(tree: ast.Module, name: str) -> list[ast.Call]:
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == name]


def _stages(settings: Settings) -> str:
    parts = ["## The stages of a night"]
    for stage in pipeline.stages(settings):
        after = sorted(before for before, waiting in pipeline.edges(settings) if waiting == stage)
        head = f"### {stage}\n\nAfter: {_names(after)}." if after else f"### {stage}"
        announced = pipeline.marts(settings, stage)
        assets = f"\n\nAnnounces: {_names(f'x-clm://{table}' for table in announced)}." if announced else ""
        parts.append(f"{head}\n\n{pipeline.told(settings, stage)}{assets}")
    return "\n\n".join(parts)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
