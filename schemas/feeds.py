"""The feeds a source can be mapped to: their columns, keys, dates and row rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.columns import CUSTOMER_ID, DIRECTIONS, PRODUCTS, RAILS, STATUSES, UPDATED_AT, amount_minor
from schemas.table import Column


@dataclass(frozen=True, kw_only=True)
class Feed:
    """One shape that several sources may deliver.

    *Events* are facts, posted once under their `key` and never changed. *States* are versions of a thing;
    the newest by (`updated_at`, row hash) counts. `identifier` is the key column made by the lake where a
    source has none of its own. A posting of a known key must agree with it in `fixed`. `updated_from` names
    the columns that stand in for an `updated_at` that is not mapped, in order; after them comes the
    delivery's date.
    """

    name: str
    kind: Literal["events", "states"]
    row: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    identifier: str = ""
    fixed: tuple[str, ...] = ()
    updated_from: tuple[str, ...] = ()

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that must be there: a row without one of them is quarantined `<column>_missing`."""
        return tuple(column.name for column in self.columns if not column.nullable and column.name != self.identifier)


TRANSACTIONS = Feed(
    name="transactions",
    kind="events",
    row="one state that one payment took",
    key=("transaction_id", "status"),
    identifier="transaction_id",
    fixed=("amount_minor", "currency", "direction", "product", "customer_id"),
    updated_from=("occurred_at",),
    columns=(
        Column(
            name="transaction_id",
            type="string",
            about="The payment; made from source and row where the source has no ids.",
            nullable=False,
            privacy="pseudonym",
        ),
        CUSTOMER_ID.required(),
        Column(
            name="occurred_at",
            type="timestamp",
            about="When the customer paid.",
            unit="UTC",
            nullable=False,
        ),
        UPDATED_AT,
        Column(
            name="product",
            type="string",
            about="What was paid for.",
            nullable=False,
            accepted=PRODUCTS,
        ),
        Column(name="category", type="string", about="Kind of recharge, bill or goods (mobile, dth, electricity, …)."),
        Column(name="rail", type="string", about="How the money moved.", accepted=RAILS),
        Column(
            name="direction",
            type="string",
            about="Debit: the customer paid; credit: the customer received.",
            nullable=False,
            accepted=DIRECTIONS,
        ),
        Column(
            name="status",
            type="string",
            about="The state the payment took.",
            nullable=False,
            accepted=STATUSES,
        ),
        amount_minor("amount_minor", "The amount of the whole payment.", nullable=False),
        Column(name="currency", type="string", about="ISO 4217 code; one per lake.", nullable=False),
        Column(
            name="counterparty_token",
            type="string",
            about="Who was paid, as a keyed token.",
            privacy="third_party",
            erasure="blank",
        ),
        Column(name="merchant_id", type="string", about="The merchant paid."),
        Column(name="biller_id", type="string", about="The biller or operator paid."),
        Column(name="device_id", type="string", about="The device it was done on.", privacy="pseudonym"),
        Column(
            name="plan_validity_days",
            type="int",
            about="How long the recharge plan bought is valid.",
            unit="days",
            minimum=0,
        ),
        Column(
            name="original_transaction_id",
            type="string",
            about="The payment that a partial refund belongs to.",
            privacy="pseudonym",
        ),
    ),
)

CUSTOMERS = Feed(
    name="customers",
    kind="states",
    row="one delivered version of one customer's registration",
    key=("customer_id",),
    updated_from=("registered_at",),
    columns=(
        CUSTOMER_ID.required(),
        Column(
            name="registered_at",
            type="timestamp",
            about="When the customer registered.",
            unit="UTC",
            nullable=False,
        ),
        UPDATED_AT,
        Column(name="kyc_level", type="string", about="How far the customer's identity has been checked."),
        Column(name="language", type="string", about="Preferred language, ISO 639-1."),
        Column(name="city_tier", type="string", about="Size class of the customer's city."),
        Column(
            name="phone",
            type="string",
            about="Phone number, as a keyed token.",
            privacy="personal",
            erasure="blank",
        ),
        Column(
            name="email",
            type="string",
            about="E-mail address, as a keyed token.",
            privacy="personal",
            erasure="blank",
        ),
        Column(name="state", type="string", about="State of India, or region elsewhere."),
        Column(name="is_deleted", type="boolean", about="The source deleted the registration."),
    ),
)

FEEDS = {feed.name: feed for feed in (TRANSACTIONS, CUSTOMERS)}
