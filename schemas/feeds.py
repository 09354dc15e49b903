"""The feeds a source can be mapped to: their columns, keys, dates and row rules."""

from __future__ import annotations

from schemas.event_feeds import APP_EVENTS, CAMPAIGN_FEEDBACK, DEVICES, TRANSACTIONS
from schemas.feed import Feed
from schemas.state_feeds import BILLS, CONSENTS, CONTACTS, CUSTOMERS

FEEDS: dict[str, Feed] = {
    feed.name: feed
    for feed in (TRANSACTIONS, APP_EVENTS, DEVICES, CONTACTS, CUSTOMERS, CONSENTS, BILLS, CAMPAIGN_FEEDBACK)
}

__all__ = [
    "APP_EVENTS",
    "BILLS",
    "CAMPAIGN_FEEDBACK",
    "CONSENTS",
    "CONTACTS",
    "CUSTOMERS",
    "DEVICES",
    "FEEDS",
    "TRANSACTIONS",
    "Feed",
]
