"""The catalogue: every table of the lake, declared once."""

from __future__ import annotations

from schemas import acting, core, judgement, mart, ops, outcomes, restricted, upgrade
from schemas.table import Table

CATALOGUE: dict[str, Table] = {
    table.name: table
    for table in (
        *core.TABLES,
        *mart.TABLES,
        *upgrade.TABLES,
        *judgement.TABLES,
        *acting.TABLES,
        *outcomes.TABLES,
        *ops.TABLES,
        *restricted.TABLES,
    )
}

__all__ = ["CATALOGUE"]
