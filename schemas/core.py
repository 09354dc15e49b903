"""core.*: every feed in one shape, what was refused and why, and what tonight told about each customer."""

from __future__ import annotations

from dataclasses import replace

from schemas.columns import (
    AS_OF_DATE,
    CUSTOMER_ID,
    DELIVERY_ID,
    EVENT_DATE,
    FEED,
    FILE,
    RAILS,
    SOURCE,
    amount_minor,
    count,
)
from schemas.feeds import CUSTOMERS, TRANSACTIONS, Feed
from schemas.table import Column, Table

# Which product counts towards which family of the customer's life; spec §3.
FAMILIES: dict[str, tuple[str, ...]] = {
    "recharge": ("recharge",),
    "bill": ("bill_payment",),
    "transfer": ("p2p_transfer",),
    "merchant": ("p2m_payment", "b2b_payment"),
    "marketplace": ("marketplace_order",),
    "wallet": ("wallet_load",),
}

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


def _postings(feed: Feed, *extra: Column) -> Table:
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


ROW_HASH = Column(
    name="row_hash",
    type="bigint",
    about="Hash of the feed's columns; settles ties between versions of one time.",
    nullable=False,
)

POSTED = {
    TRANSACTIONS.name: _postings(TRANSACTIONS, IS_IMPLIED),
    CUSTOMERS.name: _postings(CUSTOMERS, ROW_HASH),
}

# Where each transaction stands; computed when it is read, so it is in no catalogue.
TRANSACTIONS_LATEST = replace(
    POSTED[TRANSACTIONS.name],
    name="core.transactions_latest",
    row="one transaction, by its newest posting",
    kind="snapshot",
    key=("transaction_id",),
)

CUSTOMERS_STATE = Table(
    name="core.customers_state",
    row="one customer, in the newest version known on the date",
    kind="snapshot",
    key=CUSTOMERS.key,
    owner="lake",
    keep="8 years",
    columns=(AS_OF_DATE, *CUSTOMERS.columns, ROW_HASH),
    may_be_empty=True,
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

CUSTOMER_DAILY = Table(
    name="core.customer_daily",
    row="what one night told about one customer on one event date",
    kind="log",
    key=("as_of_date", "customer_id", "event_date"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        CUSTOMER_ID.required(),
        EVENT_DATE,
        Column(
            name="is_active",
            type="boolean",
            about="The customer did something on the date: paid, or used the app in the foreground.",
            nullable=False,
        ),
        Column(
            name="is_transacting",
            type="boolean",
            about="At least one payment that the customer started on the date succeeded, then or later.",
            nullable=False,
        ),
        Column(
            name="registered_at",
            type="timestamp",
            about="Earliest registration time told tonight.",
            unit="UTC",
        ),
        *(
            column
            for family, products in FAMILIES.items()
            for column in (
                count(f"{family}_count", f"Successful debits of {' or '.join(products)}."),
                amount_minor(f"{family}_amount_minor", f"Their sum: successful debits of {' or '.join(products)}."),
                Column(
                    name=f"{family}_last_at",
                    type="timestamp",
                    about=f"Time of the newest successful debit of {' or '.join(products)}.",
                    unit="UTC",
                ),
            )
        ),
        *(
            column
            for rail in RAILS
            for column in (
                count(f"rail_{rail}_count", f"Successful debits over {rail}."),
                amount_minor(f"rail_{rail}_amount_minor", f"Their sum: successful debits over {rail}."),
            )
        ),
        count("pending_count", "Debits told to be pending."),
        count("failed_count", "Debits told to have failed."),
        count("reversed_count", "Debits told to be reversed, on the date of the reversal."),
        amount_minor("reversed_amount_minor", "Sum of the debits reversed."),
        count("received_count", "Successful credits."),
        amount_minor("received_amount_minor", "Sum of the successful credits."),
        amount_minor("largest_transfer_minor", "Largest successful p2p_transfer sent, reversed ones included."),
        *(
            Column(
                name=f"{status}_last_at",
                type="timestamp",
                about=f"Time of the newest debit told to be {status}.",
                unit="UTC",
            )
            for status in ("pending", "failed", "reversed")
        ),
    ),
)

TABLES = (*POSTED.values(), QUARANTINE, CUSTOMERS_STATE, CUSTOMER_DAILY)
