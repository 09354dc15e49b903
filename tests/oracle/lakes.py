"""The lakes that the oracle is compared with: loaded by the lake's own code, which nothing else here knows."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import conf
from conf import Settings
from jobs.progress import Progress
from jobs.runner import backfill, run_night
from jobs.session import open_session
from jobs.simulate.plan import Simulation
from jobs.simulate.run import simulate_deliveries
from tests.real.onboarding import onboard
from tests.real.online_retail.expected import FIRST, LAST
from tests.real.online_retail.lake import DUMP

CONF = Path(__file__).parents[1] / "real" / "online_retail" / "conf"


@dataclass(frozen=True)
class Loaded:
    """A lake with the nights first … last, of which those from `judged_from` on have levels."""

    settings: Settings
    first: date
    last: date
    judged_from: date


def month(root: Path, *, customers: int) -> Loaded:
    """34 nights of a simulated super-app with everything that goes wrong: a load that is judged from its sixth night
    on, and three nights by themselves, which are delivered.
    """
    first, last = date(2026, 1, 1), date(2026, 2, 3)
    keys = root / "token_keys.toml"
    root.mkdir(parents=True)
    keys.touch(mode=0o600)
    keys.write_text(f'current = 1\n[keys]\n1 = "{secrets.token_hex(32)}"\n')
    own = {"CLM_LAKE": root / "lake", "CLM_LANDING": root / "landing", "CLM_TOKEN_KEYS": keys}
    settings = conf.load(environ={key: str(path) for key, path in own.items()})
    story = Simulation(customers=customers, first=first, last=last, seed=7, out=root / "landing")
    simulate_deliveries(open_session(settings, few_rows=True), story)
    loaded = last - timedelta(days=3)
    begins = first + timedelta(days=5)
    backfill(settings, first, loaded, reason="the month", step_from=begins, contacts="live", progress=Progress())
    for number in range(3):
        run_night(settings, loaded + timedelta(days=number + 1), progress=Progress())
    return Loaded(settings, first, last, begins)


def online_retail(root: Path, data: Path) -> Loaded:
    """The whole log of UCI Online Retail, as one historical dump."""
    settings = onboard(root, data, [DUMP], CONF)
    backfill(settings, FIRST, LAST, reason="the log", progress=Progress())
    return Loaded(settings, FIRST, LAST, LAST - timedelta(days=6))
