"""The catalogue: every table of the lake, declared once."""

from __future__ import annotations

from schemas import core, judgement, mart, ops, restricted, upgrade
from schemas.table import Table

CATALOGUE: dict[str, Table] = {
    table.name: table
    for table in (
        *core.TABLES,
        *mart.TABLES,
        *upgrade.TABLES,
        *judgement.TABLES,
        *ops.TABLES,
        *restricted.TABLES,
    )
}

__all__ = ["CATALOGUE"]
