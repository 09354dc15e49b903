"""conform: core.<feed>, every feed in one shape; core.quarantine, what was refused; ops.deliveries, the accounts."""

from __future__ import annotations

from datetime import date, timedelta

from conf import Settings, Source
from schemas.core import FOLDED
from schemas.feed import Feed
from schemas.feeds import FEEDS
from tests.oracle import deliveries, hashing
from tests.oracle.deliveries import Refused
from tests.oracle.expressions import quoted
from tests.oracle.judging import CONTENDERS, judge
from tests.oracle.mapping import Mapping
from tests.oracle.night import Night

SUNDAY = 6


def writes(settings: Settings) -> list[str]:
    return [*(f"core.{feed.name}" for feed in _delivered(settings)), "core.quarantine", "ops.deliveries"]


def run(night: Night) -> None:
    """A row of core.<feed> is a record that was posted; the others are refused, duplicates, or wait."""
    hashing.prepare(night.sql)
    refused: list[str] = []
    accounts: list[str] = []
    for feed in _delivered(night.settings):
        night.sql.execute(f"create or replace temp table records as {_records(night, feed)}")
        if feed.takes_states:
            night.sql.execute(f"insert into records by name {_implied(night)}")
        judge(night, feed)
        night.tables.write(f"core.{feed.name}", night.day, _posted(feed))
        for source in night.settings.sources_of(feed.name):
            night.sql.execute(f"create or replace temp table refused_{source.name} as {_refused(night, source)}")
            night.sql.execute(f"create or replace temp table account_{source.name} as {_account(night, source)}")
            _check(night, source)
            refused.append(f"from refused_{source.name}")
            accounts.append(f"from account_{source.name}")
    night.tables.write("core.quarantine", night.day, " union all by name ".join(refused))
    night.tables.write("ops.deliveries", night.day, " union all by name ".join(accounts))
    night.sql.execute("drop table records; drop table verdicts")


def _delivered(settings: Settings) -> list[Feed]:
    """The feeds that have a source."""
    return [feed for feed in FEEDS.values() if settings.sources_of(feed.name)]


def _records(night: Night, feed: Feed) -> str:
    """What was landed tonight, and what waited for tonight: records with an `id` and the `rank` of their source.

    `since` is the first night in which the record's key may be known, null where nothing is looked up.
    """
    hashed = f", {hashing.row_hash(feed.columns, is_exact=night.is_exact)} as row_hash" if feed.name in FOLDED else ""
    sources = night.settings.sources_of(feed.name)
    told = " union all by name ".join(_of_source(night, source, rank) for rank, source in enumerate(sources))
    return f"select *, row_number() over () as id, false as is_implied {hashed} from ({told})"


def _implied(night: Night) -> str:
    """The successes that reversed debits imply: they stand where nobody told them. An `id` below zero is theirs."""
    return f"""
        select * replace ('success' as status, earliest as event_date, 0 as source_rows, -id as id, true as is_implied,
            case when earliest < date '{night.day}' then earliest end as since)
        from {CONTENDERS} where status = 'reversed' and direction = 'debit'
    """


def _of_source(night: Night, source: Source, rank: int) -> str:
    tonight = f"landed = date '{night.day}'"
    known_from = "known_from_date" if source.is_dump else "earliest"
    waits = _waits(night, source) if source.feed_spec.kind == "events" and not source.is_dump else "false"
    # On Sundays whatever waits is taken, but for early records, whose night was the one after they came.
    due = f"earliest = date '{night.day}'" + (" or earliest < landed" if night.day.weekday() == SUNDAY else "")
    raw = f"raw.{source.name}"
    rows = " union all ".join(f"from {night.tables.on(raw, day)}" for day in [night.day, *_waiting_from(night, source)])
    return f"""
        select {rank} as rank, '{source.name}' as source, * exclude (known_from_date),
            {waits} and {tonight} as is_waiting,
            case when {known_from} < date '{night.day}' then {known_from} end as since
        from ({Mapping(source, night.settings).records(f"({rows})")})
        where {tonight} or (reasons is null and {waits} and ({due}))
    """


def _waits(night: Night, source: Source) -> str:
    """Whether a record waited on the night that landed it: early ones, and those later than is looked back.

    A lake that began within the look-back is looked through to its first night, and so are Sundays.
    """
    lookback = f"landed - {source.late_days}"
    return f"""
        (earliest = landed + 1
            or (earliest < {lookback} and date '{night.first}' < {lookback} and isodow(landed) <> {SUNDAY + 1}))
    """


def _waiting_from(night: Night, source: Source) -> list[date]:
    """The nights before of which rows may wait for tonight: the last, and on Sundays those since the last Sunday."""
    since = night.day - timedelta(days=6 if night.day.weekday() == SUNDAY else 1)
    rows = night.sql.execute(
        f"""
        select distinct taken_from from {night.tables.read("ops.deliveries", since=since, until=night.before)}
        where source = '{source.name}' and waiting > 0 order by all
        """
    )
    return [day for (day,) in rows.fetchall()]


def _posted(feed: Feed) -> str:
    # What is implied was last changed when it happened.
    told = "* replace (if(is_implied, occurred_at, updated_at) as updated_at)" if feed.takes_states else "*"
    return f"select {told} from {CONTENDERS} anti join verdicts using (id)"


def _refused(night: Night, source: Source) -> str:
    """One row per source row that is refused."""
    refused = f"""
        select landed, unnest(coalesce(row_ids, [row_id])) as row_id,
            coalesce(verdicts.reasons, records.reasons) as reasons
        from records left join verdicts using (id)
        where source = '{source.name}' and not is_implied
            and (records.reasons is not null or len(verdicts.reasons) > 0)
    """
    days = night.sql.execute(f"select distinct landed from ({refused})").fetchall()
    rows = " union all ".join(f"from {night.tables.on(f'raw.{source.name}', day)}" for (day,) in days)
    rows = rows or f"from {night.tables.on(f'raw.{source.name}', date.min)}"
    return f"""
        select '{source.feed}' as feed, '{source.name}' as source, delivery_id, reasons,
            case when not is_unparsable then {_json(source)} end as row, file, position, null as payload,
            landed || '/' || row_id as record
        from ({refused}) join (select as_of_date as landed, * exclude (as_of_date) from ({rows})) using (landed, row_id)
    """


def _json(source: Source) -> str:
    """A row of raw as JSON: its columns in order of their names, without those that are null."""
    told = {
        name: f"""strftime("{name}", '%Y-%m-%dT%H:%M:%S.%gZ')""" if type_ == "timestamp" else f'"{name}"'
        for name, type_ in source.raw_types().items()
    }
    entries = ", ".join(f"{{'key': {quoted(name)}, 'value': to_json({told[name]})}}" for name in sorted(told))
    return f"to_json(map_from_entries(list_filter([{entries}], lambda entry: entry.value is not null)))"


def _account(night: Night, source: Source) -> str:
    """One row per delivery that was landed or of which rows were taken tonight: what became of its source rows."""
    tonight = f"taken_from = date '{night.day}'"
    # Of a dump every night has a part, if an empty one.
    found = deliveries.of_night(night, source)
    taken = [delivery for delivery in found if source.is_dump or delivery.night == str(night.day)]
    named = ", ".join(f"({quoted(delivery.delivery_id)}, date '{night.day}')" for delivery in taken) or "(null, null)"
    counts = ", ".join(
        f"coalesce(sum(source_rows) filter (fate = '{fate}'), 0) as {fate}"
        for fate in ("accepted", "quarantined", "duplicate", "waiting")
    )
    return f"""
        with fates as (
            select delivery_id, landed as taken_from, source_rows,
                case when records.reasons is not null or len(verdicts.reasons) > 0 then 'quarantined'
                    when verdicts.id is not null then 'duplicate'
                    when is_waiting then 'waiting'
                    else 'accepted' end as fate
            from records left join verdicts using (id) where source = '{source.name}' and not is_implied
        ),
        counted as (
            select delivery_id, taken_from, count(fate) as records, coalesce(sum(source_rows), 0) as handled, {counts}
            from fates full join (values {named}) as taken (delivery_id, taken_from) using (delivery_id, taken_from)
            where delivery_id is not null
            group by all
        )
        select delivery_id, '{source.name}' as source, '{source.feed}' as feed, taken_from, records,
            case when {tonight} then handled else 0 end as delivered, accepted, quarantined, duplicate,
            case when {tonight} then waiting else -handled end as waiting, 0 as erased
        from counted
    """


def _check(night: Night, source: Source) -> None:
    """That no more was refused than the source's limit allows; of one row alone nothing is said."""
    limit = source.limits.max_quarantined
    refused = night.sql.execute(
        f"""
        select delivery_id, quarantined from account_{source.name}
        where taken_from = date '{night.day}' and quarantined > {limit} * delivered
            and quarantined > {1 if limit else 0}
        """
    ).fetchall()
    if refused and not source.is_dump:
        raise Refused(f"{source.name}: too much of {refused[0][0]} would be quarantined: {refused[0][1]} rows")
