"""mart.dues: bills and recharge plans that fall due, folded from the snapshot before and what was told since.

A row is a function of what was told, not of the order or the nights in which it was: what counts for it is told
at most `LOOK_BACK` nights before the night that first saw it and at most `KEPT_DAYS` after it falls due. From then
on it is settled, and it stays until it has been due for `KEPT_DAYS`, and closed for as long where it is closed
at all, and as long as an earlier one of its subject does. So nights and hops agree, unless a bill is told to fall due
later when it has gone already, or to be another biller's after payments to that one were told.

- A *bill* is paid by a payment to its biller in its category made after it was issued and before the next bill
  was, as long as the payment is not undone. Else the biller's newest word stands; a word of before the issue is
  one of the moment of issue, where `paid` outweighs `issued`: who paid in advance is not asked to pay. A later
  `issued` takes back an earlier `paid` of the biller's, but never a payment that the lake has seen.
- A *plan* is a successful recharge with a validity. The newest of a number that is not undone is open, those
  before it are renewed; where the newest is undone the one before opens again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from pyspark.sql import DataFrame, Window, WindowSpec
from pyspark.sql import functions as F

from jobs.frames import select_contract
from schemas.dues import DUES

# A bill may be learnt after its payment: so many nights before it the payments still count. Frames of
# transactions begin as many nights before the first night that is folded.
LOOK_BACK = 14
# How long a row stays once it is closed, or open and due.
KEPT_DAYS = 45
# A bill that does not say when it was issued, was so many days before it falls due.
ISSUED_BEFORE = 30
# So many later bills or plans of a subject are looked at; bounds the work for who recharges for a whole village.
AHEAD = 30
PLAN_CATEGORIES = ("mobile", "dth")
# What claims to be valid for more than ten years is told in a wrong unit, and its end may be no date.
LONGEST_PLAN = 3660

# A version of a bill, a purchase or a payment; the greatest is the newest.
THING = {
    "ranked_at": "timestamp",
    "rank": "int",
    "updated_at": "timestamp",
    "row_hash": "bigint",
    "category": "string",
    "biller_id": "string",
    "counterparty_token": "string",
    "due_date": "date",
    "amount_minor": "bigint",
    "currency": "string",
    "opened_at": "timestamp",
    "told_date": "date",
    "bill_status": "string",
}
# A failure or reversal of one; `is_known`: a fold before found that it counts.
UNDO = {
    "told_on": "date",
    "updated_at": "timestamp",
    "is_reversal": "boolean",
    "event_date": "date",
    "is_known": "boolean",
}
# What a bill remembers of a payment, in the order of the keys of its JSON; times as microseconds, which JSON keeps.
PAYMENT = {"date": "date", "id": "string", "occurred_at": "bigint", "told_on": "date", "updated_at": "bigint"}
RANK = "array_position(array('issued', 'cancelled', 'paid'), {status})"


def transform(
    previous: DataFrame | None, bills: DataFrame, transactions: DataFrame, *, since: date | None, as_of: date
) -> DataFrame:
    """One row is one bill or plan and where it stands on `as_of`.

    `previous` is the snapshot of `since`; `bills` holds the versions of the nights after it, `transactions` the
    postings of the same nights and of the `LOOK_BACK` nights before them. Without a previous one both begin with
    the lake. One shuffle, by customer.
    """
    facts = _told(bills).unionByName(_posted(transactions))
    if previous is not None:
        facts = facts.unionByName(_held(previous))
    things = _things(facts.repartition("customer_id"), since or date.min)
    stood = _standing(things, since or date.min)
    kept = stood.withColumn(
        "kept_until", F.max("kept_until").over(_subject().rowsBetween(Window.unboundedPreceding, 0))
    )
    return select_contract(
        kept.where(f"kept_until >= date'{as_of}'").withColumn("as_of_date", F.lit(as_of)),
        DUES,
    )


def _struct(types: Mapping[str, str], given: Mapping[str, str]) -> str:
    """A struct as SQL, with null where nothing is given."""
    fields = ", ".join(f"'{name}', cast({given.get(name, 'null')} as {type_})" for name, type_ in types.items())
    return f"named_struct({fields})"


def _type(types: Mapping[str, str]) -> str:
    return f"struct<{', '.join(f'{name}: {type_}' for name, type_ in types.items())}>"


def _fact(kind: str, id_: str, told_on: str, *, thing: str = "", undo: str = "", held_by: str = "") -> str:
    """A fact as SQL: something that was told of one bill, plan or payment on one night.

    `held_by`: a row of the snapshot before that knew of it: the bill or plan itself, or the bill it counts for.
    """
    return (
        f"named_struct('customer_id', customer_id, 'kind', {kind}, 'id', {id_}, 'told_on', {told_on}, "
        f"'thing', {thing or f'cast(null as {_type(THING)})'}, "
        f"'undo', {undo or f'cast(null as {_type(UNDO)})'}, "
        f"'held_by', cast({held_by or 'null'} as string))"
    )


def _held(previous: DataFrame) -> DataFrame:
    """What the snapshot before knew: its rows, and the payments that its bills remember."""
    ranked_at = {
        "ranked_at": "if(kind = 'bill', greatest(updated_at, opened_at), updated_at)",
        "rank": RANK.format(status="bill_status"),
    }
    own = _struct(THING, {name: name for name in THING} | ranked_at)
    undone = _struct(UNDO, {"told_on": "undone_date", "event_date": "closed_date", "is_known": "true"})
    undone = f"if(undone_date is not null, {undone}, null)"
    row = _fact("kind", "due_id", "first_seen_date", thing=own, undo=undone, held_by="due_id")
    paid = _struct(
        THING,
        {
            "updated_at": "timestamp_micros(paid.updated_at)",
            "category": "category",
            "biller_id": "biller_id",
            "opened_at": "timestamp_micros(paid.occurred_at)",
            "told_date": "paid.date",
        },
    )
    payment = _fact("'payment'", "paid.id", "paid.told_on", thing=paid, held_by="due_id")
    payments = f"coalesce(from_json(payments, 'array<{_type(PAYMENT)}>'), array())"
    facts = f"concat(array({row}), transform({payments}, paid -> {payment}))"
    return previous.selectExpr(f"explode({facts}) as fact").select("fact.*")


def _told(bills: DataFrame) -> DataFrame:
    """One fact per version of a bill; a bill first told when it is long past due is nobody's concern."""
    rows = bills.where(f"as_of_date <= date_add(due_date, {KEPT_DAYS})").withColumn(
        "opened_at", F.expr(f"coalesce(issued_at, cast(date_sub(due_date, {ISSUED_BEFORE}) as timestamp))")
    )
    given = {name: name for name in THING} | {
        "ranked_at": "greatest(updated_at, opened_at)",
        "rank": RANK.format(status="status"),
        "counterparty_token": "null",
        "told_date": "event_date",
        "bill_status": "status",
    }
    fact = _fact("'bill'", "bill_id", "as_of_date", thing=_struct(THING, given))
    return rows.selectExpr(f"{fact} as fact").select("fact.*")


def _posted(transactions: DataFrame) -> DataFrame:
    """One fact per posting of a payment of a bill or a recharge: that it succeeded, or that it came to nothing."""
    is_plan = "product = 'recharge'"
    categories = ", ".join(f"'{category}'" for category in PLAN_CATEGORIES)
    is_valid = f"category in ({categories}) and plan_validity_days between 1 and {LONGEST_PLAN}"
    buys_nothing = f"{is_plan} and not coalesce({is_valid}, false)"
    rows = transactions.where(
        "direction = 'debit' and product in ('bill_payment', 'recharge') "
        "and status in ('success', 'failed', 'reversed')"
    ).where(f"not (status = 'success' and {buys_nothing})")
    given = {name: name for name in THING if name not in ("ranked_at", "rank", "row_hash", "bill_status")} | {
        "counterparty_token": f"if({is_plan}, counterparty_token, null)",
        "due_date": "date_add(event_date, plan_validity_days)",
        "opened_at": "occurred_at",
        "told_date": "event_date",
    }
    undo = {
        "told_on": "as_of_date",
        "updated_at": "updated_at",
        "is_reversal": "status = 'reversed'",
        "event_date": "event_date",
        "is_known": "false",
    }
    fact = _fact(
        f"if({is_plan}, 'plan', 'payment')",
        "transaction_id",
        "as_of_date",
        thing=f"if(status = 'success', {_struct(THING, given)}, null)",
        undo=f"if(status = 'success', null, {_struct(UNDO, undo)})",
    )
    return rows.selectExpr(f"{fact} as fact").select("fact.*")


def _things(facts: DataFrame, since: date) -> DataFrame:
    """One row is one bill, plan or payment by all that was told of it.

    A plan that was told before and is not held has gone; a look back does not bring it again.
    """
    newest_first = Window.partitionBy("customer_id", "kind", "id").orderBy(F.desc("thing"))
    whole = newest_first.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    # Windows, not an aggregate: one that collects is made twice and sorts each time.
    gathered = facts.withColumns(
        {
            "place": F.row_number().over(newest_first),
            "first_seen_date": F.min(F.expr("if(thing is null, null, told_on)")).over(whole),
            "undos": F.collect_list("undo").over(whole),
            "held_by": F.collect_set("held_by").over(whole),
        }
    )
    things = (
        gathered.where("place = 1 and thing is not null")
        .selectExpr("customer_id", "kind", "id as due_id", "thing.*", "first_seen_date", "undos", "held_by")
        .where(f"kind <> 'plan' or size(held_by) > 0 or first_seen_date > date'{since}'")
    )
    undone = f"filter(undos, undo -> kind = 'plan' and {_counts('undo', 'updated_at', 'first_seen_date')})"
    return things.withColumn("undone", F.expr(undone)).selectExpr(
        "*",
        "kind = 'plan' as is_plan",
        "array_min(transform(undone, undo -> undo.told_on)) as undone_date",
        "array_min(transform(undone, undo -> undo.event_date)) as undone_on",
    )


def _counts(undo: str, updated_at: str, first_told: str) -> str:
    """Whether a failure or reversal undoes a success for a row: it is the later word, and was told in time."""
    is_later = f"({undo}.updated_at > {updated_at} or ({undo}.is_reversal and {undo}.updated_at = {updated_at}))"
    is_in_time = f"{undo}.told_on between date_sub({first_told}, {LOOK_BACK}) and date_add(due_date, {KEPT_DAYS})"
    return f"({undo}.is_known or ({is_later} and {is_in_time}))"


def _subject() -> WindowSpec:
    """The bills of one biller and category, or the plans of one number, of one customer, in the order of time."""
    return Window.partitionBy("customer_id", "is_plan", "category", "biller_id", "counterparty_token").orderBy(
        "opened_at", "due_id", "kind"
    )


def _standing(things: DataFrame, since: date) -> DataFrame:
    """One row is one bill or plan with its state, and until when that keeps it."""
    told = F.expr(
        "if(kind = 'payment', struct(told_date as date, due_id as id, opened_at as occurred_at, "
        "first_seen_date as told_on, updated_at, undos, held_by), null)"
    )
    whole = _subject().rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    later = F.struct("opened_at", "first_seen_date", "due_date", "told_date", "undone_date")
    rows = things.withColumn("told", F.collect_list(told).over(whole)).where("kind <> 'payment'")
    rows = rows.withColumn("later", F.collect_list(later).over(_subject().rowsBetween(1, AHEAD)))
    for names in _judged(since):
        rows = rows.selectExpr("*", *(f"{expression} as {name}" for name, expression in names.items()))
    return rows


def _judged(since: date) -> tuple[Mapping[str, str], ...]:
    """Each step's new columns, as SQL: which payments count, what closed the row, and how long that keeps it."""
    # A payment that was undone has been forgotten: of those told before only the remembered ones count again.
    is_open_to = f"size(held_by) = 0 or array_contains(paid.held_by, due_id) or paid.told_on > date'{since}'"
    is_undone = _counts("undo", "paid.updated_at", "greatest(paid.told_on, first_seen_date)")
    is_told_in_time = _is_told_in_time("paid.told_on", "first_seen_date", "due_date")
    settled = f"date_add(due_date, {KEPT_DAYS})"
    is_taken = f"paid.occurred_at >= next.opened_at and next.first_seen_date <= {settled} and " + _is_told_in_time(
        "paid.told_on", "next.first_seen_date", "next.due_date"
    )
    renews = f"next.first_seen_date <= {settled} and coalesce(next.undone_date > {settled}, true)"
    remembered = (
        "struct(paid.date, paid.id, unix_micros(paid.occurred_at) as occurred_at, paid.told_on, "
        "unix_micros(paid.updated_at) as updated_at)"
    )
    return (
        {
            "remembered": f"filter(told, paid -> {is_told_in_time} and ({is_open_to}) "
            f"and not exists(paid.undos, undo -> {is_undone}))"
        },
        {
            "paying": f"filter(remembered, paid -> paid.occurred_at >= opened_at "
            f"and not exists(later, next -> {is_taken}))",
            "renewing": f"filter(later, next -> {renews})",
        },
        {
            "state": "case when kind = 'plan' and undone_date is not null then 'reversed' "
            "when kind = 'plan' and size(renewing) > 0 then 'renewed' when kind = 'plan' then 'open' "
            "when size(paying) > 0 then 'paid' when bill_status = 'issued' then 'open' else bill_status end",
        },
        {
            "closed_date": "case state when 'reversed' then undone_on "
            "when 'renewed' then array_min(transform(renewing, next -> next.told_date)) when 'open' then null "
            "else coalesce(array_min(transform(paying, paid -> paid.date)), told_date) end",
            "payments": "if(kind = 'bill' and size(remembered) > 0, "
            f"to_json(array_sort(transform(remembered, paid -> {remembered}))), null)",
        },
        {"kept_until": f"date_add(greatest(due_date, closed_date), {KEPT_DAYS})"},
    )


def _is_told_in_time(told_on: str, first_seen: str, due: str) -> str:
    return f"{told_on} between date_sub({first_seen}, {LOOK_BACK}) and date_add({due}, {KEPT_DAYS})"
