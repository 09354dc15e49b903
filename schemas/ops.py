"""ops.*: what the lake says about itself."""

from __future__ import annotations

from schemas.columns import AS_OF_DATE, FEED, SOURCE
from schemas.table import Column, Table

# What a receipt says of a message, and why it was not sent: the consent was gone, or the customer, when it was
# delivered; they may have what a correction took back; a person stopped its trigger; it was too late; a corrected
# night selects it no more; or conf has no such trigger any more.
RECEIPTS = ("send", "cancel", "withheld")
REASONS = ("no_consent", "suppressed", "capped", "stopped", "expired", "not_selected", "not_configured")


def _rows(name: str, about: str) -> Column:
    return Column(name=name, type="bigint", about=about, unit="source rows", nullable=False)


DELIVERIES = Table(
    name="ops.deliveries",
    row="one delivery in one night: that landed it, or that took rows of it which had waited",
    kind="log",
    key=("as_of_date", "delivery_id", "taken_from"),
    owner="lake",
    keep="8 years",
    may_be_empty=True,
    columns=(
        AS_OF_DATE,
        Column(name="delivery_id", type="string", about="The delivery.", nullable=False),
        SOURCE,
        FEED,
        Column(name="taken_from", type="date", about="The night that first landed the delivery.", nullable=False),
        Column(
            name="records",
            type="bigint",
            about="Records made of the rows that this night handled.",
            unit="records",
            nullable=False,
        ),
        _rows("delivered", "Rows delivered; 0 for a night that only takes what waited."),
        _rows("accepted", "Rows that were posted."),
        _rows("quarantined", "Rows refused, with their reasons in core.quarantine."),
        _rows("duplicate", "Rows that say again what is known."),
        _rows("waiting", "Rows left for a later night; negative where this night took them."),
        _rows("erased", "Rows of people who asked to be forgotten."),
    ),
)

QUALITY = Table(
    name="ops.quality",
    row="one expectation about one table on one night",
    kind="log",
    key=("as_of_date", "table", "suite", "expectation"),
    owner="lake",
    keep="25 months",
    may_be_empty=True,
    columns=(
        AS_OF_DATE,
        Column(name="table", type="string", about="The table looked at.", nullable=False),
        Column(name="suite", type="string", about="The suite of expectations.", nullable=False),
        Column(name="expectation", type="string", about="What was expected.", nullable=False),
        Column(
            name="severity",
            type="string",
            about="fail: nothing is published; warn: published and said.",
            nullable=False,
            accepted=("fail", "warn"),
        ),
        Column(name="success", type="boolean", about="The expectation was met.", nullable=False),
        Column(name="observed", type="string", about="The figure observed, never a value of a row."),
    ),
)

EXPORTS = Table(
    name="ops.exports",
    row="one receipt: one message of one night, and what a list told of it, or why no list did",
    kind="log",
    key=("as_of_date", "list", "trigger_id", "generation", "action"),
    owner="lake",
    keep="25 months",
    may_be_empty=True,
    columns=(
        AS_OF_DATE,
        Column(name="list", type="string", about="The kind of list.", nullable=False),
        Column(name="trigger", type="string", about="The trigger, by name.", nullable=False),
        Column(
            name="generation",
            type="bigint",
            about="The generation of the trigger's list of that night that told it first.",
            nullable=False,
            minimum=1,
        ),
        Column(
            name="trigger_id",
            type="string",
            about="The message, as in mart.selections.",
            nullable=False,
            privacy="pseudonym",
        ),
        Column(
            name="action",
            type="string",
            about="send it, cancel what was told to send, or withheld: selected, and told in no list.",
            nullable=False,
            accepted=RECEIPTS,
        ),
        Column(
            name="reason",
            type="string",
            about="Why it was cancelled or withheld; null for what is sent.",
            accepted=REASONS,
        ),
        Column(
            name="in_time",
            type="boolean",
            about="Of a cancel: it came before the message might be sent, so that nobody has it; null for others.",
        ),
        Column(
            name="expires_at",
            type="timestamp",
            about="From then on it is not sent any more.",
            unit="UTC",
            nullable=False,
        ),
    ),
)

TABLES = (DELIVERIES, QUALITY, EXPORTS)
