"""Tables that are computed when they are read, and stand in no catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame

from jobs import latest, retention
from schemas.core import POSTED, TRANSACTIONS_LATEST
from schemas.mart import RETENTION, RETENTION_COHORTS
from schemas.table import Table


@dataclass(frozen=True)
class View:
    """`table` as made by `build` of all that its log `source` knew on a day."""

    table: Table
    source: str
    build: Callable[[DataFrame, date], DataFrame]


VIEWS = {
    view.table.name: view
    for view in (
        View(TRANSACTIONS_LATEST, POSTED["transactions"].name, latest.transform),
        View(RETENTION, RETENTION_COHORTS.name, retention.transform),
    )
}
