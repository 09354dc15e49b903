"""mart.*: who is written to about what, who was left out at which step, and who is held out to compare with."""

from __future__ import annotations

from schemas.columns import AS_OF_DATE, CHANNELS, CUSTOMER_ID, PURPOSES, customers
from schemas.table import Column, Table

# Where an eligible customer's way ended; all but the last mean that nothing is sent.
SELECTED = "selected"
WITHHELD = ("held_out_global", "held_out")
STEPS = (
    "no_consent",
    "suppressed",
    "cooling_down",
    "converted",
    "capped",
    "over_budget",
    *WITHHELD,
    "size_guard",
    SELECTED,
)
MODES = ("live", "replay")
# What became of a trigger on a night: it competed, the size guard held it back, or what it reads was not there.
STANDINGS = ("ok", "held", "failed")

_TRIGGER = Column(name="trigger", type="string", about="The trigger, by name.", nullable=False)
_SUBJECT = Column(
    name="subject",
    type="string",
    about="What it is about: the due_id, or empty where it is about the customer.",
    nullable=False,
    privacy="pseudonym",
)
_TRIGGER_ID = Column(
    name="trigger_id",
    type="string",
    about="32 hex digits over trigger, customer, subject and date: the same night twice names it the same.",
    nullable=False,
    privacy="pseudonym",
)


def _channel(about: str, *, nullable: bool) -> Column:
    return Column(name="channel", type="string", about=about, nullable=nullable, accepted=CHANNELS)


SELECTIONS = Table(
    name="mart.selections",
    row="one customer who met one trigger about one subject, and the step at which that ended",
    kind="log",
    key=("as_of_date", "trigger", "customer_id", "subject"),
    owner="lake",
    keep="25 months",
    columns=(
        AS_OF_DATE,
        _TRIGGER,
        CUSTOMER_ID.required(),
        _SUBJECT,
        _TRIGGER_ID,
        Column(name="step", type="string", about="Where it ended.", nullable=False, accepted=STEPS),
        _channel("How they are reached; null where it ended before one was chosen.", nullable=True),
        Column(
            name="rule_version",
            type="string",
            about="Version of the trigger: 12 hex digits over all that decides.",
            nullable=False,
        ),
        Column(
            name="evidence",
            type="string",
            about="The declared values that go with it, as JSON with sorted keys.",
            nullable=False,
        ),
    ),
    may_be_empty=True,
)

CONTACT_HISTORY = Table(
    name="mart.contact_history",
    row="one contact that one night meant to make, or withheld from somebody held out, which counts as one",
    kind="log",
    key=("as_of_date", "trigger_id"),
    owner="lake",
    keep="25 months",
    columns=(
        AS_OF_DATE,
        _TRIGGER_ID,
        _TRIGGER,
        CUSTOMER_ID.required(),
        _SUBJECT,
        _channel("How they are reached.", nullable=False),
        Column(name="message_class", type="string", about="What it is about.", nullable=False, accepted=PURPOSES),
        Column(name="send_date", type="date", about="The day after the night, on which it is sent.", nullable=False),
        Column(
            name="is_withheld",
            type="boolean",
            about="Not sent, because the customer is held out to compare with.",
            nullable=False,
        ),
        Column(
            name="mode",
            type="string",
            about="live: it counts unless a receipt says otherwise; replay, of a backfill: only with a receipt.",
            nullable=False,
            accepted=MODES,
        ),
    ),
    may_be_empty=True,
)

HOLDOUTS = Table(
    name="mart.holdouts",
    row="one customer who is held out of one trigger, or of everything promotional, on the first night that withheld",
    kind="log",
    key=("trigger", "customer_id"),
    owner="lake",
    keep="25 months",
    columns=(
        AS_OF_DATE,
        Column(
            name="trigger",
            type="string",
            about="The trigger, by name; empty for all that is promotional.",
            nullable=False,
        ),
        CUSTOMER_ID.required(),
    ),
    may_be_empty=True,
)

TRIGGER_STATUS = Table(
    name="mart.trigger_status",
    row="one trigger of conf on one night, also where it found nobody or was held back",
    kind="log",
    key=("as_of_date", "trigger"),
    owner="lake",
    keep="25 months",
    columns=(
        AS_OF_DATE,
        _TRIGGER,
        Column(name="rule_version", type="string", about="Version of the trigger.", nullable=False),
        Column(
            name="state",
            type="string",
            about="ok: it competed; held: the size guard held it back; failed: what it reads was not there.",
            nullable=False,
            accepted=STANDINGS,
        ),
        Column(name="why", type="string", about="Why it was held back or failed; null where it was not."),
        customers("eligible", "Customers and subjects that met it."),
        customers(
            "before",
            "The same on the newest night of the week before that found somebody and did not hold it back.",
            nullable=True,
        ),
    ),
    may_be_empty=True,
)

TABLES = (SELECTIONS, CONTACT_HISTORY, HOLDOUTS, TRIGGER_STATUS)
