"""dues: mart.dues, bills and recharge plans that fall due, folded from the night before and what tonight told.

What counts for a due is told from `LOOK_BACK` nights before the night that first saw it until `KEPT_DAYS` after it
falls due. Only the dues of customers of whom something was told tonight are looked at anew.
"""

from __future__ import annotations

from datetime import timedelta

from conf import Settings
from schemas.dues import DUES
from tests.oracle.night import Night

LOOK_BACK = 14
KEPT_DAYS = 45
# A bill that does not say when it was issued was so many days before it falls due.
ISSUED_BEFORE = 30
PLAN_CATEGORIES = ("mobile", "dth")
LONGEST_PLAN = 3660

COLUMNS = ", ".join(name for name in DUES.column_names if name != "as_of_date")
# The payments of a bill count until the next bill of its subject is issued; the next plan of its subject renews a plan.
# Nulls in a struct are equal.
SUBJECT = "{'category': category, 'biller': biller_id, 'number': counterparty_token}"
PAYMENTS = '[{"date": "DATE", "id": "VARCHAR", "occurred_at": "BIGINT", "told_on": "DATE", "updated_at": "BIGINT"}]'
DEBITS = "product in ('bill_payment', 'recharge') and direction = 'debit' and status <> 'pending'"
# Of two postings of one time the later state counts: a success (2) is undone by what comes after it.
STANDING = "(updated_at, list_position(['failed', 'success', 'reversed'], status))"
POSTING = f"""
    as_of_date, event_date, transaction_id, customer_id, occurred_at, updated_at, product, category, status,
    amount_minor, currency, counterparty_token, biller_id, plan_validity_days, {STANDING} as standing
"""
# A word of before the issue is one of the moment of issue; of one time the one that closes the bill is the newer.
NEWEST_FIRST = """
    greatest(updated_at, opened_at) desc, list_position(['issued', 'cancelled', 'paid'], bill_status) desc,
    updated_at desc, row_hash desc
"""


def writes(settings: Settings) -> list[str]:
    return ["mart.dues"]


def run(night: Night) -> None:
    """One row is one bill or one recharge plan of one customer, and where it stands."""
    _tell(night)
    night.sql.execute(f"create or replace temp table folded as {_folded(night)}")
    night.tables.write("mart.dues", night.day, _kept(night))
    night.sql.execute("drop table versions; drop table postings; drop table known; drop table folded")


def _tell(night: Night) -> None:
    """What was told of those who paid or were billed tonight, `versions` and `postings`, and their dues so far."""
    day, tonight = night.day, f"date '{night.day}'"
    looked_back = night.tables.read("core.transactions", since=day - timedelta(days=LOOK_BACK), until=night.before)
    night.sql.execute(
        f"""
        create or replace temp table versions as
        select customer_id, bill_id as due_id, 'bill' as kind, category, biller_id, due_date, amount_minor, currency,
            {tonight} as first_seen_date, updated_at, row_hash, event_date as told_date, status as bill_status,
            coalesce(issued_at, (due_date - {ISSUED_BEFORE})::timestamptz) as opened_at
        from {night.tables.on("core.bills", day)}
        where due_date >= {tonight} - {KEPT_DAYS};

        create or replace temp table postings as
        with tonight as (select {POSTING} from {night.tables.on("core.transactions", day)} where {DEBITS})
        from tonight
        union all
        select {POSTING}
        from {looked_back}
            semi join (select customer_id from tonight union all select customer_id from versions) using (customer_id)
        where {DEBITS} and (product = 'bill_payment' or status <> 'success');

        create or replace temp table known as
        select {COLUMNS}
        from {night.tables.on("mart.dues", night.before)}
            semi join (
                select customer_id from postings where as_of_date = {tonight} union all select customer_id from versions
            ) using (customer_id)
        """
    )


def _folded(night: Night) -> str:
    """The dues of these customers, and where they stand."""
    return f"""
        with bills as ({_bills()}),
        paid as ({_paid(night)}),
        payments as ({_payments()}),
        plans as ({_plans(night)}),
        renewed as (
            select plan.due_id, min(next.told_date) as renewed_on
            from plans as plan
                join plans as next on next.customer_id = plan.customer_id and next.subject = plan.subject
                    and (next.opened_at, next.due_id) > (plan.opened_at, plan.due_id)
                    and next.first_seen_date <= plan.due_date + {KEPT_DAYS}
            where next.undone_date is null or next.undone_date > plan.due_date + {KEPT_DAYS}
            group by plan.due_id
        )
        select * replace (
            told_payments as payments,
            case when paid_on is not null then 'paid' when bill_status = 'issued' then 'open' else bill_status end
                as state,
            case when paid_on is not null then paid_on when bill_status <> 'issued' then told_date end as closed_date
        )
        from bills left join payments using (due_id)
        union all by name
        select * replace (
            case
                when undone_date is not null then 'reversed'
                when renewed_on is not null then 'renewed'
                else 'open'
            end as state,
            if(undone_date is not null, undone_on, renewed_on) as closed_date
        )
        from plans left join renewed using (due_id)
    """


def _bills() -> str:
    """Each bill in its newest version; `was` is its subject of the night before."""
    return f"""
        select * replace (min(first_seen_date) over bill as first_seen_date, any_value(was) over bill as was)
        from (
            select *, {SUBJECT} as subject
            from (select *, {SUBJECT} as was from known where kind = 'bill' union all by name from versions)
        )
        window bill as (partition by due_id)
        qualify row_number() over (partition by due_id order by {NEWEST_FIRST}) = 1
    """


def _paid(night: Night) -> str:
    """For each bill the payments to its biller that were not undone: those it had, and what was told tonight.

    For a bill that is new, or about something else than before, also what was told in the nights looked back to.
    """
    return f"""
        select due_id, payment
        from (
            select due_id, unnest(from_json(known.payments, '{PAYMENTS}')) as payment
            from known join bills using (due_id) where subject = was
            union all
            select due_id, {{
                'date': posted.event_date, 'id': transaction_id, 'occurred_at': epoch_us(occurred_at),
                'told_on': posted.as_of_date, 'updated_at': epoch_us(posted.updated_at)
            }}
            from bills
                join (
                    select * replace (null as counterparty_token), {SUBJECT} as subject
                    from postings where product = 'bill_payment' and status = 'success'
                ) as posted using (customer_id, subject)
            where (posted.as_of_date = date '{night.day}' or subject is distinct from was)
                and posted.as_of_date <= due_date + {KEPT_DAYS}
        )
            join bills using (due_id)
            anti join (from postings where status <> 'success') as undo
                on transaction_id = payment.id and standing > (make_timestamptz(payment.updated_at), 2)
                    and undo.as_of_date <= due_date + {KEPT_DAYS}
    """


def _payments() -> str:
    """For each bill its payments as JSON, and the date of the first that pays it.

    A payment made after the next bill was issued is for that, if it can be.
    """
    return f"""
        select due_id, to_json(list(payment order by payment)) as told_payments,
            min(payment.date) filter (payment.occurred_at >= epoch_us(opened_at) and not is_for_next) as paid_on
        from (
            select due_id, payment, bills.opened_at,
                exists (
                    from bills as next
                    where next.customer_id = bills.customer_id and next.subject = bills.subject
                        and (next.opened_at, next.due_id) > (bills.opened_at, bills.due_id)
                        and next.first_seen_date <= bills.due_date + {KEPT_DAYS}
                        and payment.occurred_at >= epoch_us(next.opened_at)
                        and payment.told_on between next.first_seen_date - {LOOK_BACK} and next.due_date + {KEPT_DAYS}
                ) as is_for_next
            from paid join bills using (due_id)
        )
        group by due_id
    """


def _plans(night: Night) -> str:
    """Each plan that was bought; where it was undone, since when, and by which night that was learnt."""
    return f"""
        with bought as (
            from known where kind = 'plan'
            union all by name
            select customer_id, transaction_id as due_id, 'plan' as kind, category, biller_id,
                event_date + plan_validity_days as due_date, amount_minor, currency, as_of_date as first_seen_date,
                occurred_at as opened_at, counterparty_token, updated_at, event_date as told_date
            from postings
            where as_of_date = date '{night.day}' and product = 'recharge' and status = 'success'
                and category in {PLAN_CATEGORIES} and plan_validity_days between 1 and {LONGEST_PLAN}
        ),
        undone as (
            select due_id, min(undo.as_of_date) as learnt_on, min(undo.event_date) as undone_on
            from bought join postings as undo on transaction_id = due_id
            where status <> 'success' and standing > (bought.updated_at, 2)
                and undo.as_of_date <= due_date + {KEPT_DAYS}
            group by due_id
        )
        select bought.* replace (least(undone_date, learnt_on) as undone_date), {SUBJECT} as subject,
            least(if(undone_date is null, null, closed_date), undone_on) as undone_on
        from bought left join undone using (due_id)
    """


def _kept(night: Night) -> str:
    """All dues but those that were due, and closed if they are, long ago; unless one before it is still there."""
    return f"""
        with dues as (
            select *, greatest(due_date, closed_date) < date '{night.day}' - {KEPT_DAYS} as is_over
            from (
                select {COLUMNS} from folded
                union all
                select {COLUMNS}
                from {night.tables.on("mart.dues", night.before)} anti join known using (customer_id)
            )
        ),
        touched as (select distinct customer_id from dues where is_over)
        from dues anti join touched using (customer_id)
        union all
        from dues semi join touched using (customer_id)
        qualify not bool_and(is_over) over (
            partition by kind, customer_id, category, biller_id, counterparty_token
            order by opened_at, due_id
            rows unbounded preceding
        )
    """
