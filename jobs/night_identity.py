"""The part of the stage conform that learns whose device and phone it is, and which contacts are customers."""

from __future__ import annotations

from datetime import timedelta

from jobs import contact_links, identity
from jobs.ledger_records import Upstream
from jobs.night_states import OF_IDS, of_feed
from jobs.pipeline import has_table
from jobs.runner import Night
from schemas.identity import CONTACT_LINKS, IDENTITY_LINKS

TOLD_BY = ("transactions", "app_events", "devices", "customers")
# Snapshots of the night before that links are told from: while they are, no newer one may be published.
STATES = {feed: of_feed(feed) for feed in ("customers", "contacts")}


def run(night: Night) -> None:
    """Publish the links of these nights, where any source of the lake can tell of some."""
    if has_table(night.settings, IDENTITY_LINKS.name):
        _link_ids(night)
        if has_table(night.settings, CONTACT_LINKS.name):
            _link_contacts(night)
        OF_IDS.publish(night)


def _link_ids(night: Night) -> None:
    feeds = [feed for feed in TOLD_BY if night.settings.sources_of(feed)]
    links = identity.transform(
        *(night.posted(feed) for feed in TOLD_BY),
        customers_before=STATES["customers"].before(night) if "customers" in feeds else None,
        links_before=OF_IDS.before(night),
    )
    staged = night.audited(IDENTITY_LINKS.name, links)
    made_from = night.upstreams([f"core.{feed}" for feed in feeds])
    # Each night was told from what was known the night before, and so on back to the first.
    known = night.digests(IDENTITY_LINKS.name, night.first - timedelta(days=1), night.first - timedelta(days=1))
    known |= {day: Upstream(table=IDENTITY_LINKS.name, day=day, digest=staged.digest(day)) for day in staged.days}
    for day in night.days:
        made_from[day] += [known[then] for then in (day - timedelta(days=1),) if then in known]
    night.publish(staged, made_from, announced_empty=night.days)


def _link_contacts(night: Night) -> None:
    found = contact_links.transform(
        night.posted("contacts"),
        night.lake.read(IDENTITY_LINKS.name, known_on=night.last, since=night.first),
        contacts_before=STATES["contacts"].before(night),
        links_before=OF_IDS.before(night),
    )
    staged = night.audited(CONTACT_LINKS.name, found)
    made_from = night.upstreams(["core.contacts", IDENTITY_LINKS.name])
    night.publish(staged, made_from, announced_empty=night.days)
