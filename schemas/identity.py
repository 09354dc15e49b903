"""core.identity_links and core.contact_links: whose device and phone it is, and who knows whom."""

from __future__ import annotations

from dataclasses import replace

from schemas.columns import AS_OF_DATE, CONTACT_TOKEN, CUSTOMER_ID
from schemas.table import Column, Table

ID_TYPES = ("device", "phone", "email")

IDENTITY_LINKS = Table(
    name="core.identity_links",
    row="one version of one link: that a device, phone or e-mail address is, or no longer is, one customer's",
    kind="log",
    key=("as_of_date", "id_type", "id_token", "customer_id", "valid_from"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        Column(name="id_type", type="string", about="What kind of id.", nullable=False, accepted=ID_TYPES),
        Column(
            name="id_token",
            type="string",
            about="The device id, or the keyed token of the phone or e-mail address.",
            nullable=False,
            privacy="personal",
        ),
        CUSTOMER_ID.required(),
        Column(
            name="valid_from",
            type="timestamp",
            about="Since when it is the customer's; of a device the first time both were told of together, "
            "which a later version may set earlier.",
            unit="UTC",
            nullable=False,
        ),
        Column(
            name="valid_to",
            type="timestamp",
            about="Until when it was; null while it is. Links of devices never end; one may be several customers'.",
            unit="UTC",
        ),
        Column(
            name="evidence", type="string", about="The feed that told it; of a device the earliest.", nullable=False
        ),
    ),
    may_be_empty=True,
)

IDENTITY_LINKS_STATE = replace(
    IDENTITY_LINKS,
    name="core.identity_links_state",
    row="one link in its newest version known on the date; of a device one per customer",
    kind="snapshot",
    key=("id_type", "id_token", "customer_id", "valid_from"),
)

CONTACT_LINKS = Table(
    name="core.contact_links",
    row="one address-book entry that was found to be a customer; found once and never taken back",
    kind="log",
    key=("as_of_date", "customer_id", "contact_token"),
    owner="lake",
    keep="8 years",
    columns=(
        AS_OF_DATE,
        CUSTOMER_ID.required(),
        CONTACT_TOKEN,
        Column(
            name="contact_customer_id",
            type="string",
            about="The customer whose number it was when it was found.",
            nullable=False,
            privacy="pseudonym",
        ),
    ),
    may_be_empty=True,
)
