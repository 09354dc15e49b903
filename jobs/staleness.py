"""Which published days are stale: made from an upstream day that has been published anew with other contents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from conf import Settings
from jobs import pipeline
from jobs.ledger import Ledger
from jobs.ledger_records import Publication, Upstream
from schemas.ops import DELIVERIES as ACCOUNTS

Published = Mapping[str, Mapping[date, Publication]]


def tables_of(settings: Settings) -> tuple[str, ...]:
    """The tables that a night writes, in its order."""
    return tuple(table for job in pipeline.night(settings) for table in job.writes)


def publications(settings: Settings, ledger: Ledger | None) -> Published:
    """Table → day → newest publication, of every table that a night writes; empty where there is no ledger yet.

    Snapshots that are no longer kept are among them: what was made from them is as good as before.
    """
    tables = tables_of(settings)
    # First those of sources that are no longer configured: later tables were made from them.
    once = [table for table in ledger.published_tables() if table not in tables] if ledger else []
    return {
        table: ledger.published(table, date.min, date.max, with_dropped=True) if ledger else {}
        for table in (*once, *tables)
    }


def first_nights(published: Published) -> dict[str, date]:
    """raw table → the first night that its source is asked for: one that is new to the lake has no past to miss."""
    ended = max(published.get(ACCOUNTS.name, ()), default=None)
    new = ended + timedelta(days=1) if ended else date.min
    return {table: min(days, default=new) for table, days in published.items() if table.startswith("raw.")}


def replacements_due(ledger: Ledger | None) -> dict[tuple[str, date], str]:
    """(raw table, night) → why it should be backfilled: a delivery is there that replaces one of its own."""
    return {
        (f"raw.{each.source}", each.night): f"{each.delivery_id} in {each.folder} replaces {each.replaces} once "
        f"`clm backfill --from {each.night} --to {each.night}` is run"
        for each in (ledger.replacements_due() if ledger else ())
    }


def stale_days(published: Published) -> dict[tuple[str, date], Upstream]:
    """(table, day) → the upstream that makes it stale; a day whose upstream is stale is stale as well.

    The tables of `published` stand in the order of the night. Within a table days follow their upstreams, but for
    the windows of a hop, which are made from its last day's profile: they stand in a later table.
    """
    stale: dict[tuple[str, date], Upstream] = {}
    for of_table in published.values():
        for day in sorted(of_table):
            for upstream in of_table[day].upstreams:
                now = published.get(upstream.table, {}).get(upstream.day)
                has_changed = now is None or now.digest != upstream.digest
                if has_changed or (upstream.table, upstream.day) in stale:
                    stale[of_table[day].table, day] = upstream
                    break
    return stale
