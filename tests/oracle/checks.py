"""What must be true of every table that the oracle writes: keys, required columns, accepted values, all counted."""

from __future__ import annotations

from datetime import date

from schemas.table import Column, Table
from tests.oracle.tables import Tables, table_of


def faults(tables: Tables, name: str, day: date) -> list[str]:
    """What is wrong with a night's rows of a table, one phrase each; one pass over its file, one over its key."""
    table = table_of(tables.settings, name)
    counted = {
        f"{column.name}: {what}": f"count(*) filter ({is_wrong})"
        for column in table.columns
        for what, is_wrong in _rules(column).items()
    }
    if name == "ops.deliveries":
        parts = "accepted + quarantined + duplicate + waiting + erased"
        counted["not every row is accounted for"] = f"count(*) filter (delivered <> {parts})"
        counted["delivered rows that raw has not, or accepted ones that core has not"] = _astray(tables, day)
    if table.layer != "raw":
        counted["a key is there twice"] = f"count(*) - {_keys(tables, table, day)}"
    columns = ", ".join(counted.values())
    figures = tables.database.execute(f"select {columns} from {tables.on(name, day)}").fetchone() if columns else ()
    return [f"{name} {day}: {what} ({count})" for what, count in zip(counted, figures or (), strict=True) if count]


def _keys(tables: Tables, table: Table, day: date) -> str:
    key = ", ".join(f'"{part}"' for part in table.key)
    return f"(select count(*) from (select distinct {key} from {tables.on(table.name, day)}))"


def _astray(tables: Tables, day: date) -> str:
    """How many deliveries have other counts than the night's rows of raw and core, as SQL."""
    sources = tables.settings.sources
    landed = " union all ".join(
        f"select delivery_id, count(*) as delivered, 0 as accepted from {tables.on(name, day)} group by all"
        for name in (f"raw.{source.name}" for source in sources)
    )
    posted = " union all ".join(
        f"select delivery_id, 0, sum(source_rows) from {tables.on(f'core.{feed}', day)} group by all"
        for feed in sorted({source.feed for source in sources})
    )
    return f"""(
        select count(*) from (
            select delivery_id from (
                {landed} union all {posted}
                union all select delivery_id, -delivered, -accepted from {tables.on("ops.deliveries", day)}
            ) group by delivery_id having sum(delivered) <> 0 or sum(accepted) <> 0
        )
    )"""


def _rules(column: Column) -> dict[str, str]:
    """What may not be, as SQL."""
    name = f'"{column.name}"'
    rules: dict[str, str] = {}
    if not column.nullable:
        rules["missing"] = f"{name} is null"
    if column.accepted:
        rules["not accepted"] = f"{name} not in ({', '.join(repr(value) for value in column.accepted)})"
    if column.minimum is not None:
        rules["too small"] = f"{name} < {column.minimum}"
    if column.maximum is not None:
        rules["too large"] = f"{name} > {column.maximum}"
    return rules
