"""Publications, their lineage and generations as rows of the ledger's database. Used within `jobs.ledger` only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

import sqlalchemy as sa

from jobs.errors import Failed
from jobs.ledger_db import GENERATIONS, LINEAGE, PUBLICATIONS
from jobs.ledger_records import Publication, Upstream


def newest_drawn(connection: sa.Connection, table: str, days: Sequence[date]) -> dict[date, int]:
    query = sa.select(GENERATIONS.c.day, sa.func.max(GENERATIONS.c.generation)).group_by(GENERATIONS.c.day)
    query = query.where(GENERATIONS.c.table_name == table, GENERATIONS.c.day.in_(days)).order_by(GENERATIONS.c.day)
    return dict(connection.execute(query).all())


def generation_row(table: str, day: date, generation: int, run_id: str, now: datetime) -> dict[str, object]:
    return {"table_name": table, "day": day, "generation": generation, "run_id": run_id, "drawn_at": now}


def unrecorded(connection: sa.Connection, told: Sequence[Publication]) -> list[Publication]:
    """Those that are not noted yet; raises Failed where one is noted with another version, rows or digest."""
    noted = PUBLICATIONS.c
    query = sa.select(noted.table_name, noted.day, noted.generation, noted.version, noted.rows, noted.digest).where(
        noted.table_name.in_({each.table for each in told}), noted.day.in_({each.day for each in told})
    )
    known = {(row.table_name, row.day, row.generation): row for row in connection.execute(query)}
    for each in told:
        row = known.get((each.table, each.day, each.generation))
        if row and (row.version, row.rows, row.digest) != (each.version, each.rows, each.digest):
            raise Failed(
                f"generation {each.generation} of {each.table} {each.day} is noted as version {row.version} with "
                f"{row.rows} rows, not as version {each.version} with {each.rows}: run `clm doctor`"
            )
    return [each for each in told if (each.table, each.day, each.generation) not in known]


def record(connection: sa.Connection, told: Sequence[Publication], now: datetime) -> None:
    """Enter all at once: a first load tells of a hundred nights, and each statement costs as much as all of them."""
    same = ("generation", "version", "rows", "digest", "conf_digest", "run_id", "figures", "commit_sha256", "is_kept")
    rows = [
        {"table_name": each.table, "day": each.day, "published_at": now} | {name: getattr(each, name) for name in same}
        for each in told
    ]
    lineage = [
        {"table_name": each.table, "day": each.day, "generation": each.generation}
        | {"upstream_table": up.table, "upstream_day": up.day, "upstream_digest": up.digest}
        for each in told
        for up in each.upstreams
    ]
    for table, entered in ((PUBLICATIONS, rows), (LINEAGE, lineage), (GENERATIONS, _undrawn(connection, told, now))):
        if entered:
            connection.execute(sa.insert(table), entered)


def _undrawn(connection: sa.Connection, told: Sequence[Publication], now: datetime) -> list[dict[str, object]]:
    """The newest generation of each day that was never drawn: a ledger rebuilt from the commits draws above them."""
    newest = {(each.table, each.day): each for each in sorted(told, key=lambda each: each.generation)}
    drawn = {
        table: newest_drawn(connection, table, [day for of, day in newest if of == table])
        for table in {each.table for each in told}
    }
    return [
        generation_row(table, day, each.generation, each.run_id, now)
        for (table, day), each in newest.items()
        if drawn[table].get(day, 0) < each.generation
    ]


def published(connection: sa.Connection, table: str, first: date, last: date) -> dict[date, Publication]:
    published = PUBLICATIONS.c
    newest = (
        sa.select(published.day, sa.func.max(published.generation).label("generation"))
        .where(published.table_name == table, published.day.between(first, last))
        .group_by(published.day)
        .subquery()
    )

    def newest_of(kept: sa.Table) -> sa.Select[*tuple[object, ...]]:
        is_newest = sa.and_(kept.c.day == newest.c.day, kept.c.generation == newest.c.generation)
        return sa.select(kept).join(newest, is_newest).where(kept.c.table_name == table)

    upstreams: dict[date, list[Upstream]] = defaultdict(list)
    for row in connection.execute(newest_of(LINEAGE).order_by(LINEAGE.c.upstream_table, LINEAGE.c.upstream_day)):
        upstreams[row.day].append(Upstream(table=row.upstream_table, day=row.upstream_day, digest=row.upstream_digest))
    return {
        row["day"]: Publication(
            table=table,
            upstreams=tuple(upstreams[row["day"]]),
            **{name: value for name, value in row.items() if name != "table_name"},
        )
        for row in connection.execute(newest_of(PUBLICATIONS).order_by(published.day)).mappings()
    }
