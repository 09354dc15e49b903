"""identity: core.identity_links and its state, whose device, phone and e-mail address it is; core.contact_links."""

from __future__ import annotations

from collections.abc import Iterator

from conf import Settings
from tests.oracle.night import Night

# Feeds that tell a device together with a customer, and the time of it.
SEEN = {"transactions": "occurred_at", "app_events": "occurred_at", "devices": "updated_at"}
# Ids of a registration that are one customer's at a time; columns of core.customers are named as they are.
OWNED = ("phone", "email")
LINK = "id_type, id_token, customer_id, valid_from, valid_to, evidence"
LINKS, STATE, CONTACTS = "core.identity_links", "core.identity_links_state", "core.contact_links"


def writes(settings: Settings) -> list[str]:
    """None where no source tells whose an id is."""
    if not any(_tells(settings)):
        return []
    return [LINKS, STATE, *([CONTACTS] if settings.sources_of("contacts") else [])]


def run(night: Night) -> None:
    """One row is one link that is new or changed; one link in its newest version; one contact that is a customer."""
    tables = writes(night.settings)
    if not tables:
        return
    night.sql.execute(f"create or replace temp table links as {_devices(night)} union all by name {_owned(night)}")
    night.tables.write(LINKS, night.day, "from links")
    night.tables.write(STATE, night.day, _state(night))
    if CONTACTS in tables:
        night.tables.write(CONTACTS, night.day, _contacts(night))
    night.sql.execute("drop table links")


def _tells(settings: Settings) -> Iterator[bool]:
    """For each feed that may tell whose an id is: whether a source does."""
    for feed in SEEN:
        yield any({"device_id", "customer_id"} <= source.map.keys() for source in settings.sources_of(feed))
    for source in settings.sources_of("customers"):
        yield bool(source.map.keys() & set(OWNED))


def _state(night: Night) -> str:
    """The links known before but for those that are told anew; of a device all versions are one link."""
    return f"""
        select {LINK} from {_before(night)} as before
        where not exists (
            from links
            where (links.id_type, links.id_token, links.customer_id)
                    = (before.id_type, before.id_token, before.customer_id)
                and (links.valid_from = before.valid_from or links.id_type = 'device')
        )
        union all by name from links
    """


def _before(night: Night) -> str:
    return night.tables.on(STATE, night.before)


def _devices(night: Night) -> str:
    """Links of devices that are new, or begin earlier than was known."""
    told = " union all ".join(
        f"select device_id, customer_id, {at} as told_at, '{feed}' as feed "
        f"from {night.tables.on(f'core.{feed}', night.day)} where customer_id is not null and device_id is not null"
        for feed, at in SEEN.items()
    )
    return f"""(
        with told as (
            select device_id as id_token, customer_id, min(struct_pack(told_at, feed)) as first
            from ({told}) group by all
        )
        select 'device' as id_type, id_token, customer_id, first.told_at as valid_from, null as valid_to,
            first.feed as evidence
        from told left join (from {_before(night)} where id_type = 'device') as known using (id_token, customer_id)
        where known.valid_from is null or first.told_at < known.valid_from
    )"""


def _owned(night: Night) -> str:
    """Links of phones and e-mail addresses that begin, or end at another time than was known.

    They begin with the version of a registration that brings them, and end with the next that does not, or where the
    next customer's begins. A version that is older than what was known of the customer changes nothing.
    """
    known = night.tables.on("core.customers_state", night.before)
    ids = " union all ".join(
        f"select '{name}' as id_type, customer_id, if(is_deleted, null, {name}) as id_token, since, row_hash from told"
        for name in OWNED
    )
    in_order = "partition by id_type, customer_id order by since nulls first, row_hash"
    return f"""(
        with
            -- Whoever was told of: what was known, which has no `since`, and what is newer.
            tonight as (
                select new.*, new.updated_at as since from {night.tables.on("core.customers", night.day)} as new
                    left join {known} as known using (customer_id)
                where known.customer_id is null
                    or (new.updated_at, new.row_hash) > (known.updated_at, known.row_hash)
            ),
            told as (
                from tonight
                union all by name
                select *, null as since from {known} semi join tonight using (customer_id)
            ),
            steps as (
                from ({ids}) window step as ({in_order})
                qualify row_number() over step = 1 or id_token is distinct from lag(id_token) over step
            ),
            held as (select *, lead(since) over ({in_order}) as left_at from steps),
            known as (
                select {LINK} from {_before(night)} semi join held using (id_type, id_token) where id_type <> 'device'
            ),
            stand as (
                select known.* replace (least(known.valid_to, left_at) as valid_to)
                from known left join held
                    on since is null and (held.id_type, held.id_token, held.customer_id)
                        = (known.id_type, known.id_token, known.customer_id)
                union all by name
                select id_type, id_token, customer_id, since as valid_from, left_at as valid_to,
                    'customers' as evidence
                from held where since is not null and id_token is not null
            )
        select id_type, id_token, customer_id, valid_from, least(valid_to, lead(valid_from) over next) as valid_to,
            evidence
        from stand window next as (partition by id_type, id_token order by valid_from, customer_id)
        except all from known
    )"""


def _contacts(night: Night) -> str:
    """Contacts that are a customer, looked at on one night: when both they and a link of their number are known.

    Deleted by then, nobody's number by then or one's own: then they are none, and are not looked at again.
    """
    contacts = "core.contacts_state"
    entry = "customer_id, contact_token"
    return f"""
        with
            linked_tonight as (
                from links anti join {_before(night)} using (id_type, id_token) where id_type = 'phone'
            ),
            entries as (
                (
                    select distinct on ({entry}) {entry}, is_deleted
                    from {night.tables.on("core.contacts", night.day)}
                        anti join {night.tables.on(contacts, night.before)} using ({entry})
                    order by updated_at desc nulls last, row_hash desc
                )
                union
                select {entry}, is_deleted from {night.tables.on(contacts, night.day)}
                where contact_token in (select id_token from linked_tonight)
            )
        select entries.{entry}, owner.customer_id as contact_customer_id
        from entries join {night.tables.on(STATE, night.day)} as owner
            on owner.id_type = 'phone' and owner.id_token = contact_token and owner.valid_to is null
        where not coalesce(is_deleted, false) and entries.customer_id <> owner.customer_id
    """
