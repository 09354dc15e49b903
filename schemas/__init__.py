"""The catalogue: every table of the lake, declared once."""

from __future__ import annotations

from schemas import core, mart, ops, restricted
from schemas.table import Table

CATALOGUE: dict[str, Table] = {
    table.name: table for table in (*core.TABLES, *mart.TABLES, *ops.TABLES, *restricted.TABLES)
}

__all__ = ["CATALOGUE"]
