"""The feeds of states: versions of a thing, of which the newest counts."""

from __future__ import annotations

from schemas.columns import (
    CHANNELS,
    CONTACT_TOKEN,
    CURRENCY,
    CUSTOMER_ID,
    MOST_MONEY,
    PURPOSES,
    UPDATED_AT,
    amount_minor,
)
from schemas.feed import Feed
from schemas.table import Column

IS_DELETED = Column(name="is_deleted", type="boolean", about="The source deleted it.")

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
        IS_DELETED,
    ),
)

CONSENTS = Feed(
    name="consents",
    kind="states",
    row="one recorded grant or withdrawal of one customer's consent",
    key=("customer_id", "purpose", "channel"),
    updated_from=("valid_from",),
    columns=(
        CUSTOMER_ID.required(),
        Column(
            name="purpose",
            type="string",
            about="What the customer may be written to about.",
            nullable=False,
            accepted=PURPOSES,
        ),
        Column(
            name="channel",
            type="string",
            about="How the customer may be reached.",
            nullable=False,
            accepted=CHANNELS,
        ),
        UPDATED_AT,
        Column(
            name="valid_from",
            type="timestamp",
            about="From when on the consent is given.",
            unit="UTC",
            nullable=False,
        ),
        Column(
            name="valid_to",
            type="timestamp",
            about="From when on it is not any more; null while nothing ends it. Not after valid_from: never given.",
            unit="UTC",
        ),
    ),
)

CONTACTS = Feed(
    name="contacts",
    kind="states",
    row="one delivered version of one entry in one customer's address book",
    key=("customer_id", "contact_token"),
    columns=(
        CUSTOMER_ID.required(),
        CONTACT_TOKEN,
        UPDATED_AT,
        IS_DELETED,
    ),
)

BILL_STATUSES = ("issued", "paid", "cancelled")

BILLS = Feed(
    name="bills",
    kind="states",
    row="one delivered version of one bill that falls due",
    key=("bill_id",),
    fixed=("customer_id",),
    updated_from=("issued_at",),
    columns=(
        Column(
            name="bill_id",
            type="string",
            about="The bill, as the biller knows it.",
            nullable=False,
            privacy="pseudonym",
        ),
        CUSTOMER_ID.required(),
        UPDATED_AT,
        Column(name="issued_at", type="timestamp", about="When the bill was issued.", unit="UTC"),
        Column(name="biller_id", type="string", about="Who is to be paid."),
        Column(name="category", type="string", about="Kind of bill (electricity, postpaid, gas, water, …)."),
        Column(
            name="due_date",
            type="date",
            about="The last day on which it can be paid in time.",
            unit="the biller's zone",
            nullable=False,
        ),
        amount_minor("amount_minor", "What is to be paid.", nullable=False, maximum=MOST_MONEY),
        CURRENCY,
        Column(
            name="status",
            type="string",
            about="Where the bill stands, as the biller says.",
            nullable=False,
            accepted=BILL_STATUSES,
        ),
    ),
)
