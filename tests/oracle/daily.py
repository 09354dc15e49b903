"""daily: core.customer_daily, what a night told about each customer: one aggregate for each feed, then one join."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

from conf import Settings
from schemas.columns import RAILS
from schemas.customer_daily import BILL_CATEGORIES, FAMILIES
from tests.oracle import facts
from tests.oracle.facts import counted
from tests.oracle.night import Night

# How many nights a device's rows of a date wait for a link, and how many days after that date it may begin.
LOOK_BACK = 35
LINKED_WITHIN = 3
KEY = "customer_id, event_date"
# What tells the same of a customer: their columns are put together, those of the others stand side by side.
OF_PEOPLE = ("app", "seen", "claimed")


def writes(settings: Settings) -> list[str]:
    return ["core.customer_daily"]


def run(night: Night) -> None:
    """One row is what the night told about one customer on one event date."""
    told = _told(night)
    night.tables.write(
        "core.customer_daily",
        night.day,
        f"""
        with {_list(f"{name} as materialized ({query} group by all)" for name, query in told.items())},
        keys as ({" union ".join(f"select {KEY} from {name}" for name in told)})
        select {KEY}, {_list(f"{name}.* exclude ({KEY})" for name in told if name not in OF_PEOPLE)},
            {_list(facts.together(*OF_PEOPLE))},
            coalesce(has_paid, false) as is_transacting,
            is_transacting or coalesce(app.foreground_event_count, claimed.foreground_event_count, 0) > 0 as is_active
        from keys {" ".join(f"left join {name} using ({KEY})" for name in told)}
        """,
    )


def _told(night: Night) -> dict[str, str]:
    """What each feed told: a query that is grouped by customer and event date."""

    def of(feed: str, columns: Iterable[str]) -> str:
        return f"select {KEY}, {_list(columns)} from {night.tables.on(f'core.{feed}', night.day)}"

    events = facts.events(night.settings, night.tables.on("core.app_events", night.day))
    return {
        "paid": of("transactions", _paid()),
        "app": f"select {KEY}, {_list(facts.app())} from {events} where customer_id is not null",
        "seen": f"{of('devices', facts.devices())} where customer_id is not null",
        "claimed": _claimed(night),
        "registered": of("customers", ["min(registered_at) as registered_at"]),
        "billed": of("bills", _billed()),
        "contacts": of("contacts", ["count(*) as contact_count"]),
        "consents": of("consents", ["count(*) as consent_count"]),
        "linked": f"""
            select customer_id, as_of_date as event_date, count(*) as contact_linked_count
            from {night.tables.on("core.contact_links", night.day)}
        """,
    }


def _paid() -> Iterator[str]:
    """Payments by family, by rail, and by what else became of them."""
    success, credit = "status = 'success' and direction = 'debit'", "status = 'success' and direction = 'credit'"
    families = {family: f"{success} and product in ({_texts(products)})" for family, products in FAMILIES.items()}
    rails = {f"rail_{rail}": f"{success} and rail = '{rail}'" for rail in RAILS}
    undone = {status: f"status = '{status}' and direction = 'debit'" for status in ("pending", "failed", "reversed")}
    yield f"bool_or({success}) as has_paid"
    for name, condition in {**families, **rails, **undone, "received": credit}.items():
        yield counted(f"{name}_count", condition)
    for name, condition in {**families, **rails, "reversed": undone["reversed"], "received": credit}.items():
        yield f"sum(amount_minor) filter ({condition}) as {name}_amount_minor"
    for name, condition in {**families, **undone}.items():
        at = "updated_at" if name == "reversed" else "occurred_at"
        yield f"max({at}) filter ({condition}) as {name}_last_at"
    for category in BILL_CATEGORIES:
        yield counted(f"{category}_count", f"{families['bill']} and category = '{category}'")
    yield f"max(amount_minor) filter ({families['transfer']}) as largest_transfer_minor"


def _billed() -> Iterator[str]:
    yield "count(*) as bill_version_count"
    yield counted("bill_paid_count", "status = 'paid'")
    yield "max(due_date) as bill_last_due_date"


def _claimed(night: Night) -> str:
    """What devices told before it was known whose they are, on the night that learns it.

    Rows are their customer's from the first night on which they and a link that fits were known; a link is what its
    newest version of that night says.
    """
    since = night.day - timedelta(days=LOOK_BACK)
    days = night.tables.read("core.device_daily", since=since, until=night.day)
    links = night.tables.read("core.identity_links", since=since, until=night.day)
    return f"""
        with
            links as (
                select id_token as device_id, customer_id, valid_from, as_of_date as known_on,
                    timezone('{night.settings.lake.zone}', valid_from)::date as begins_on,
                    lead(as_of_date) over (partition by id_token, customer_id order by as_of_date) as replaced_on
                from {links} where id_type = 'device'
            ),
            claims as (
                select days.as_of_date, device_id, event_date,
                    arg_min(customer_id, (valid_from, customer_id)) as customer_id
                from {days} as days join links using (device_id)
                where event_date > date '{since}' and begins_on between event_date and event_date + {LINKED_WITHIN}
                    and (replaced_on is null or replaced_on > days.as_of_date)
                group by all
                having min(greatest(known_on, days.as_of_date)) = date '{night.day}'
            )
        select {KEY}, {_list(facts.summed())} from {days} join claims using (as_of_date, device_id, event_date)
    """


def _list(expressions: Iterable[str]) -> str:
    return ", ".join(expressions)


def _texts(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)
