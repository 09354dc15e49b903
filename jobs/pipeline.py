"""The night on one screen: which job reads which tables and writes which, in order.

The runner, `clm plan`, `clm status` and (to come) the DAG are computed from this list; it needs no Spark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from conf import Settings
from schemas import CATALOGUE
from schemas.core import CUSTOMER_DAILY, CUSTOMERS_STATE
from schemas.feeds import FEEDS
from schemas.mart import CUSTOMER_PROFILE, RETENTION_COHORTS
from schemas.table import Table

STAGES = ("land", "conform", "know")

Mode = Literal["range", "hop", "step"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of a night. `mode` says how many nights become one: a whole range at once, hops, or night by night."""

    name: str
    stage: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    mode: Mode = "range"


def night(settings: Settings) -> tuple[Job, ...]:
    """The jobs of one night, in order."""
    raw = {source.name: f"raw.{source.name}" for source in settings.sources}
    feeds = [feed for feed in FEEDS if settings.sources_of(feed)]
    core = tuple(f"core.{feed}" for feed in feeds)
    states = [feed for feed in feeds if FEEDS[feed].kind == "states"]
    return (
        *(Job(name=f"land {name}", stage="land", reads=(), writes=(table,)) for name, table in raw.items()),
        *(
            Job(
                name=f"conform {feed}",
                stage="conform",
                reads=tuple(raw[source.name] for source in settings.sources_of(feed)),
                writes=(f"core.{feed}",),
            )
            for feed in feeds
        ),
        Job(name="set aside", stage="conform", reads=(*raw.values(), *core), writes=("core.quarantine",)),
        *(
            Job(
                name=f"fold {feed}",
                stage="conform",
                reads=(f"core.{feed}",),
                writes=(f"core.{feed}_state",),
                mode="hop",
            )
            for feed in states
        ),
        Job(name="account", stage="conform", reads=(*raw.values(), *core), writes=("ops.deliveries",)),
        Job(name="customer daily", stage="know", reads=core, writes=(CUSTOMER_DAILY.name,)),
        Job(
            name="customer profile",
            stage="know",
            reads=(CUSTOMER_DAILY.name,),
            writes=(CUSTOMER_PROFILE.name,),
            mode="hop",
        ),
        Job(name="retention", stage="know", reads=(CUSTOMER_PROFILE.name,), writes=(RETENTION_COHORTS.name,)),
        Job(name="quality", stage="know", reads=(), writes=("ops.quality",)),
    )


def table_of(settings: Settings, name: str) -> Table:
    """The declaration of a table of this lake; KeyError where there is none."""
    if name in CATALOGUE:
        return CATALOGUE[name]
    for source in settings.sources:
        if name == f"raw.{source.name}":
            return source.raw_table()
    raise KeyError(name)


def snapshot_of(feed: str) -> Table:
    """The table that keeps the newest version of each thing of a states feed."""
    return {CUSTOMERS_STATE.name: CUSTOMERS_STATE}[f"core.{feed}_state"]
