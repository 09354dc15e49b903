"""land: raw.<source>, what was delivered, with tokens for personal data and where each row came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date

from conf import Settings, Source
from tests.oracle import deliveries, tokens
from tests.oracle.deliveries import Delivery, Refused
from tests.oracle.expressions import quoted
from tests.oracle.mapping import Mapping
from tests.oracle.night import Night
from tests.oracle.reading import read


def writes(settings: Settings) -> list[str]:
    return [f"raw.{source.name}" for source in settings.sources]


def run(night: Night) -> None:
    """One row of raw.<source> is one row of a delivery that the night takes; of a dump, one of the night's date."""
    for source in night.settings.sources:
        name = f"raw.{source.name}"
        found = deliveries.of_night(night, source)
        if not any(delivery.files for delivery in found):
            rows = night.tables.on(name, date.min)
        elif source.is_dump:
            rows = _part(night, source, found)
        else:
            rows = _landed(night, source, found)
        night.tables.write(name, night.day, f"select * from {rows}")
    night.sql.execute("drop table if exists delivered")


def _landed(night: Night, source: Source, found: Sequence[Delivery]) -> str:
    """The rows of these deliveries as raw keeps them."""
    files = {name: delivery for delivery in found for name in delivery.files}
    read(night.sql, source, [night.landing / name for name in files], into="delivered")
    _count(night, found)
    tokens.prepare(night.sql, night.settings, source, "delivered")
    personal = ", ".join(f'{tokens.of_column(name, kind)} as "{name}"' for name, kind in source.personal.items())
    row = ", ".join(f'"{name}"' for name in source.columns)
    occurrence = "null" if source.has_key else f"row_number() over (partition by delivery_id, {row})"
    whose = ", ".join(
        f"({quoted(str(night.landing / name))}, {quoted(name)}, {quoted(delivery.delivery_id)}, "
        f"{quoted(delivery.delivered) if delivery.delivered else 'null'}::date)"
        for name, delivery in files.items()
    )
    return f"""
        (
            select * exclude (path) {f"replace ({personal})" if personal else ""}, row_number() over () as row_id,
                {occurrence} as occurrence, null as known_from_date, null as undeclared
            from delivered join (values {whose}) as files (path, file, delivery_id, delivered_date) using (path)
        )
    """


def _count(night: Night, found: Sequence[Delivery]) -> None:
    """That the files have as many rows as their manifests say."""
    counted = Counter(dict(night.sql.execute("select path, count(*) from delivered group by all").fetchall()))
    for delivery in found:
        for name, rows in delivery.files.items():
            if rows is not None and counted[str(night.landing / name)] != rows:
                raise Refused(f"{name} has not the {rows} rows that its manifest tells of")


def _part(night: Night, source: Source, found: Sequence[Delivery]) -> str:
    """The rows of a dump that belong to the night: those of its date, and on the first night those without one.

    The dump is read once in a run. Rows are made into records before they are dated; a key counts as known from the
    first date on which the dump has it.
    """
    dump = f"dump_{source.name}"
    if not night.sql.execute("select 1 from duckdb_tables() where table_name = $1", [dump]).fetchall():
        night.sql.execute(f"create temp table landed as select * from {_landed(night, source, found)}")
        records = Mapping(source, night.settings).records("(select *, null::date as as_of_date from landed)")
        key = ", ".join(source.feed_spec.key)
        night.sql.execute(
            f"""
            create temp table {dump} as
            with dated as (
                select unnest(coalesce(row_ids, [row_id])) as row_id, event_date as part,
                    reasons is not null as is_refused,
                    min(event_date) over (partition by {key}) as known_from
                from ({records})
            )
            select landed.* replace (known_from as known_from_date), part, is_refused
            from landed join dated using (row_id)
            """
        )
        night.sql.execute("drop table landed")
        (share,) = night.sql.execute(f"select avg(is_refused::integer) from {dump}").fetchall()[0]
        if share > source.limits.max_quarantined:
            raise Refused(f"{source.name}: {share:.0%} of the dump would be quarantined")
    without_date = " or part is null" if night.day == night.first else ""
    return f"(select * exclude (part, is_refused) from {dump} where part = date '{night.day}'{without_date})"
