"""Columns that mean one thing everywhere, written once."""

from __future__ import annotations

from schemas.table import Column

PRODUCTS = (
    "recharge",
    "bill_payment",
    "p2p_transfer",
    "p2m_payment",
    "b2b_payment",
    "wallet_load",
    "marketplace_order",
)
RAILS = ("upi", "wallet", "card", "netbanking")
DIRECTIONS = ("debit", "credit")
STATUSES = ("pending", "failed", "success", "reversed")
# How people are reached, and what about: consents, caps and triggers speak of these.
CHANNELS = ("push", "in_app", "sms", "whatsapp", "email", "call", "paid_social")
PURPOSES = ("promotional", "service")
# Groups of screens of the app, icons of its home screen, and kinds of apps on a phone: one column each.
SCREEN_GROUPS = ("home", "recharge", "bills", "transfer", "merchant", "wallet", "shop", "account", "other")
ICONS = ("recharge", "bills", "send_money", "scan_pay", "wallet", "shop", "offers", "history", "other")
USAGE_CATEGORIES = ("social", "video", "games", "shopping", "finance", "other")

AS_OF_DATE = Column(
    name="as_of_date",
    type="date",
    about="The business date whose night learned this row.",
    nullable=False,
)
EVENT_DATE = Column(
    name="event_date",
    type="date",
    about="The calendar date in the lake's zone on which it happened.",
    nullable=False,
    statistics=True,
)
CUSTOMER_ID = Column(
    name="customer_id",
    type="string",
    about="The customer, as the app knows them.",
    privacy="pseudonym",
    statistics=True,
)
DEVICE_ID = Column(
    name="device_id",
    type="string",
    about="The device, as the app knows it.",
    privacy="pseudonym",
)
SOURCE = Column(
    name="source",
    type="string",
    about="The source of conf/sources that delivered the row.",
    nullable=False,
)
FEED = Column(name="feed", type="string", about="The feed the source is mapped to.", nullable=False)
DELIVERY_ID = Column(
    name="delivery_id",
    type="string",
    about="The delivery the row came in.",
    nullable=False,
    provenance=True,
)
FILE = Column(
    name="file",
    type="string",
    about="The delivered file, below the landing folder.",
    provenance=True,
)
CURRENCY = Column(name="currency", type="string", about="ISO 4217 code; one per lake.", nullable=False)
CONTACT_TOKEN = Column(
    name="contact_token",
    type="string",
    about="The number in the address book, as a keyed token; the same token as of a customer's phone.",
    nullable=False,
    privacy="third_party",
)
UPDATED_AT = Column(
    name="updated_at",
    type="timestamp",
    about="When the source last changed the row.",
    unit="UTC",
)


# More than that in one row is a mistake, and sums of thousands of it would not fit a bigint.
MOST_MONEY = 10**15


def amount_minor(name: str, about: str, *, nullable: bool = True, maximum: int | None = None) -> Column:
    """An amount of money, never negative, in the minor unit of the lake's currency (paise, pence)."""
    return Column(
        name=name, type="bigint", about=about, unit="minor units", minimum=0, maximum=maximum, nullable=nullable
    )


def count(name: str, about: str) -> Column:
    """A number of things; null where there are none, which keeps sparse columns small."""
    return Column(name=name, type="bigint", about=about, unit="rows", minimum=1)


def customers(name: str, about: str, *, nullable: bool = False, minimum: int = 0) -> Column:
    """A number of customers, 0 where there are none."""
    return Column(name=name, type="bigint", about=about, unit="customers", nullable=nullable, minimum=minimum)
