"""core.customer_daily and core.device_daily: what one night told about one customer, or one unknown device."""

from __future__ import annotations

from schemas.columns import (
    AS_OF_DATE,
    CUSTOMER_ID,
    DEVICE_ID,
    EVENT_DATE,
    ICONS,
    RAILS,
    SCREEN_GROUPS,
    USAGE_CATEGORIES,
    amount_minor,
    count,
)
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
# Categories of bills that make somebody a post-paid customer; design §7.
BILL_CATEGORIES = {"electricity": "electricity bills", "postpaid": "post-paid phone bills"}


def _total(name: str, about: str, unit: str) -> Column:
    """A sum that is null where there was nothing."""
    return Column(name=name, type="bigint", about=about, unit=unit, minimum=0)


# What the app's events tell of one person on one day.
APP: tuple[Column, ...] = (
    count("foreground_event_count", "Events with the app in front; those that do not say, too."),
    count("session_count", "Visits to the app that began."),
    count("night_event_count", "Of the events with the app in front, those from 22 to 6 o'clock."),
    *(
        _total(f"dwell_{group}_ms", f"Time spent on screens of the group {group}.", "milliseconds")
        for group in SCREEN_GROUPS
    ),
    *(count(f"icon_{icon}_count", f"Events with the app in front that bear the icon {icon}.") for icon in ICONS),
    Column(name="app_last_at", type="timestamp", about="Time of the newest event with the app in front.", unit="UTC"),
)

# The newest device facts, as of `device_updated_at`; ties are settled by `device_row_hash`.
DEVICE_FACTS: tuple[Column, ...] = (
    Column(name="device_id", type="string", about="The device seen last.", privacy="pseudonym"),
    Column(name="device_brand", type="string", about="Who made it."),
    Column(name="device_model", type="string", about="The maker's name of the model."),
    Column(name="device_os", type="string", about="Its operating system."),
    Column(name="device_os_version", type="string", about="The version of that."),
    Column(name="device_ram_mb", type="int", about="Its memory.", unit="megabytes", minimum=0),
    Column(name="device_storage_mb", type="int", about="Its storage.", unit="megabytes", minimum=0),
    Column(name="device_sim_count", type="int", about="SIM cards in use in it.", unit="cards", minimum=0),
    Column(name="device_carrier", type="string", about="Mobile network operator of its first SIM card."),
    Column(name="device_app_version", type="string", about="Version of our app on it."),
)
DEVICE: tuple[Column, ...] = (
    Column(name="device_updated_at", type="timestamp", about="When the device was seen last.", unit="UTC"),
    Column(name="device_row_hash", type="bigint", about="Hash of that row; settles ties of one time."),
    *DEVICE_FACTS,
    _total("screen_minutes", "Time the screens of the devices were on.", "minutes"),
    *(
        _total(f"usage_{category}_minutes", f"Time spent in other apps of the category {category}.", "minutes")
        for category in USAGE_CATEGORIES
    ),
)

BILL: tuple[Column, ...] = (
    count("bill_version_count", "Versions of bills told."),
    count("bill_paid_count", "Versions of bills told to be paid."),
    Column(name="bill_last_due_date", type="date", about="Latest date on which one of these bills falls due."),
)
CONTACT = count("contact_linked_count", "Entries of the address book found to be customers.")

DEVICE_DAILY = Table(
    name="core.device_daily",
    row="what one night told about one device on one event date by rows that name no customer",
    kind="log",
    key=("as_of_date", "device_id", "event_date"),
    owner="lake",
    keep="90 days",
    columns=(
        AS_OF_DATE,
        DEVICE_ID.required(),
        EVENT_DATE,
        *APP,
        *(column for column in DEVICE if column.name != "device_id"),
    ),
    may_be_empty=True,
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
        *(count(f"{category}_count", f"Successful payments of {said}.") for category, said in BILL_CATEGORIES.items()),
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
        *APP,
        *DEVICE,
        *BILL,
        count("contact_count", "Entries of the address book told, new or changed."),
        CONTACT,
        count("consent_count", "Consents granted or withdrawn."),
    ),
)
