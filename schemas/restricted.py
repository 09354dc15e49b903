"""restricted.*: what may be read for one purpose only; it lies under a root of its own, and nothing joins it."""

from __future__ import annotations

from schemas.columns import AS_OF_DATE
from schemas.table import Column, Table

CONTACT_HASHES = Table(
    name="restricted.contact_hashes",
    row="one phone number or e-mail address of a customer, as the hashes that ad platforms match on",
    kind="log",
    key=("as_of_date", "token"),
    owner="privacy-team",
    # As long as registrations: whoever is not delivered anew could not be matched any more.
    keep="8 years",
    columns=(
        AS_OF_DATE,
        Column(
            name="token",
            type="string",
            about="The keyed token that stands for it everywhere else.",
            nullable=False,
            privacy="personal",
        ),
        Column(
            name="kind",
            type="string",
            about="A phone number or an e-mail address.",
            nullable=False,
            accepted=("phone", "email"),
        ),
        Column(
            name="sha256",
            type="string",
            about="SHA-256 in hex of the address in lower case, or of the number's digits with its country code.",
            nullable=False,
            privacy="personal",
        ),
        Column(
            name="sha256_plus",
            type="string",
            about="SHA-256 in hex of the number as E.164, with its plus; null for an e-mail address.",
            privacy="personal",
        ),
    ),
    may_be_empty=True,
)

TABLES = (CONTACT_HASHES,)
