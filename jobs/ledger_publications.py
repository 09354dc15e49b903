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


def is_recorded(connection: sa.Connection, new: Publication) -> bool:
    query = sa.select(PUBLICATIONS.c.version, PUBLICATIONS.c.rows, PUBLICATIONS.c.digest).where(
        PUBLICATIONS.c.table_name == new.table,
        PUBLICATIONS.c.day == new.day,
        PUBLICATIONS.c.generation == new.generation,
    )
    known = connection.execute(query).one_or_none()
    if known and tuple(known) != (new.version, new.rows, new.digest):
        raise Failed(
            f"generation {new.generation} of {new.table} {new.day} is noted as version {known.version} with "
            f"{known.rows} rows, not as version {new.version} with {new.rows}: run `clm doctor`"
        )
    return known is not None


def record(connection: sa.Connection, new: Publication, now: datetime) -> None:
    key = {"table_name": new.table, "day": new.day, "generation": new.generation}
    same = ("generation", "version", "rows", "digest", "conf_digest", "run_id", "figures", "commit_sha256", "is_kept")
    row = key | {name: getattr(new, name) for name in same} | {"published_at": now}
    connection.execute(sa.insert(PUBLICATIONS).values(row))
    lineage = [
        key | {"upstream_table": each.table, "upstream_day": each.day, "upstream_digest": each.digest}
        for each in new.upstreams
    ]
    if lineage:
        connection.execute(sa.insert(LINEAGE), lineage)
    # A ledger that is rebuilt from the commits never drew their generations.
    if newest_drawn(connection, new.table, [new.day]).get(new.day, 0) < new.generation:
        drawn = generation_row(new.table, new.day, new.generation, new.run_id, now)
        connection.execute(sa.insert(GENERATIONS).values(drawn))


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
