"""The lists that leave the lake, column by column in their order: what campaign systems rely on (spec §4)."""

from __future__ import annotations

from schemas.columns import CHANNELS, PURPOSES
from schemas.table import Column

ACTIONS = ("send", "cancel")


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
