"""The lists that leave the lake, column by column in their order: what campaign systems rely on (spec §4)."""

from __future__ import annotations

from schemas.columns import CHANNELS, PURPOSES
from schemas.table import Column

ACTIONS = ("send", "cancel")
# How long lists stay after their night; receipts in ops.exports stay longer.
KEEP = "90 days"


def _text(name: str, about: str, *, nullable: bool = False, accepted: tuple[str, ...] = ()) -> Column:
    return Column(name=name, type="string", about=about, nullable=nullable, accepted=accepted)


def _at(name: str, about: str) -> Column:
    return Column(name=name, type="timestamp", about=about, unit="UTC", nullable=False)


TRIGGER_LIST_V1 = (
    _text("trigger_id", "32 hex digits; the same message has the same one in every list, so it is sent once."),
    _text("action", "send it, or cancel what an earlier list of the date told to send.", accepted=ACTIONS),
    _text("trigger", "The trigger, by name."),
    _text("rule_version", "Version of the trigger that selected it."),
    Column(name="as_of_date", type="date", about="The night that selected.", nullable=False),
    Column(name="send_date", type="date", about="The day after it, on which the message goes out.", nullable=False),
    _text("customer_id", "Who is written to, as the app knows them."),
    _text("subject", "The due that it is about; empty where it is about the customer."),
    _text("channel", "How they are reached.", accepted=CHANNELS),
    _text("message_class", "Whether it is promotional or a service.", accepted=PURPOSES),
    Column(name="priority", type="int", about="1 goes first.", nullable=False),
    _text("offer_id", "The offer in it; empty for none."),
    _text("template_id", "The provider's template; empty for none."),
    _text("header_id", "The provider's header; empty for none."),
    _text("language", "The customer's language, ISO 639-1; null where it is not known.", nullable=True),
    _at("send_not_before", "Begin of the hours in which it may go out on the send date."),
    _at("send_not_after", "End of those hours."),
    _at("expires_at", "From then on it is not sent any more."),
    _text("evidence", "The declared values that go with it, as JSON with sorted keys."),
)

AUDIENCE_ACTIONS = ("add", "remove")

_AUDIENCE = _text("audience", "The trigger whose selected customers it is of, by name.")
_CUSTOMER_REF = Column(
    name="customer_ref",
    type="string",
    about="SHA-256 in hex of a phone number's digits with its country code, else of an e-mail address in lower case.",
    nullable=False,
    privacy="personal",
)
_SINCE_DATE = Column(
    name="since_date",
    type="date",
    about="The date from which it was in the audience; it stays while the customer stays.",
    nullable=False,
)

AUDIENCE_V1 = (
    _AUDIENCE,
    _CUSTOMER_REF,
    _text("action", "add it, or remove what was added before.", accepted=AUDIENCE_ACTIONS),
    _SINCE_DATE,
)
AUDIENCE_SNAPSHOT_V1 = (_AUDIENCE, _CUSTOMER_REF, _SINCE_DATE)

BASES = ("own", "cohort", "default")

ICON_ORDER_V1 = (
    _text("customer_id", "Whose home screen it is, as the app knows them."),
    Column(name="icons", type="array<string>", about="The icons to show, in their order.", nullable=False),
    Column(name="hidden", type="array<string>", about="The icons to hide; with the shown ones all.", nullable=False),
    _text("basis", "Whose taps the order is of: their own, their level's, or nobody's.", accepted=BASES),
)

REVOCATIONS_V1 = (
    _text("customer_id", "Who withdrew."),
    _text("purpose", "What they may not be written to about any more.", accepted=PURPOSES),
    _text("channel", "How they may not be reached any more.", accepted=CHANNELS),
    _at("withdrawn_at", "When the withdrawal was recorded."),
)
