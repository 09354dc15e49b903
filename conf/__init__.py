"""The configuration of a lake: typed, frozen, and wrong only with file and line.

    settings = conf.load()
    settings.source("payments").files.format

Reads the files packaged here and those of `CLM_CONF` over them.
"""

from __future__ import annotations

from conf.errors import ConfError, Fault
from conf.loader import load
from conf.rules import EngineSettings, LevelSettings, Owned, Risk, RiskSettings, Rung, Segment, Stage, Written
from conf.settings import (
    Backfill,
    CohortSettings,
    LakeSettings,
    QualitySettings,
    Settings,
    SparkSettings,
    TrackingPlan,
)
from conf.source import ColumnType, Files, Limits, Source
from conf.triggers import Cap, CapSettings, Trigger

__all__ = [
    "Backfill",
    "Cap",
    "CapSettings",
    "CohortSettings",
    "ColumnType",
    "ConfError",
    "EngineSettings",
    "Fault",
    "Files",
    "LakeSettings",
    "LevelSettings",
    "Limits",
    "Owned",
    "QualitySettings",
    "Risk",
    "RiskSettings",
    "Rung",
    "Segment",
    "Settings",
    "Source",
    "SparkSettings",
    "Stage",
    "TrackingPlan",
    "Trigger",
    "Written",
    "load",
]
