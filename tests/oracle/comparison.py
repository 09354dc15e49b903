"""Row by row: what the lake has and the oracle has not, and the other way round."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from conf import Settings
from tests.oracle import parts
from tests.oracle.night import Night
from tests.oracle.tables import Tables, connect, table_of

TEXTS = "free text is searched for numbers and addresses by the lake only; the oracle keeps nothing of it"
# Columns that are not compared, with the reason.
APART: dict[str, dict[str, str]] = {
    "raw.app_events": {"properties": TEXTS},
    "core.app_events": {"properties": TEXTS},
    "mart.trigger_status": {"why": "a sentence for people; state says the same"},
}
# Columns that are compared as these expressions tell them.
COMPARED_AS: dict[str, dict[str, str]] = {
    # In which order reasons stand is not promised.
    "core.quarantine": {
        "row": """json_merge_patch("row", '{"properties": null}')""",
        "reasons": "list_sort(reasons)",
    },
}

# A log that has the nights of which a load keeps a snapshot.
OF_SNAPSHOTS = ("mart.upgrade_retention",)

Row = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """One night of a table: the rows that only one of the two has, and some of them, each with whose it is."""

    day: date
    only_ours: int
    only_oracle: int
    examples: list[tuple[str, Row]]


@dataclass
class Told:
    """One table over the nights that were compared."""

    table: str
    nights: int = 0
    rows: int = 0
    differing: list[Difference] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """Rows that only one of the two has."""
        return sum(each.only_ours + each.only_oracle for each in self.differing)


def nights(
    settings: Settings,
    first: date,
    last: date,
    first_night: date,
    judged_from: date | None,
    names: Sequence[str] = parts.PARTS,
    *,
    out: Path | None = None,
) -> list[Told]:
    """The oracle's nights first … last, each table compared with the lake's where the lake still keeps that night.

    With some of the parts only, all else is read from the lake. Of the last night the lake has to have every table.
    """
    found: dict[str, Told] = {}
    root = Path(settings.lake.root)
    with tempfile.TemporaryDirectory(prefix="clm-oracle-") as folder:
        database = connect()
        ours = Tables(database, settings, Path(folder) / "nothing", beneath=root)
        is_whole = set(names) >= set(parts.PARTS)
        oracle = Tables(database, settings, out or Path(folder), beneath=None if is_whole else root)
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            night = Night(day, first_night, judged_from, settings, oracle, Path(settings.landing), given=ours)
            for table in parts.run(night, names):
                told = found.setdefault(table, Told(table))
                if is_kept(ours, table, day) or day == last:
                    compare(ours, oracle, day, told)
    return list(found.values())


def is_kept(ours: Tables, table: str, day: date) -> bool:
    """Whether the lake should have the night of the table: of a log every one, those without rows too."""
    is_log = table_of(ours.settings, table).kind == "log" and table not in OF_SNAPSHOTS
    return is_log or day in ours.files(table)


def compare(ours: Tables, oracle: Tables, day: date, told: Told) -> None:
    """Adds one night of the table: its rows in both as multisets, over the business columns."""
    rows = ours.on(told.table, day), oracle.own(told.table, day)
    left, right = (f"(select {_columns(ours, told.table)} from {each})" for each in rows)
    count, only_ours, only_oracle = ours.database.execute(
        f"""
        with ours as materialized {left}, oracle as materialized {right}
        select (select count(*) from ours),
            (select count(*) from (select * from ours except all select * from oracle)),
            (select count(*) from (select * from oracle except all select * from ours))
        """
    ).fetchone() or (0, 0, 0)
    told.nights += 1
    told.rows += count
    if only_ours or only_oracle:
        told.differing.append(Difference(day, only_ours, only_oracle, _examples(ours, told.table, left, right)))


def _examples(tables: Tables, name: str, left: str, right: str, *, most: int = 20) -> list[tuple[str, Row]]:
    """Those of one key stand together."""
    names = _names(tables, name)
    key = [part for part in table_of(tables.settings, name).key if part in names] or names
    found = tables.database.execute(
        f"""
        select * from (
            select 'ours' as whose, * from (from {left} except all from {right})
            union all select 'oracle', * from (from {right} except all from {left})
        ) order by {", ".join(f'"{part}"' for part in key)}, whose limit {most}
        """
    )
    return [(whose, dict(zip(names, row, strict=True))) for whose, *row in found.fetchall()]


def _columns(tables: Tables, name: str) -> str:
    told = COMPARED_AS.get(name, {})
    return ", ".join(
        f'{told[column]} as "{column}"' if column in told else f'"{column}"' for column in _names(tables, name)
    )


def _names(tables: Tables, name: str) -> list[str]:
    columns = table_of(tables.settings, name).business_columns
    return [column.name for column in columns if column.name not in ("as_of_date", *APART.get(name, {}))]
