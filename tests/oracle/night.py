"""One night of the oracle: what its parts are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb

from conf import Settings
from tests.oracle.tables import Tables


@dataclass(frozen=True)
class Night:
    """The night of `day`. `first` is the lake's first night."""

    day: date
    first: date
    settings: Settings
    tables: Tables
    landing: Path
    given: Tables  # the lake, for what is no figure: versions of rules, what engines have learnt, receipts
    is_exact: bool = True  # row hashes as Spark makes them; else DuckDB's own, which are as good and quicker

    @property
    def sql(self) -> duckdb.DuckDBPyConnection:
        return self.tables.database

    @property
    def before(self) -> date:
        return self.day - timedelta(days=1)
