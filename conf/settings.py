"""The settings of one lake: everything `conf.load` resolves."""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from conf.errors import ConfError, Fault, hint
from conf.model import Frozen, Region, Text, Zone, spelt
from conf.rules import EngineSettings, LevelSettings, RiskSettings, Segment
from conf.source import Source
from conf.triggers import CapSettings, Trigger
from schemas.columns import SCREEN_GROUPS

Days = Annotated[int, Field(ge=0)]
# A window is read off the activity mask of 128 days, up to a month (a hop) after it closed.
MASK_DAYS = 128
HOP_DAYS = 31


class LakeSettings(Frozen):
    """The lake: where it lies, and what may not change once it holds data.

    `root` is an absolute path or the URL of an object store; `restricted` the same for what few may read, by default
    `restricted` below the root. `region` is where phone numbers without a country
    code are dialled. `close_after` is how many days after its last day a retention window closes.
    """

    root: Text = "lake"
    restricted: str = ""
    zone: Zone
    currency: Annotated[str, spelt(r"[A-Z]{3}", "three capital letters (ISO 4217)")]
    region: Region
    # At most 39: days 90 to 119 after the first of 60 dates must still stand in the mask (mart.upgrade_retention).
    close_after: Annotated[int, Field(ge=0, le=39)]


class SparkSettings(Frozen):
    """How Spark is started. An empty `master` or `driver_memory` is left to spark-submit.

    `tables_at_once` of a night are made side by side where they do not depend on one another.
    """

    master: str = ""
    driver_memory: str = ""
    shuffle_partitions: Annotated[int, Field(ge=1)]
    tables_at_once: Annotated[int, Field(ge=1)]
    conf: dict[str, str] = {}

    @field_validator("conf", mode="before")
    @classmethod
    def _names_are_quoted(cls, conf: Any) -> Any:
        for name, value in conf.items() if isinstance(conf, dict) else ():
            if isinstance(value, dict):
                raise ValueError(f'{name} is a table; write names in quotes: "spark.sql.ansi.enabled" = "true"')
        return conf


class QualitySettings(Frozen):
    """When the volume of a day is out of the ordinary.

    `volume_band` is the lowest and highest share of the median of the same weekdays in the last
    `volume_history_weeks`; below `volume_min_weeks` of history nothing is said.
    """

    volume_band: tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]]
    volume_history_weeks: Annotated[int, Field(ge=1)]
    volume_min_weeks: Annotated[int, Field(ge=1)]
    volume_severity: Literal["warn", "fail"]

    @field_validator("volume_band")
    @classmethod
    def _low_then_high(cls, band: tuple[float, float]) -> tuple[float, float]:
        if band[0] > band[1]:
            raise ValueError(f"the lower bound {band[0]} is above the upper {band[1]}")
        return band

    @model_validator(mode="after")
    def _history_is_long_enough(self) -> Self:
        if self.volume_min_weeks > self.volume_history_weeks:
            raise ValueError("volume_min_weeks is more than volume_history_weeks, so nothing would ever be said")
        return self


class CohortSettings(Frozen):
    """Which retention is measured: days n, windows of days a to b, and months 0 to `calendar_month`."""

    n_day: tuple[Days, ...]
    bracket: tuple[tuple[Days, Days], ...]
    unbounded: tuple[tuple[Days, Days], ...]
    calendar_month: Days
    slices: tuple[Literal["first_product"], ...]

    @field_validator("bracket", "unbounded")
    @classmethod
    def _first_then_last(cls, windows: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for first, last in windows:
            if first > last:
                raise ValueError(f"[{first}, {last}] ends before it begins")
        return windows

    def too_wide(self, close_after: int) -> list[tuple[str, str]]:
        """Windows that outgrow the activity mask: the key and the window."""
        return [
            (key, f"[{first}, {last}]")
            for key in ("bracket", "unbounded")
            for first, last in getattr(self, key)
            if close_after + last - first + HOP_DAYS > MASK_DAYS
        ]


class TrackingPlan(Frozen):
    """What the app is known to send: its events with what they mean, and the group that each screen's time is of."""

    events: dict[str, Text]
    screens: dict[str, Literal[SCREEN_GROUPS]]  # pyright: ignore[reportInvalidTypeForm]


class Backfill(Frozen):
    """One entry of the reviewed ledger of backfills: which nights, why, and who asked."""

    from_date: date = Field(alias="from")
    to_date: date = Field(alias="to")
    reason: Text
    asked_by: Text

    @model_validator(mode="after")
    def _from_then_to(self) -> Self:
        if self.from_date > self.to_date:
            raise ValueError(f"from {self.from_date} is after to {self.to_date}")
        return self


class Packaged(Frozen):
    """Which of the shipped folders are used."""

    sources: bool = True
    segments: bool = True
    triggers: bool = True


class ConfSettings(Frozen):
    """How `CLM_CONF` is laid over what is shipped."""

    packaged: Packaged = Packaged()


class Settings(Frozen):
    """One lake, resolved: the shipped files, those of `CLM_CONF`, and the environment.

    `landing` is the folder deliveries arrive in; `ledger_url` is for SQLAlchemy and may hold a password: never
    log it. `token_keys` is the file with the keys of tokens. `sources` are in name order, which is the order in
    which they claim keys; `segments` and `triggers` are too, and a name that is used twice is there twice.
    """

    env: str
    lake: LakeSettings
    landing: str
    ledger_url: str = Field(repr=False)
    token_keys: str | None = None
    spark: SparkSettings
    quality: QualitySettings
    cohorts: CohortSettings
    tracking: TrackingPlan
    engines: EngineSettings
    levels: LevelSettings
    risk: RiskSettings
    caps: CapSettings
    backfills: tuple[Backfill, ...] = ()
    segments: tuple[Segment, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    sources: tuple[Source, ...] = ()

    @property
    def digest(self) -> str:
        """12 hex digits over everything that can change results; not over where things lie or who owns them."""
        resolved = self.model_dump(
            mode="json",
            include={
                "lake": {"zone", "currency", "region", "close_after"},
                "quality": True,
                "cohorts": True,
                "tracking": True,
                "sources": True,
                "engines": {"run"},
                "levels": {"lifecycle": {"__all__": {"name", "when"}}, "level": {"__all__": {"name", "enter", "stay"}}},
                "risk": {"bands": True, "risk": {"__all__": {"name", "points", "when"}}},
                "segments": {"__all__": {"name", "when", "effective_from", "enabled"}},
                "caps": True,
                "triggers": {"__all__": set(Trigger.model_fields) - {"owner", "about", "matches", "excludes"}},
            },
        )
        for source in resolved["sources"]:
            del source["owner"], source["about"]
            source["columns"] = list(source["columns"].items())  # their order is the file's, where it has no header
        return hashlib.sha256(json.dumps(resolved, sort_keys=True).encode()).hexdigest()[:12]

    def source(self, name: str) -> Source:
        """The source called `name`; raises ConfError with the nearest name."""
        for source in self.sources:
            if source.name == name:
                return source
        names = [source.name for source in self.sources]
        raise ConfError([Fault(message=f"there is no source {name!r}{hint(name, names)}")])

    @property
    def personal_sources(self) -> tuple[Source, ...]:
        """Those with columns that become tokens, for which keys are needed."""
        return tuple(source for source in self.sources if source.personal)

    def sources_of(self, feed: str) -> tuple[Source, ...]:
        return tuple(source for source in self.sources if source.feed == feed)
