"""One run at a time steps the lake, whatever becomes of the processes that try."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

import jobs
from jobs.errors import Busy, Failed
from jobs.lease import Lease, is_running, pid_space, pid_start
from jobs.ledger import Ledger
from jobs.ledger_db import LEASE, connect

TUE, WED = date(2026, 1, 27), date(2026, 1, 28)
ROUNDS = 20


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 28, 2, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)


class Worker:
    """Another process that takes and leaves the lease when told (lease_worker.py)."""

    def __init__(self, url: str, command: str = "run", day: date = TUE) -> None:
        program = Path(__file__).with_name("lease_worker.py")
        self.process = subprocess.Popen(
            [sys.executable, str(program), url, command, day.isoformat()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(jobs.__file__).parents[1])},
        )

    def tell(self, word: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def do(self, word: str) -> str:
        self.tell(word)
        return self.answer()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Ledger:
    return Ledger.open(url, clock=clock)


@pytest.fixture
def worker(url: str) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def make(command: str = "run", day: date = TUE) -> Worker:
        workers.append(Worker(url, command, day))
        return workers[-1]

    yield make
    for each in workers:
        each.process.kill()
        each.process.communicate()


def lease(ledger: Ledger, command: str = "run", day: date = TUE, *, keep: bool = False) -> Lease:
    return ledger.lease(ledger.start_run(command, day, day), keep=keep)


def alter(url: str, **values: object) -> None:
    """Makes the holder another than this process."""
    with connect(url).begin() as connection:
        connection.execute(sa.update(LEASE).values(values))


def ended_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


# Held and free


def test_the_holder_is_named_to_who_comes_second(ledger: Ledger) -> None:
    with lease(ledger, "backfill"), pytest.raises(Busy) as busy, lease(ledger, day=WED):
        pass
    for part in (
        "`clm backfill` of 2026-01-27",
        "2026-01-28T02:00:00Z",
        f"pid {os.getpid()} on {socket.gethostname()}",
    ):
        assert part in str(busy.value)
    assert busy.value.exit_code == 4


def test_leaving_frees_the_lake(ledger: Ledger) -> None:
    with lease(ledger):
        holder = ledger.holder()
        assert holder
        assert (holder.command, holder.first_day, holder.pid) == ("run", TUE, os.getpid())
    assert ledger.holder() is None
    with lease(ledger, "backfill", WED):
        pass


@pytest.mark.parametrize("keep", [True, False])
def test_an_exception_frees_the_lake(ledger: Ledger, keep: bool) -> None:
    with pytest.raises(Failed), lease(ledger, keep=keep):
        raise Failed("a stage broke")
    with lease(ledger, "backfill", WED):
        pass


# Between two stages


def test_a_kept_lease_admits_the_next_stage_only(ledger: Ledger) -> None:
    with lease(ledger, keep=True):
        pass
    with pytest.raises(Busy, match=r"`clm run` of 2026-01-27 is between two of its stages"), lease(ledger, day=WED):
        pass
    with pytest.raises(Busy, match="between two of its stages"), lease(ledger, "backfill"):
        pass
    with lease(ledger, keep=True), pytest.raises(Busy, match="has held the lake"), lease(ledger):
        pass  # The same night does not enter twice at once.
    with lease(ledger):
        pass  # The last stage does not keep it.
    with lease(ledger, "backfill", WED):
        pass


def test_a_kept_lease_is_given_up_after_two_hours(ledger: Ledger, clock: Clock) -> None:
    with lease(ledger, keep=True):
        clock.pass_by(hours=1)
    clock.pass_by(hours=2)
    with pytest.raises(Busy, match="2026-01-28T05:00:00Z"), lease(ledger, day=WED):
        pass
    clock.pass_by(seconds=1)
    assert ledger.holder() is None
    with lease(ledger, day=WED):
        pass


def test_a_kept_lease_survives_the_end_of_its_process(worker: Callable[..., Worker]) -> None:
    land = worker()
    assert land.do("keep") == "in"
    assert land.do("leave") == "out"
    land.process.communicate()
    assert "between two of its stages" in worker(day=WED).do("enter")
    assert worker().do("enter") == "in"


# Signs of life


def test_two_hours_of_silence_lose_the_lease_and_who_lost_it_is_told(ledger: Ledger, clock: Clock, url: str) -> None:
    silent = lease(ledger)
    with silent:
        clock.pass_by(hours=2)
        with pytest.raises(Busy), lease(ledger, day=WED):
            pass
        clock.pass_by(seconds=1)
        taker = lease(ledger, "backfill", WED)
        taker.__enter__()
        with pytest.raises(Busy, match=r"lost the lake to `clm backfill` of 2026-01-28"):
            silent.check()
    holder = ledger.holder()
    assert holder
    assert holder.command == "backfill", "the loser's leaving does not free it"
    taker.check()
    taker.__exit__(None, None, None)


def test_a_check_is_a_sign_of_life(ledger: Ledger, clock: Clock) -> None:
    with lease(ledger) as held:
        clock.pass_by(hours=2)
        held.check()
        clock.pass_by(hours=2)
        with pytest.raises(Busy), lease(ledger, day=WED):
            pass


def test_the_lease_beats_by_itself_also_after_a_failed_beat(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = datetime(2026, 1, 28, 2, 0, tzinfo=UTC)
    main, beats, has_beaten = threading.current_thread(), [0], threading.Event()

    def clock() -> datetime:
        if threading.current_thread() is main:
            return begun
        beats[0] += 1
        if beats[0] == 1:
            raise Failed("the disk is full")
        if beats[0] == 3:
            has_beaten.set()  # The beat before is written.
        return begun + timedelta(minutes=beats[0])

    ledger = Ledger.open(url, clock=clock)
    with ledger.lease(ledger.start_run("run", TUE, TUE), beat_seconds=0.001):
        assert has_beaten.wait(30)
        holder = ledger.holder()
        assert holder
        assert holder.since == begun
        assert holder.beat_at >= begun + timedelta(minutes=2)


# Dead and living holders


def test_a_killed_process_loses_the_lease_at_once(worker: Callable[..., Worker]) -> None:
    victim, heir = worker(), worker("backfill", WED)
    assert victim.do("enter") == "in"
    assert f"pid {victim.process.pid} " in heir.do("enter")
    victim.process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, victim.process.pid, os.WEXITED | os.WNOWAIT)  # Dead, and not yet taken away by its parent.
    assert heir.do("enter") == "in"


def test_a_stopped_process_keeps_the_lease(worker: Callable[..., Worker]) -> None:
    holder, other = worker(), worker(day=WED)
    assert holder.do("enter") == "in"
    holder.process.send_signal(signal.SIGSTOP)
    os.waitpid(holder.process.pid, os.WUNTRACED)
    assert "has held the lake" in other.do("enter")


def test_a_pid_given_to_another_process_is_not_the_holder(ledger: Ledger, url: str) -> None:
    lease(ledger).__enter__()
    alter(url, pid_start="1")
    with lease(ledger, day=WED):
        pass


def test_of_a_process_that_cannot_be_looked_into_only_its_absence_counts() -> None:
    assert is_running(os.getpid(), pid_start(os.getpid()))
    assert is_running(os.getpid(), ""), "begun where there was no /proc"
    assert is_running(1, ""), "another user's"
    assert not is_running(os.getpid(), "1")
    assert not is_running(ended_pid(), "")


def test_on_another_host_only_silence_tells(ledger: Ledger, clock: Clock, url: str) -> None:
    lease(ledger).__enter__()
    alter(url, host="elsewhere", pid=ended_pid())
    clock.pass_by(hours=2)
    with pytest.raises(Busy, match="on elsewhere"), lease(ledger, day=WED):
        pass
    clock.pass_by(seconds=1)
    with lease(ledger, day=WED):
        pass


def test_after_a_reboot_five_minutes_of_silence_tell(ledger: Ledger, clock: Clock, url: str) -> None:
    lease(ledger).__enter__()
    alter(url, pid_space=f"another {pid_space()}", pid=ended_pid())
    clock.pass_by(minutes=5)
    with pytest.raises(Busy), lease(ledger, day=WED):
        pass  # It might be a container of the same name, whose pids are not ours.
    clock.pass_by(seconds=1)
    with lease(ledger, day=WED):
        pass


# Races


def kept(url: str) -> None:
    ledger = Ledger.open(url)
    with lease(ledger, keep=True):
        pass


def dead(url: str) -> None:
    """Held by a process of this host that has ended."""
    kept(url)
    alter(url, is_idle=False, pid=ENDED)


def free(url: str) -> None:
    with lease(Ledger.open(url)):
        pass


ENDED = ended_pid()


@pytest.mark.parametrize("state", [free, dead, kept])
def test_of_processes_that_try_at_once_one_gets_it(
    url: str, worker: Callable[..., Worker], state: Callable[[str], None]
) -> None:
    workers = [worker() for _ in range(4)]
    for _ in range(ROUNDS):
        state(url)
        for each in workers:
            each.tell("enter")
        answers = [each.answer() for each in workers]
        assert answers.count("in") == 1, answers
        assert sum("has held the lake" in answer for answer in answers) == 3, answers
        assert workers[answers.index("in")].do("leave") == "out"
