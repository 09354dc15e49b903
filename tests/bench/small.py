"""What a night costs where rows are few: cold, one more in a range, and whether it grows with what lies behind it."""

from __future__ import annotations

import secrets
import shutil
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import conf
from jobs.progress import Progress
from jobs.runner import backfill
from jobs.session import open_session
from jobs.simulate.plan import Simulation
from jobs.simulate.run import simulate_deliveries
from tests.bench.processes import Ran, run

CUSTOMERS = 1_000
FIRST = date(2026, 1, 1)
NIGHTS = 93
# Sums of a range that are the same however many nights are computed at once.
DAY_BY_DAY = ("land", "conform")


def measure(work: Path, runs: int) -> Iterator[dict[str, list[float]]]:
    """Figures as they are known: what was measured → the seconds of each run."""
    root = work / "small"
    if not (root / "landing").exists():
        told = Simulation(customers=CUSTOMERS, first=FIRST, last=_night(NIGHTS), seed=1, out=root / "landing")
        spark = open_session(conf.load(environ={"CLM_LAKE": str(root / "none")}), few_rows=True)
        simulate_deliveries(spark, told)
    if not (root / "keys.toml").exists():
        (root / "keys.toml").touch(mode=0o600)
        (root / "keys.toml").write_text(f'current = 1\n[keys]\n1 = "{secrets.token_hex(32)}"\n')
    long = _loaded(root, "long", _night(1), _night(89))
    if not (root / "short-landing").exists():
        _leave_out_events(root / "landing", root / "short-landing", before=_night(81))
    short = _loaded(root, "short", _night(81), _night(89), landing="short-landing")
    tenth, ninetieth = _alternating(runs, [(short, _night(90)), (long, _night(90))])
    yield {
        "a tiny night from the command line": [ran.seconds for ran in ninetieth],
        "night 10": [_whole(ran) for ran in tenth],
        "night 90": [_whole(ran) for ran in ninetieth],
    }
    one = _ours(long, _night(91))
    stepped = _ours(long, _night(92), _night(NIGHTS), "--range")
    yield {"one night": [_whole(one)], "two nights as a range": [_whole(stepped)]}
    # Thirty nights until know, as one range and one by one: seconds of what does not depend on the day before.
    for name, as_range in (("range", True), ("nights", False)):
        shutil.rmtree(root / f"thirty-{name}", ignore_errors=True)
        lake = _environ(root, f"thirty-{name}")
        ran = _ours(lake, _night(1), _night(30), "--until", "know", *(["--range"] if as_range else []))
        yield {f"30 nights, {name}": [sum(ran.told["stages"][stage] for stage in DAY_BY_DAY)]}


def _night(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def _leave_out_events(landing: Path, target: Path, before: date) -> None:
    """The same deliveries without events of before: the same customers, consents and address books are known."""
    for source in conf.load(environ={}).sources:
        for delivery in (landing / source.name).iterdir():
            if source.feed_spec.kind == "states" or delivery.name[:10] >= str(before):
                shutil.copytree(delivery, target / source.name / delivery.name)


def _environ(root: Path, name: str, landing: str = "landing") -> dict[str, str]:
    own = {"CLM_LAKE": root / name, "CLM_LANDING": root / landing, "CLM_TOKEN_KEYS": root / "keys.toml"}
    return {key: str(path) for key, path in own.items()}


def _loaded(root: Path, name: str, first: date, last: date, landing: str = "landing") -> dict[str, str]:
    environ = _environ(root, name, landing)
    shutil.rmtree(root / name, ignore_errors=True)
    backfill(conf.load(environ=environ), first, last, reason="bench", progress=Progress())
    return environ


def _ours(environ: dict[str, str], first: date, *more: object) -> Ran:
    return run([sys.executable, "-m", "tests.bench.ours", str(first), *map(str, more)], environ)


def _alternating(runs: int, nights: Sequence[tuple[dict[str, str], date]]) -> list[list[Ran]]:
    found: list[list[Ran]] = [[] for _ in nights]
    for _ in range(runs):
        for ran, (environ, day) in zip(found, nights, strict=True):
            ran.append(_ours(environ, day))
    return found


def _whole(ran: Ran) -> float:
    return sum(ran.told["stages"].values())
