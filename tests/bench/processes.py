"""A command as a whole process tree: how long it takes, how much memory it holds at most, what it reads and writes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVERY = 0.2


@dataclass(frozen=True)
class Ran:
    """What one run of a command took. Bytes are what its processes asked the system for, cached or not."""

    seconds: float
    peak_memory: int
    bytes_read: int
    bytes_written: int
    told: Mapping[str, Any]


def run(command: Sequence[str], environ: Mapping[str, str]) -> Ran:
    """Run a command whose last line on stdout is a JSON object; raises RuntimeError where it fails.

    `environ` is laid over the variables that are there.
    """
    began = time.perf_counter()
    peak = 0
    counted: dict[int, tuple[int, int]] = {}
    with subprocess.Popen(command, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            tree = _tree(process.pid)
            peak = max(peak, sum(_memory(pid) for pid in tree))
            counted |= {pid: io for pid in tree if (io := _io(pid))}
            time.sleep(EVERY)
        printed = process.stdout.read() if process.stdout else ""
    seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}")
    told = json.loads(printed.strip().splitlines()[-1])
    read, written = (sum(io[i] for io in counted.values()) for i in (0, 1))
    return Ran(seconds, peak, read, written, told)


def _tree(root: int) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            waiting += [int(child) for child in _text(children).split()]
    return found


def _memory(pid: int) -> int:
    for line in _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _io(pid: int) -> tuple[int, int] | None:
    figures = dict(line.split(": ") for line in _text(Path(f"/proc/{pid}/io")).splitlines())
    return (int(figures["rchar"]), int(figures["wchar"])) if figures else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
