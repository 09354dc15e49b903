"""One night of the oracle: what its parts are given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TypeVar

import duckdb

from conf import Segment, Settings, Trigger
from tests.oracle.tables import Tables

Rule = TypeVar("Rule", Segment, Trigger)


@dataclass(frozen=True)
class Night:
    """The night of `day`. `first` is the lake's first night, `judged_from` the first with levels and selections."""

    day: date
    first: date
    judged_from: date | None
    settings: Settings
    tables: Tables
    landing: Path
    given: Tables  # the lake, for what is no figure: versions of rules, what engines have learnt, receipts
    is_exact: bool = True  # row hashes as Spark makes them; else DuckDB's own, which are as good and quicker

    @property
    def sql(self) -> duckdb.DuckDBPyConnection:
        return self.tables.database

    @property
    def is_judged(self) -> bool:
        return self.judged_from is not None and self.judged_from <= self.day

    def in_force(self, rules: Iterable[Rule]) -> list[Rule]:
        """Of segments or triggers those that count tonight."""
        return [each for each in rules if each.enabled and (each.effective_from or self.day) <= self.day]

    @property
    def before(self) -> date:
        return self.day - timedelta(days=1)
