"""The feeds of events: facts that are posted once and never changed."""

from __future__ import annotations

from schemas.columns import (
    CURRENCY,
    CUSTOMER_ID,
    DEVICE_ID,
    DIRECTIONS,
    MOST_MONEY,
    PRODUCTS,
    RAILS,
    STATUSES,
    UPDATED_AT,
    USAGE_CATEGORIES,
    amount_minor,
)
from schemas.feed import Feed
from schemas.table import Column

TRANSACTIONS = Feed(
    name="transactions",
    kind="events",
    row="one state that one payment took",
    key=("transaction_id", "status"),
    dated_by="occurred_at",
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
        amount_minor("amount_minor", "The amount of the whole payment.", nullable=False, maximum=MOST_MONEY),
        CURRENCY,
        Column(
            name="counterparty_token",
            type="string",
            about="Who was paid, as a keyed token.",
            privacy="third_party",
            erasure="blank",
        ),
        Column(name="merchant_id", type="string", about="The merchant paid."),
        Column(name="biller_id", type="string", about="The biller or operator paid."),
        DEVICE_ID,
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

APP_EVENTS = Feed(
    name="app_events",
    kind="events",
    row="one thing that someone did in the app, or that the app did for them",
    key=("event_id",),
    dated_by="occurred_at",
    identifier="event_id",
    fixed=("customer_id",),
    either=("customer_id", "device_id"),
    columns=(
        Column(
            name="event_id",
            type="string",
            about="The event; made from source and row where the source has no ids.",
            nullable=False,
        ),
        CUSTOMER_ID,
        Column(name="session_id", type="string", about="The visit to the app that it belongs to.", privacy="pseudonym"),
        DEVICE_ID,
        Column(
            name="occurred_at",
            type="timestamp",
            about="When it happened, by the corrected clock of the device.",
            unit="UTC",
            nullable=False,
        ),
        Column(name="received_at", type="timestamp", about="When the source received it.", unit="UTC"),
        Column(name="screen", type="string", about="The screen it happened on."),
        Column(
            name="action",
            type="string",
            about="What happened; known ones stand in conf/events.toml.",
            nullable=False,
        ),
        Column(name="icon", type="string", about="The icon that was tapped."),
        Column(
            name="dwell_ms",
            type="bigint",
            about="How long the screen was looked at.",
            unit="milliseconds",
            minimum=0,
            maximum=24 * 60 * 60 * 1000,
        ),
        Column(
            name="is_foreground",
            type="boolean",
            about="The app was in front; false for what it did by itself, which is no activity.",
        ),
        Column(
            name="properties",
            type="string",
            about="What else the source says of it, as JSON.",
            privacy="personal",
        ),
    ),
)

DEVICES = Feed(
    name="devices",
    kind="events",
    row="one device as seen on one day",
    key=("device_id", "event_date"),
    fixed=("customer_id",),
    columns=(
        DEVICE_ID.required(),
        CUSTOMER_ID,
        UPDATED_AT,
        Column(name="brand", type="string", about="Who made the device."),
        Column(name="model", type="string", about="The maker's name of the model."),
        Column(name="os", type="string", about="Operating system."),
        Column(name="os_version", type="string", about="Its version."),
        Column(name="ram_mb", type="int", about="Memory of the device.", unit="megabytes", minimum=0),
        Column(name="storage_mb", type="int", about="Storage of the device.", unit="megabytes", minimum=0),
        Column(name="sim_count", type="int", about="SIM cards in use.", unit="cards", minimum=0),
        Column(name="carrier", type="string", about="Mobile network operator of the first SIM card."),
        Column(name="app_version", type="string", about="Version of our app."),
        Column(name="network", type="string", about="How the device was connected (wifi, 4g, 5g, …)."),
        Column(
            name="screen_minutes",
            type="int",
            about="How long the screen was on that day.",
            unit="minutes",
            minimum=0,
        ),
        *(
            Column(
                name=f"usage_{category}_minutes",
                type="int",
                about=f"How long apps of the category {category} were used that day.",
                unit="minutes",
                minimum=0,
            )
            for category in USAGE_CATEGORIES
        ),
    ),
)

OUTCOMES = ("sent", "delivered", "opened", "clicked", "converted", "bounced", "opted_out")

CAMPAIGN_FEEDBACK = Feed(
    name="campaign_feedback",
    kind="events",
    row="one thing that became of one trigger",
    key=("trigger_id", "outcome", "occurred_at"),
    dated_by="occurred_at",
    columns=(
        Column(
            name="trigger_id",
            type="string",
            about="The trigger, as the list that was delivered names it.",
            nullable=False,
            privacy="pseudonym",
        ),
        Column(
            name="outcome",
            type="string",
            about="What became of it.",
            nullable=False,
            accepted=OUTCOMES,
        ),
        Column(
            name="occurred_at",
            type="timestamp",
            about="When it became so.",
            unit="UTC",
            nullable=False,
        ),
    ),
)
