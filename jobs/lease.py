"""The run lease: one run at a time steps the lake, and the others are told who does.

Every change of holder is one UPDATE that names the state it was decided on (`turn`, `beat_at`), so of two
processes that decide at once one finds the row changed and looks again.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import sqlalchemy as sa

from jobs.errors import Busy, Failed
from jobs.ledger_db import LEASE, reading
from jobs.ledger_records import Run

# A holder that has been silent for so long is gone; Airflow's tasks have gaps.
SILENCE = timedelta(hours=2)
# The same on this host where the pid says nothing: the machine was started again, or another container has its name.
SILENCE_UNSEEN = timedelta(minutes=5)

BEAT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds the lake: a run, for which dates, in which process, and its last sign of life."""

    turn: int
    run_id: str
    command: str
    first_day: date
    last_day: date
    host: str
    pid: int
    pid_space: str
    pid_start: str
    since: datetime
    beat_at: datetime
    is_idle: bool

    @property
    def work(self) -> str:
        """What the holder does, as in "`clm run` of 2026-01-31"."""
        days = f"{self.first_day}" if self.first_day == self.last_day else f"{self.first_day} to {self.last_day}"
        return f"`clm {self.command}` of {days}"

    def __str__(self) -> str:
        gone_at = f"{self.beat_at + SILENCE:%Y-%m-%dT%H:%M:%SZ}"
        who = f"{self.since:%Y-%m-%dT%H:%M:%SZ} (pid {self.pid} on {self.host}, run {self.run_id})"
        if self.is_idle:
            return (
                f"{self.work} is between two of its stages, the last begun at {who}: "
                f"let it finish, or start this again after {gone_at}, when it counts as given up"
            )
        return (
            f"{self.work} has held the lake since {who}: start this again when it has ended; "
            f"end that process if it hangs; if its machine is gone, the lake is free at {gone_at}"
        )

    def is_gone(self, now: datetime) -> bool:
        """True when nothing is to be expected of the holder any more, so that its lease may be taken over."""
        silence = now - self.beat_at
        if silence > SILENCE:
            return True
        if self.is_idle or self.host != socket.gethostname():
            return False
        if self.pid_space != pid_space():
            return silence > SILENCE_UNSEEN
        return not is_running(self.pid, self.pid_start)


class Lease:
    """One run's hold on the lake, as a context manager; entering raises Busy while another run holds it.

    A thread gives a sign of life every `beat_seconds`. Leaving frees the lake; with `keep`, unless an
    exception is on its way, it stays reserved for the next stage: the same command for the same dates.
    """

    def __init__(
        self, engine: sa.Engine, run: Run, *, keep: bool, clock: Callable[[], datetime], beat_seconds: float
    ) -> None:
        self._engine = engine
        self._run = run
        self._keep = keep
        self._clock = clock
        self._beat_seconds = beat_seconds
        self._turn = 0
        self._has_left = threading.Event()
        self._heart = threading.Thread(target=self._beat_on, name="lease", daemon=True)

    def __enter__(self) -> Self:
        while not self._try():
            pass  # The row changed between the look and the UPDATE: look again.
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._has_left.set()
        self._heart.join()
        if self._keep and error is None:
            self._set(is_idle=True, beat_at=self._clock())
        else:
            self._set(run_id=None, is_idle=False)

    def check(self) -> None:
        """Raises Busy when another run has taken the lease over; to be called before anything is published."""
        if not self._set(beat_at=self._clock()):
            taker = current_holder(self._engine)
            raise Busy(
                f"run {self._run.run_id} was silent for too long and lost the lake"
                + (f" to {taker.work} (pid {taker.pid} on {taker.host})" if taker else "")
                + "; it publishes nothing more: start it again when the lake is free"
            )

    def _try(self) -> bool:
        """Takes the lease; False when someone else was faster, Busy when it is not to be had."""
        now = self._clock()
        with reading(self._engine).connect() as connection:
            seen = connection.execute(sa.select(LEASE)).mappings().one()
        held = _holder(seen)
        if held and not held.is_gone(now) and not self._may_follow(held):
            raise Busy(str(held))
        is_unchanged = sa.and_(LEASE.c.turn == seen["turn"], LEASE.c.beat_at.is_not_distinct_from(seen["beat_at"]))
        mine: dict[str, Any] = {
            "turn": seen["turn"] + 1,
            "run_id": self._run.run_id,
            "command": self._run.command,
            "first_day": self._run.first_day,
            "last_day": self._run.last_day,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "pid_space": pid_space(),
            "pid_start": pid_start(os.getpid()),
            "since": now,
            "beat_at": now,
            "is_idle": False,
        }
        with self._engine.begin() as connection:
            is_taken = connection.execute(sa.update(LEASE).where(is_unchanged).values(mine)).rowcount == 1
        if is_taken:
            self._turn = seen["turn"] + 1
        return is_taken

    def _may_follow(self, held: Holder) -> bool:
        same = (self._run.command, self._run.first_day, self._run.last_day)
        return held.is_idle and same == (held.command, held.first_day, held.last_day)

    def _set(self, **values: object) -> bool:
        """Changes our own lease; False when it is no longer ours."""
        with self._engine.begin() as connection:
            return connection.execute(sa.update(LEASE).where(LEASE.c.turn == self._turn).values(values)).rowcount == 1

    def _beat_on(self) -> None:
        while not self._has_left.wait(self._beat_seconds):
            try:
                if not self._set(beat_at=self._clock()):
                    return
            except Failed:
                continue  # A full disk, say: the next beat may pass, and check() tells the run in its own thread.


def current_holder(engine: sa.Engine) -> Holder | None:
    """The run in the lease, gone or not; None when the lake is free."""
    with reading(engine).connect() as connection:
        return _holder(connection.execute(sa.select(LEASE)).mappings().one())


def _holder(row: sa.RowMapping) -> Holder | None:
    return Holder(**{field.name: row[field.name] for field in fields(Holder)}) if row["run_id"] else None


def is_running(pid: int, start: str) -> bool:
    """Whether the process `pid` that began at `start` still works; one that cannot be looked into counts as working."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # Another user's, so it is there.
    state, now_start = _stat(pid)
    return state not in ("Z", "X") and (not start or not now_start or start == now_start)


def pid_start(pid: int) -> str:
    """When the process began, in clock ticks after boot; empty where there is no /proc."""
    return _stat(pid)[1]


def pid_space() -> str:
    """What a pid counts in: this boot of this machine and, in a container, its own numbering; empty without /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _stat(pid: int) -> tuple[str, str]:
    """A process's state letter and start, each empty where /proc does not tell."""
    try:
        # After the last ")", for the command's name may hold blanks and brackets: field 3 is the state, 22 the start.
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return words[0], words[19]
