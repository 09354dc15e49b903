"""A lake of real data in a temporary folder, and what it says of its deliveries."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

import conf
from conf import Settings
from jobs.lake import Lake
from jobs.ledger import Ledger
from jobs.session import open_session

FATES = ("delivered", "accepted", "quarantined", "duplicate", "waiting")


def onboard(root: Path, data: Path, files: Sequence[Path], conf_folder: Path) -> Settings:
    """Copy files of `data` into a landing folder (a link out of it would be refused); the lake is still empty."""
    for file in files:
        landed = root / "landing" / file
        if not landed.exists():
            landed.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data / file, landed)
    environ = {
        "CLM_LAKE": str(root / "lake"),
        "CLM_LANDING": str(root / "landing"),
        "CLM_CONF": str(conf_folder),
    }
    return conf.load(environ=environ)


def lake_of(settings: Settings) -> Lake:
    return Lake(open_session(settings), settings, Ledger.open(settings.ledger_url))


def one_row(frame: DataFrame) -> dict[str, int]:
    row = frame.first()
    assert row is not None
    return row.asDict()


def accounts(lake: Lake, known_on: date) -> dict[str, int]:
    """ "campaigns, accepted" → source rows, of each source, as the accounts of all nights say."""
    deliveries = lake.read("ops.deliveries", known_on=known_on)
    sums = [F.sum(fate).alias(fate) for fate in FATES]
    return {
        f"{row['source']}, {fate}": row[fate]
        for row in deliveries.groupBy("source").agg(*sums).collect()
        for fate in FATES
    }
