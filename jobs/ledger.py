"""The ledger: what the lake has published, from what, in which run, and which night took which delivery.

It is the lake's memory between two runs; nothing personal stands in it. Every method is one transaction, and
writers wait for each other, so what a method does is done wholly or not at all.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import UTC, date, datetime
from itertools import groupby

import sqlalchemy as sa

from conf import Settings
from jobs import ledger_publications
from jobs.errors import DataRefused
from jobs.lease import BEAT_SECONDS, Holder, Lease, current_holder
from jobs.ledger_db import DELIVERIES, GENERATIONS, META, PUBLICATIONS, REPAIRS, RUNS, STOPS, connect, reading
from jobs.ledger_records import Delivery, Publication, Run, Upstream

__all__ = ["Delivery", "Holder", "Lease", "Ledger", "Publication", "Run", "Upstream", "utc_now"]

FIRST_NIGHT = "first_night"
# What only takes days out of a table is no publication, and still its newest version.
NEWEST = "newest_version of "


def utc_now() -> datetime:
    """The only clock in jobs/: it stamps the ledger and never decides what a table holds."""
    return datetime.now(UTC)


class Ledger:
    """The ledger of one lake, safe to use from several processes at once."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._writes = engine
        self._reads = reading(engine)
        self._clock = clock

    @classmethod
    def open(cls, url: str, *, clock: Callable[[], datetime] = utc_now) -> Ledger:
        """The ledger at a SQLAlchemy URL, made if it is not there; Usage or Failed when that cannot be."""
        return cls(connect(url), clock)

    # Facts about the lake

    def pin_lake(self, settings: Settings) -> None:
        """Pins what dates, amounts and closed windows of the lake go by; with its first tokens, their region."""
        keys = ["zone", "currency", "close_after", *(["region"] if settings.personal_sources else [])]
        for key in keys:
            self.pin(key, str(getattr(settings.lake, key)))

    def pin(self, key: str, value: str) -> None:
        """Stores a fact that may not change on a lake with data (its zone, say); DataRefused when it did."""
        with self._writes.begin() as connection:
            pinned = _meta(connection, key)
            if pinned is None:
                connection.execute(sa.insert(META).values(key=key, value=value))
            elif pinned != value:
                raise DataRefused(
                    f"this lake was begun with {key} = {pinned!r} and is now given {key} = {value!r}: "
                    f"set it back to {pinned!r}, or begin another lake by naming a new folder in CLM_LAKE"
                )

    def first_night(self) -> date | None:
        """The earliest day ever published of a raw or core table."""
        with self._reads.begin() as connection:
            noted = _meta(connection, FIRST_NIGHT)
        return None if noted is None else date.fromisoformat(noted)

    # Runs

    def start_run(self, command: str, first_day: date, last_day: date, stage: str | None = None) -> Run:
        """Notes that a command begins; its run_id sorts by time."""
        now = self._clock()
        run_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        run = Run(run_id=run_id, command=command, first_day=first_day, last_day=last_day, stage=stage, started_at=now)
        with self._writes.begin() as connection:
            connection.execute(sa.insert(RUNS).values(asdict(run)))
        return run

    def end_run(self, run_id: str, outcome: str, why: str | None = None) -> None:
        """Notes how a run ended, and why in one sentence."""
        ended = {"ended_at": self._clock(), "outcome": outcome, "why": why}
        with self._writes.begin() as connection:
            connection.execute(sa.update(RUNS).where(RUNS.c.run_id == run_id).values(ended))

    def runs(self, day: date) -> list[Run]:
        """The runs whose days include `day`, newest first; one without an outcome is at work or was killed."""
        query = sa.select(RUNS).where(RUNS.c.first_day <= day, RUNS.c.last_day >= day)
        with self._reads.begin() as connection:
            rows = connection.execute(query.order_by(RUNS.c.started_at.desc(), RUNS.c.run_id.desc())).mappings()
            return [Run(**row) for row in rows]

    def lease(self, run: Run, keep: bool = False, *, beat_seconds: float = BEAT_SECONDS) -> Lease:
        """The hold on the lake that `run` needs to step it; `keep` reserves the lake for the dates' next stage."""
        return Lease(self._writes, run, keep=keep, clock=self._clock, beat_seconds=beat_seconds)

    def holder(self) -> Holder | None:
        """Who holds the lake; None when it is free or its holder is gone."""
        holder = current_holder(self._reads)
        return None if holder is None or holder.is_gone(self._clock()) else holder

    # Generations and publications

    def draw(self, run_id: str, table: str, days: Sequence[date]) -> dict[date, int]:
        """A new generation for each day of the table, above all drawn before."""
        with self._writes.begin() as connection:
            newest = ledger_publications.newest_drawn(connection, table, days)
            drawn = {day: newest.get(day, 0) + 1 for day in sorted(set(days))}
            # Where writers do not wait for each other, the key still keeps two from drawing the same.
            rows = [
                ledger_publications.generation_row(table, day, generation, run_id, self._clock())
                for day, generation in drawn.items()
            ]
            if rows:
                connection.execute(sa.insert(GENERATIONS), rows)
        return drawn

    def newest_drawn(self, table: str, days: Sequence[date]) -> dict[date, int]:
        """The newest generation drawn for each day that has one; who holds an older one may not publish."""
        with self._reads.begin() as connection:
            return ledger_publications.newest_drawn(connection, table, days)

    def record(
        self,
        publications: Sequence[Publication],
        dropped: Mapping[str, Sequence[date]] | None = None,
        *,
        newest: tuple[str, int, str] | None = None,
    ) -> None:
        """Notes what was published, with its lineage; what is noted already stays as it is.

        `dropped`: table → days that left the lake with that commit; `newest`: of a commit that published nothing, its
        table, version and the sha256 of its log entry. Raises Failed when a generation is
        noted with another version, rows or digest.
        """
        with self._writes.begin() as connection:
            for table, days in (dropped or {}).items():
                of_days = PUBLICATIONS.c.table_name == table, PUBLICATIONS.c.day.in_(days)
                connection.execute(sa.update(PUBLICATIONS).where(*of_days).values(is_kept=False))
            if newest is not None:
                table, version, sha256 = newest
                connection.execute(sa.delete(META).where(META.c.key == f"{NEWEST}{table}"))
                connection.execute(sa.insert(META).values(key=f"{NEWEST}{table}", value=f"{version} {sha256}"))
            new = ledger_publications.unrecorded(connection, publications)
            ledger_publications.record(connection, new, self._clock())
            nights = [each.day for each in publications if each.table.startswith(("raw.", "core."))]
            if nights:
                _note_first_night(connection, min(nights))

    def published(self, table: str, first: date, last: date, *, with_dropped: bool = False) -> dict[date, Publication]:
        """The newest publication of each day from `first` to `last` that the lake holds, in day order.

        `with_dropped`: also of days whose snapshots are no longer kept.
        """
        with self._reads.begin() as connection:
            found = ledger_publications.published(connection, table, first, last)
        return {day: each for day, each in found.items() if each.is_kept or with_dropped}

    def kept_days(self, table: str, first: date = date.min, last: date = date.max) -> list[date]:
        """The days from `first` to `last` of which the lake holds the table, in order."""
        day = PUBLICATIONS.c.day
        query = sa.select(day).distinct().where(PUBLICATIONS.c.table_name == table, PUBLICATIONS.c.is_kept)
        with self._reads.begin() as connection:
            return list(connection.scalars(query.where(day.between(first, last)).order_by(day)))

    def nearest_kept(self, table: str, day: date) -> date | None:
        """The day closest to `day` of which the lake holds the table; None where it holds none."""
        return min(self.kept_days(table), key=lambda kept: abs(kept - day), default=None)

    def published_tables(self) -> list[str]:
        """The tables that have a published day, by name."""
        query = sa.select(PUBLICATIONS.c.table_name).distinct().order_by(PUBLICATIONS.c.table_name)
        with self._reads.begin() as connection:
            return list(connection.scalars(query))

    def days(self, table: str) -> tuple[date, date] | None:
        """The first and the last published day; None when there is none."""
        day = PUBLICATIONS.c.day
        query = sa.select(sa.func.min(day), sa.func.max(day)).where(PUBLICATIONS.c.table_name == table)
        with self._reads.begin() as connection:
            first, last = connection.execute(query).one()
        return None if first is None else (first, last)

    def last_published(self, table: str) -> Publication | None:
        """The newest publication of the last published day."""
        days = self.days(table)
        return self.published(table, days[1], days[1])[days[1]] if days else None

    def newest_version(self, table: str) -> tuple[int, str] | None:
        """The greatest Delta version noted and the sha256 of its log entry: a table below it went backwards."""
        query = sa.select(PUBLICATIONS.c.version, PUBLICATIONS.c.commit_sha256)
        query = query.where(PUBLICATIONS.c.table_name == table).order_by(PUBLICATIONS.c.version.desc()).limit(1)
        with self._reads.begin() as connection:
            row = connection.execute(query).one_or_none()
            noted = _meta(connection, f"{NEWEST}{table}")
        found = [(row.version, row.commit_sha256)] if row else []
        if noted is not None:
            version, sha256 = noted.split()
            found.append((int(version), sha256))
        return max(found, default=None)

    def lineage(self, table: str, day: date) -> list[Upstream]:
        """What the newest publication of the day was computed from; empty when it is not published."""
        publication = self.published(table, day, day).get(day)
        return list(publication.upstreams) if publication else []

    # Deliveries

    def taken(self, source: str) -> dict[str, tuple[Delivery, ...]]:
        """The source's deliveries that a night has taken, by id: one each, of a dump one for each of its nights."""
        deliveries = self._deliveries(DELIVERIES.c.source == source)
        return {key: tuple(parts) for key, parts in groupby(deliveries, key=lambda delivery: delivery.delivery_id)}

    def folders_taken(self, source: str) -> set[str]:
        """The folders of the source's deliveries that a night has taken."""
        with self._reads.begin() as connection:
            return set(connection.scalars(sa.select(DELIVERIES.c.folder).where(DELIVERIES.c.source == source)))

    def owners(self) -> dict[str, str]:
        """The ids of all sources' deliveries that a night has taken, with their folders."""
        with self._reads.begin() as connection:
            return dict(connection.execute(sa.select(DELIVERIES.c.delivery_id, DELIVERIES.c.folder)).all())

    def deliveries_of(self, source: str, first: date, last: date | None = None) -> list[Delivery]:
        """What belongs to the night, or to those from first to last, by id; with those that another replaces."""
        return self._deliveries(DELIVERIES.c.source == source, DELIVERIES.c.night.between(first, last or first))

    def replacements_due(self) -> list[Delivery]:
        """Deliveries that will stand in for another once its night is backfilled."""
        replaced, fixed = DELIVERIES.alias(), DELIVERIES.alias()
        is_in_force = sa.exists().where(
            replaced.c.source == DELIVERIES.c.source,
            replaced.c.delivery_id == DELIVERIES.c.replaces,
            sa.not_(replaced.c.is_replaced),
        )
        is_published = sa.exists().where(
            fixed.c.source == DELIVERIES.c.source, fixed.c.night == DELIVERIES.c.night, fixed.c.is_fixed
        )
        return self._deliveries(is_in_force, is_published, sa.not_(DELIVERIES.c.is_replaced))

    def note_replaced(self, source: str, replaced: Collection[str]) -> None:
        """Notes that others stand in for these deliveries."""
        ids = DELIVERIES.c.source == source, DELIVERIES.c.delivery_id.in_(sorted(replaced))
        with self._writes.begin() as connection:
            connection.execute(sa.update(DELIVERIES).where(*ids).values(is_replaced=True))

    def take(self, deliveries: Sequence[Delivery]) -> None:
        """Notes which night takes each delivery, anew where it is not fixed; a fixed one stays as it is.

        Raises DataRefused when a delivery of a date belongs to another night: it does so for ever.
        """
        with self._writes.begin() as connection:
            for delivery in deliveries:
                if not _is_fixed(connection, delivery):
                    _take(connection, delivery, self._clock())

    def release(self, source: str, nights: Sequence[date]) -> None:
        """Forgets what these nights took and is not fixed, so that they can look again."""
        with self._writes.begin() as connection:
            connection.execute(sa.delete(DELIVERIES).where(*_is_open(source, nights)))

    def fix(self, source: str, nights: Sequence[date]) -> None:
        """Fixes what these nights took: their conform is published."""
        with self._writes.begin() as connection:
            connection.execute(sa.update(DELIVERIES).where(*_is_open(source, nights)).values(is_fixed=True))

    # Rows that wait

    def note_repair(self, night: date) -> None:
        """Notes that the night takes what waits, as Sundays do."""
        with self._writes.begin() as connection:
            if night not in connection.scalars(sa.select(REPAIRS.c.night)).all():
                connection.execute(sa.insert(REPAIRS).values(night=night))

    def repairs(self) -> list[date]:
        """The nights that take what waits though they are no Sundays, in order."""
        with self._reads.begin() as connection:
            return list(connection.scalars(sa.select(REPAIRS.c.night).order_by(REPAIRS.c.night)))

    # Lists that are stopped

    def stop(self, trigger: str, reason: str) -> None:
        """Notes that nothing of the trigger is delivered, or where it is empty of any; the newest reason stays."""
        row = {"trigger_name": trigger, "reason": reason, "since": self._clock()}
        with self._writes.begin() as connection:
            connection.execute(sa.delete(STOPS).where(STOPS.c.trigger_name == trigger))
            connection.execute(sa.insert(STOPS).values(row))

    def resume(self, trigger: str | None) -> list[str]:
        """Takes back the stop of the trigger, or with None every stop; returns those there were."""
        which = sa.true() if trigger is None else STOPS.c.trigger_name == trigger
        with self._writes.begin() as connection:
            stopped = list(connection.scalars(sa.select(STOPS.c.trigger_name).where(which)))
            connection.execute(sa.delete(STOPS).where(which))
        return sorted(stopped)

    def stops(self) -> dict[str, str]:
        """Trigger → why nothing of it is delivered; empty name: nothing at all."""
        with self._reads.begin() as connection:
            return dict(connection.execute(sa.select(STOPS.c.trigger_name, STOPS.c.reason)).all())

    def _deliveries(self, *conditions: sa.ColumnElement[bool]) -> list[Delivery]:
        columns = [DELIVERIES.c[field.name] for field in fields(Delivery)]
        query = sa.select(*columns).where(*conditions).order_by(DELIVERIES.c.delivery_id, DELIVERIES.c.night)
        with self._reads.begin() as connection:
            return [Delivery(**row) for row in connection.execute(query).mappings()]


def _meta(connection: sa.Connection, key: str) -> str | None:
    return connection.scalar(sa.select(META.c.value).where(META.c.key == key))


def _note_first_night(connection: sa.Connection, night: date) -> None:
    noted = _meta(connection, FIRST_NIGHT)
    if noted is None or night < date.fromisoformat(noted):
        connection.execute(sa.delete(META).where(META.c.key == FIRST_NIGHT))
        connection.execute(sa.insert(META).values(key=FIRST_NIGHT, value=night.isoformat()))


def _is_fixed(connection: sa.Connection, new: Delivery) -> bool:
    query = sa.select(DELIVERIES.c.night, DELIVERIES.c.is_fixed)
    query = query.where(DELIVERIES.c.source == new.source, DELIVERIES.c.delivery_id == new.delivery_id)
    known = dict(connection.execute(query).all())
    others = known.keys() - {new.night}
    if new.date is not None and others:
        raise DataRefused(
            f"delivery {new.delivery_id} of {new.source} belongs to the night of {min(others)}, so the night of "
            f"{new.night} cannot take it: repeat that night instead, or deliver it under a new delivery_id"
        )
    return known.get(new.night, False)


def _take(connection: sa.Connection, new: Delivery, now: datetime) -> None:
    is_same = (
        DELIVERIES.c.source == new.source,
        DELIVERIES.c.delivery_id == new.delivery_id,
        DELIVERIES.c.night == new.night,
    )
    connection.execute(sa.delete(DELIVERIES).where(*is_same))
    connection.execute(sa.insert(DELIVERIES).values(asdict(new) | {"landed_at": now}))


def _is_open(source: str, nights: Sequence[date]) -> tuple[sa.ColumnElement[bool], ...]:
    """Of these nights and not fixed yet."""
    return DELIVERIES.c.source == source, DELIVERIES.c.night.in_(nights), DELIVERIES.c.is_fixed.is_(False)
