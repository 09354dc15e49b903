"""core.*: every feed in one shape, the newest version of each thing, and what was refused and why."""

from __future__ import annotations

from dataclasses import replace

from schemas.columns import AS_OF_DATE, DELIVERY_ID, EVENT_DATE, FEED, FILE, SOURCE
from schemas.customer_daily import CUSTOMER_DAILY, DEVICE_DAILY, FAMILIES
from schemas.feeds import DEVICES, FEEDS, TRANSACTIONS, Feed
from schemas.identity import CONTACT_LINKS, IDENTITY_LINKS, IDENTITY_LINKS_STATE
from schemas.table import Column, Table

IS_IMPLIED = Column(
    name="is_implied",
    type="boolean",
    about="A success the lake posted itself, because a reversal arrived without one.",
    nullable=False,
)


SOURCE_ROWS = Column(
    name="source_rows",
    type="bigint",
    about="Source rows this row was made of; 0 where the lake implied it.",
    unit="source rows",
    nullable=False,
    minimum=0,
    provenance=True,
)


ROW_HASH = Column(
    name="row_hash",
    type="bigint",
    about="Hash of the feed's columns; settles ties between versions of one time.",
    nullable=False,
)

# Feeds of which core.<feed>_state keeps the newest row of each thing, and what tells the things apart.
FOLDED: dict[str, tuple[str, ...]] = {
    **{feed.name: feed.key for feed in FEEDS.values() if feed.kind == "states"},
    DEVICES.name: ("device_id",),
}


def _postings(feed: Feed) -> Table:
    extra = (*([IS_IMPLIED] if feed.takes_states else []), *([ROW_HASH] if feed.name in FOLDED else []))
    return Table(
        name=f"core.{feed.name}",
        row=feed.row,
        kind="log",
        key=feed.key if feed.kind == "events" else (*feed.key, "as_of_date", "row_hash"),
        owner="lake",
        keep="8 years",
        columns=(AS_OF_DATE, EVENT_DATE, *feed.columns, *extra, SOURCE, DELIVERY_ID, FILE, SOURCE_ROWS),
        may_be_empty=feed.kind == "states",
    )


def _state(feed: Feed) -> Table:
    return Table(
        name=f"core.{feed.name}_state",
        row=f"{feed.row}: the newest known on the date",
        kind="snapshot",
        key=FOLDED[feed.name],
        owner="lake",
        keep="8 years",
        columns=(AS_OF_DATE, *feed.columns, ROW_HASH),
        may_be_empty=True,
    )


POSTED = {feed.name: _postings(feed) for feed in FEEDS.values()}
STATES = {name: _state(FEEDS[name]) for name in FOLDED}

# Where each transaction stands; computed when it is read, so it is in no catalogue.
TRANSACTIONS_LATEST = replace(
    POSTED[TRANSACTIONS.name],
    name="core.transactions_latest",
    row="one transaction, by its newest posting",
    kind="snapshot",
    key=("transaction_id",),
)

QUARANTINE = Table(
    name="core.quarantine",
    row="one source row that was refused, with every reason that applies",
    kind="log",
    key=("as_of_date", "source", "record"),
    owner="lake",
    keep="90 days",
    may_be_empty=True,
    columns=(
        AS_OF_DATE,
        FEED,
        SOURCE,
        Column(
            name="delivery_id",
            type="string",
            about="The delivery the row came in.",
            nullable=False,
        ),
        Column(name="reasons", type="array<string>", about="Every reason that applies, by name.", nullable=False),
        Column(
            name="row",
            type="string",
            about="The row as delivered, as JSON; null where the line could not be split.",
            privacy="personal",
        ),
        FILE,
        Column(name="position", type="bigint", about="Row index in a Parquet file.", provenance=True),
        Column(
            name="payload",
            type="binary",
            about="The encrypted line, where it could not be split into columns and a key is configured.",
            provenance=True,
            privacy="personal",
        ),
        Column(
            name="record",
            type="string",
            about="Where the row stands in raw: the night that landed it and its row_id.",
            nullable=False,
            provenance=True,
        ),
    ),
)

TABLES = (
    *POSTED.values(),
    QUARANTINE,
    *STATES.values(),
    IDENTITY_LINKS,
    IDENTITY_LINKS_STATE,
    CONTACT_LINKS,
    DEVICE_DAILY,
    CUSTOMER_DAILY,
)

__all__ = ["CUSTOMER_DAILY", "DEVICE_DAILY", "FAMILIES", "FOLDED", "POSTED", "QUARANTINE", "STATES", "TABLES"]
