"""The small lake of which all sizes are made: some thousand customers with 130 nights behind them, and one to come."""

from __future__ import annotations

import secrets
from datetime import date, timedelta
from pathlib import Path

import conf
from conf import Settings
from jobs.progress import Progress
from jobs.runner import backfill
from jobs.session import open_session
from jobs.simulate.plan import Simulation
from jobs.simulate.run import simulate

CUSTOMERS = 5_000
FIRST, TONIGHT = date(2025, 9, 20), date(2026, 1, 31)
YESTERDAY = TONIGHT - timedelta(days=1)
# No address books: at 20 million customers they alone would be more than a thousand million rows.
FEEDS = ("customers", "transactions", "app_events", "devices", "consents")
KEYS = "token_keys.toml"


def settings_of(folder: Path, landing: Path | None = None, overlay: Path | None = None) -> Settings:
    """The settings of a lake in `folder`, with the keys of the base lake beside it."""
    environ = {
        "CLM_LAKE": str(folder / "lake"),
        "CLM_LANDING": str(landing or folder / "landing"),
        "CLM_TOKEN_KEYS": str(folder / KEYS),
    }
    return conf.load(environ={**environ, **({"CLM_CONF": str(overlay)} if overlay else {})})


def make(folder: Path, progress: Progress) -> None:
    """Simulate the deliveries and load all nights but the last; nothing where that is done."""
    if (folder / "ready").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / KEYS).exists():
        (folder / KEYS).touch(mode=0o600)
        (folder / KEYS).write_text(f'current = 1\n[keys]\n1 = "{secrets.token_hex(32)}"\n')
    settings = settings_of(folder)
    if not (folder / "landing" / "truth").exists():
        story = Simulation(customers=CUSTOMERS, first=FIRST, last=TONIGHT, seed=3, out=folder / "landing", feeds=FEEDS)
        simulate(open_session(settings), story)
    backfill(settings, FIRST, YESTERDAY, reason="bench: all nights before the one measured", progress=progress)
    (folder / "ready").touch()
