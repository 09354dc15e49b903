"""A table of four columns for tests of how the lake writes, whatever it writes, and a second process that writes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

import jobs
from expectations.figures import literal
from schemas.columns import AS_OF_DATE, FILE
from schemas.table import Column, Table

NOTES = Table(
    name="core.notes",
    row="one note",
    kind="log",
    key=("as_of_date", "key"),
    owner="lake",
    keep="1 year",
    columns=(
        AS_OF_DATE,
        Column(name="key", type="int", about="The note.", nullable=False, statistics=True),
        Column(name="note", type="string", about="What it says."),
        FILE,
    ),
)

Note = tuple[date, int, str | None, str | None]


def note(day: date, *, key: int = 1, says: str | None = "a", file: str | None = "f") -> Note:
    return (day, key, says, file)


def notes(spark: SparkSession, rows: Sequence[Note]) -> DataFrame:
    """The rows as a frame, as literals: rows from Python would start Python workers for each test."""
    literals = [f"({', '.join(map(_literal, (day.isoformat(), *rest)))})" for day, *rest in rows]
    values = ", ".join(literals) or "(null, null, null, null)"
    names = [column.name for column in NOTES.columns]
    types = [f"cast({name} as {NOTES.column(name).type}) as {name}" for name in names]
    query = f"select {', '.join(types)} from values {values} as ({', '.join(names)})"
    return spark.sql(query if rows else f"{query} where false")


def _literal(value: object) -> str:
    return "null" if value is None else literal(str(value))


class Worker:
    """Another process with a Spark of its own (lake_worker.py), told a line at a time."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("lake_worker.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environ, "PYTHONPATH": str(Path(jobs.__file__).parents[1])},
            # Its Java is in its group, so that both can be killed at once.
            start_new_session=True,
        )

    def tell(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """SIGKILL to Python and Java alike: what a lost machine leaves behind."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate()
